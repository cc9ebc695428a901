"""What the tests of faults share: a site with everything that is installed and a record of every kind, served for real."""  # noqa: E501

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any, Self
from urllib.parse import urlencode, urlsplit
from uuid import UUID

from werkzeug.serving import make_server

from rapport.access import User
from rapport.access.service import create_token
from rapport.config import Config
from rapport.entities import Entity
from rapport.errors import Conflict, Invalid
from rapport.records.session import SCOPED
from rapport.testing.app import TestApp
from rapport.testing.values import Examples


def fill(app: TestApp, examples: Examples) -> dict[str, UUID]:
    """One record of every kind that can be made just so; the rest brings its own rules about what it needs."""
    found: dict[str, UUID] = {}
    for entity in app.site.entities:
        if not entity.meta.writable:
            continue
        with contextlib.suppress(Invalid, Conflict), app.site.write(app.admin) as unit:
            found[entity.meta.name] = examples.make(unit, entity).id
    app.settle()
    with app.site.read(app.admin) as reader:  # what hooks and followers have taken away again
        return {
            name: record_id
            for name, record_id in found.items()
            if reader.session.get(app.site.entities[name], record_id, execution_options=SCOPED) is not None
        }


def token(app: TestApp) -> str:
    """An administrator's, for the API."""
    with app.site.write(app.admin) as unit:
        assert app.admin.id is not None
        return create_token(unit, unit.get(User, app.admin.id), name="faults")


class AtWork:
    """Threads that work until the block ends: set `_threads`, and look at `_stop`."""

    _threads: list[threading.Thread]
    _stop: threading.Event

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """One connection over real HTTP, with a token or with the cookies of a browser."""

    base: str
    bearer: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Send a request; a body that is a dictionary goes as JSON, a text as a form, bytes as they are."""
        if self.bearer:
            headers["Authorization"] = f"Bearer {self.bearer}"
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if isinstance(body, str):
            headers |= {"Content-Type": "application/x-www-form-urlencoded", "Referer": self.base + path}
        elif body is not None and not isinstance(body, bytes):
            headers["Content-Type"], body = "application/json", json.dumps(body)
        if self._connection is None:
            self._connection = http.client.HTTPConnection(urlsplit(self.base).netloc, timeout=60)
        early = False
        try:
            try:
                self._connection.request(method, path, body, headers)
            except BrokenPipeError:  # refused before the body was sent, which nobody waits for: the answer is there
                early = True
            got = self._connection.getresponse()
            answer = Answer(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        for name, value in (cookie.split(";")[0].split("=", 1) for cookie in got.headers.get_all("Set-Cookie", [])):
            self.cookies[name] = value
        if early:
            self.close()
        return answer

    def close(self) -> None:
        """Let the connection go."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def sign_in(self, email: str, password: str) -> Client:
        """As a browser does."""
        page = self.ask("GET", "/sign-in").body.decode()
        found = re.search(r'name="csrf_token" value="([^"]+)"', page)
        assert found, page
        form = {"email": email, "password": password, "csrf_token": found[1]}
        assert self.ask("POST", "/sign-in", urlencode(form)).status == 302
        return self


UNSENT = {"file", "submit", "button", "checkbox", "radio"}
"""Of these a browser sends only what is checked."""


@contextlib.contextmanager
def clients(base: str, count: int, bearer: str = "") -> Iterator[list[Client]]:
    """So many, whose connections are closed at the end."""
    made = [Client(base, bearer) for _ in range(count)]
    try:
        yield made
    finally:
        for each in made:
            each.close()


class Form(HTMLParser):
    """What a browser would send of the form on a page that has a field of this name; nothing where there is none."""

    def __init__(self, page: str, name: str = "version") -> None:
        super().__init__()
        self.values: list[tuple[str, str]] = []
        self._area, self._select = "", ""
        if (place := page.find(f'name="{name}"')) >= 0:
            self.feed(page[page.rfind("<form", 0, place) : page.find("</form>", place)])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if "disabled" in given:
            return
        if tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in given:
            self.values.append((self._select, given.get("value", "")))
        elif tag == "textarea":
            self._area = name
            self.values.append((name, ""))
        elif tag == "input" and name and (given.get("type") not in UNSENT or "checked" in given):
            self.values.append((name, given.get("value", "on")))

    def handle_data(self, data: str) -> None:
        if self._area:
            name, before = self.values[-1]
            self.values[-1] = (name, before + data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = ""
        elif tag == "select":
            self._select = ""

    def sent(self, **other: str) -> str:
        """The body, with some values typed anew."""
        kept = [(name, value) for name, value in self.values if name not in other]
        return urlencode([*kept, *other.items()])


def at_once(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What came of so many threads that began at the same moment."""
    start, found = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        start.wait(60)
        try:
            found[number] = work(number)
        except Exception as error:
            found[number] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_down(config: Config, port: int, **more: str) -> None:
    """The configuration as other processes find it."""
    known = {
        "database_url": config.database_url, "secret_key": config.secret_key, "base_url": f"http://127.0.0.1:{port}",
        **more,
    }  # fmt: skip
    text = "".join(f"{name} = {json.dumps(value)}\n" for name, value in known.items())
    (config.home / "rapport.toml").write_text(text, "utf-8")


@dataclass
class Server:
    """A site that is served by processes of its own."""

    base: str
    process: subprocess.Popen[str]


@contextlib.contextmanager
def served(config: Config, *, workers: int = 2, threads: int = 4, jobs: bool = False, **more: str) -> Iterator[Server]:
    """`rapport serve`, as a business runs it."""
    port = free_port()
    write_down(config, port, **more)
    words = ["--home", config.home, "serve", "--port", port, "--workers", workers, "--threads", threads]
    words += [] if jobs else ["--no-worker"]
    with (config.home / "serve.log").open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "rapport_cli", *map(str, words)], stdout=said, stderr=subprocess.STDOUT, text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        base = f"http://127.0.0.1:{port}"
        wait_until(lambda: _answers(base), process)
        yield Server(base, process)
    finally:
        process.terminate()
        process.wait(120)
        print((config.home / "serve.log").read_text("utf-8"))


@contextlib.contextmanager
def served_here(app: TestApp) -> Iterator[str]:
    """The same over real HTTP by threads of this process, whose code a control may change."""
    server = make_server("127.0.0.1", 0, app.flask, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answers(base: str) -> bool:
    client = Client(base)
    try:
        return client.ask("GET", "/health").status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        client.close()


def wait_until(what: Callable[[], bool], process: subprocess.Popen[str] | None = None, seconds: float = 100) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert process is None or process.poll() is None, "the process has ended"
        assert time.monotonic() < until, "it takes too long"
        time.sleep(0.02)


def changeable(entity: type[Entity]) -> list[Any]:
    """The fields of a kind that two people may change: not what points elsewhere, and no files."""
    return [
        each for each in entity.meta.writable
        if each.target is None and not each.secret and each.kind not in {"file", "id", "json", "flag"}
    ]  # fmt: skip
