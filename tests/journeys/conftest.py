"""A sample business served by a real process, and a browser that complains about everything that is not right."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rapport.builtin.web.design import STATIC
from tests.conftest import CHROMIUM
from tests.demo import copy_demo

EMAIL, PASSWORD = "ada@demo.example", "rapport demo"
ARTEFACTS = Path(__file__).resolve().parents[2] / "artefacts"
WIDE, PHONE = (1440, 900), (390, 844)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Journeys need a browser and take a moment each."""
    for item in items:
        if Path(__file__).parent in item.path.parents and (CHROMIUM is None or not (STATIC / "manifest.json").exists()):
            item.add_marker(pytest.mark.skip(reason="needs Chromium and the built assets (make assets)"))


@pytest.fixture(scope="session")
def business(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a demo, served as `rapport demo` serves it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path_factory.mktemp("journeys") / "demo"
    copy_demo(home)
    command = [sys.executable, "-m", "rapport_cli", "demo", str(home), "--port", str(port)]
    log = home.with_name("log.txt")
    with log.open("wb") as said:
        server = subprocess.Popen(command, stdout=said, stderr=said, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    address = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 180
        while True:
            with contextlib.suppress(urllib.error.URLError, ConnectionError):
                urllib.request.urlopen(f"{address}/sign-in", timeout=5).close()
                break
            if server.poll() is not None or time.monotonic() > until:
                pytest.fail(f"the demo does not answer: {log.read_text()}")
        yield address
    finally:
        server.terminate()
        server.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
def sign_in(chromium: Any, business: str) -> Iterator[Callable[..., Any]]:
    """Open a page, signed in as somebody; at the end, insist that the browser had nothing to complain about."""
    complaints: list[str] = []
    contexts: list[Any] = []

    def opened(
        email: str = EMAIL, lang: str = "en", *, theme: str = "light", size: tuple[int, int] = WIDE, path: str = "/"
    ) -> Any:
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", base_url=business,
            color_scheme=theme, locale=lang, accept_downloads=True,
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)  # a machine that stood still for half a minute has been seen
        page.on("console", lambda message: _note(complaints, message))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda sent: _stay_here(complaints, business, sent.url))
        page.goto("/sign-in")
        page.locator("input[name=email]").fill(email)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("main button[type=submit], form button[type=submit]").first.click()
        page.locator(".r-nav").wait_for(state="attached")
        # Whatever language an earlier journey left this person with.
        if not page.evaluate("lang => document.documentElement.lang.startsWith(lang)", lang):
            page.evaluate("lang => document.querySelector(`#user-menu [name=lang][value=${lang}]`).click()", lang)
            page.wait_for_function("lang => document.documentElement.lang.startsWith(lang)", arg=lang)
        page.goto(path)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def _note(complaints: list[str], message: Any) -> None:
    if message.type == "error" and not re.search(r"\b(409|422)\b", message.text):
        complaints.append(message.text)


def _stay_here(complaints: list[str], business: str, url: str) -> None:
    if not url.startswith((business, "data:", "blob:")):
        complaints.append(f"asked for {url}")
