"""The design system: every macro in both directions and themes, read as text and, with a browser, looked at by axe."""

# ruff: noqa: E501 - sample records are easiest to read one a line

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rapport.builtin.web.design import STATIC, TEMPLATES, Design
from rapport.entities.fields import KINDS, Choice, Field
from tests.axe import violations

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; form-action 'self'"
ENGLISH = {
    "title": "Analytical Engines Ltd", "subtitle": "Customer since 2019", "people": "People", "deals": "Opportunities", "calls": "Calls",
    "new": "New person", "pipeline": "Open pipeline", "won": "Won", "due": "Due today", "name": "Name", "stage": "Stage", "amount": "Amount",
    "tags": "Tags", "owner": "Owner", "form": "Details", "facts": "About", "timeline": "Timeline", "call": "Call", "empty": "No calls yet",
    "hint": "Log the first one: what was said, and what comes next.", "text": "Wants an offer for twelve seats before the end of the month.",
}  # fmt: skip
PERSIAN = {
    "title": "شرکت پخش البرز", "subtitle": "مشتری از ۱۳۹۸", "people": "اشخاص", "deals": "فرصت‌ها", "calls": "تماس‌ها", "new": "شخص تازه",
    "pipeline": "فروش در جریان", "won": "برنده", "due": "کارهای امروز", "name": "نام", "stage": "مرحله", "amount": "مبلغ", "tags": "برچسب‌ها",
    "owner": "مسئول", "form": "جزئیات", "facts": "درباره", "timeline": "رویدادها", "call": "تماس تلفنی", "empty": "هنوز تماسی نیست",
    "hint": "نخستین تماس را ثبت کنید.", "text": "تا پایان ماه برای دوازده کاربر پیشنهاد قیمت می‌خواهد.",
}  # fmt: skip


def strict(*folders: Path) -> Environment:
    """Templates with what every one may assume; whatever else they name is an error."""
    environment = Environment(
        loader=FileSystemLoader(folders),
        undefined=StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(
        csrf_token=lambda: "token", form_key=lambda: "key", slot=lambda name, **facts: Markup(""), **drawing(),
        fixed=lambda name: Markup(environment.get_template(name).render()),
    )  # fmt: skip
    return environment


def render(template: str = "gallery.html", *, lang: str = "en", theme: str = "light", **facts: Any) -> str:
    """A page as the web app renders it: strict, escaped, with the facts that every page may assume."""
    environment = strict(TEMPLATES, Path(__file__).parent)
    context = {
        "lang": lang,
        "dir": "rtl" if lang in ("fa", "he") else "ltr",
        "theme": theme,
        **shell(),
        **sample(lang),
        **facts,
    }
    return environment.get_template(template).render(context)


def drawing() -> dict[str, Callable[[str], str]]:
    if (STATIC / "manifest.json").exists():
        design = Design()
        return {"asset": design.asset, "icon": design.icon}
    return {
        "asset": "/static/{}?v=1".format,
        "icon": lambda name: Markup('<svg class="icon" aria-hidden="true"></svg>'),
    }


def item(
    title: str, icon: str = "", url: str = "", active: bool = False, children: tuple[Any, ...] = ()
) -> SimpleNamespace:
    return SimpleNamespace(title=title, icon=icon, url=url, active=active, children=children)


def shell() -> dict[str, Any]:
    deals = item(
        "Opportunities",
        "target-arrow",
        "/sales.opportunity",
        True,
        (item("Board", url="/b", active=True), item("List", url="/l")),
    )
    return {
        "user": SimpleNamespace(name="Darya Rahimi", email="darya@example.org"),
        "navigation": [
            item("Home", "home", "/"), item("Customers", "users", "/customer"), item("Tasks", "checkbox", "/task"),
            item("Sales"), item("Leads", "user-search", "/sales.lead"), deals, item("Products", "package", "/products.product"),
            item("Administration"), item("Modules", "apps", "/admin/modules"), item("Settings", "settings", "/admin/settings"),
        ],
        "quick_create": [item("Person", "user-plus", "/customer/new"), item("Opportunity", "target-arrow", "/sales.opportunity/new")],
        "languages": [SimpleNamespace(code="en", title="English"), SimpleNamespace(code="fa", title="فارسی")],
        "toasts": [],
    }  # fmt: skip


def sample(lang: str) -> dict[str, Any]:
    tones = ["blue", "yellow", "purple", "green", "red"]
    stages = ["Prospecting", "Qualified", "Proposal", "Won", "Lost"]
    names = ["Ada Lovelace", "سارا رحیمی", "נועה לוי", "李 明", "Zoë Müller-Lüdenscheidt", "Élodie Dubois"]
    people = [
        SimpleNamespace(
            id=str(at),
            name=name,
            stage=stages[at % 5],
            tone=tones[at % 5],
            amount=f"{(at + 1) * 12_400:,}",
            tags=["vip", "export"][: at % 3],
            owner="Darya Rahimi",
        )
        for at, name in enumerate(names)
    ]
    cards = [SimpleNamespace(id=f"c{at}", title=title, subtitle="Analytical Engines Ltd", amount=f"€ {9_400 * (at + 1):,}", due=due, tone=tone, owner=owner)
             for at, (title, due, tone, owner) in enumerate([("Twelve seats, yearly", "3 d", "orange", "Darya Rahimi"), ("Pilot in two shops", "", "", "Noa Levi"), ("نوسازی قرارداد", "overdue", "red", "سارا رحیمی")])]  # fmt: skip
    return {
        "words": PERSIAN if lang == "fa" else ENGLISH,
        "people": people,
        "stages": [
            SimpleNamespace(
                id=f"s{at}",
                title=title,
                tone=tones[at],
                total=f"€ {at * 18_800:,}",
                cards=cards if at == 1 else cards[:1] if at == 0 else [],
            )
            for at, title in enumerate(stages)
        ],
        "fields": [example(kind) for kind in KINDS],
        "values": {
            "tags": ["vip", "gold"],
            "choice": "gold",
            "flag": True,
            "date": "2026-03-21",
            "money": "1234.50",
            "longtext": "Two lines\nof <b>text</b>",
            "email": "ada@",
            "text": "Ada",
        },
        "problems": {"email": ["must be an address such as ada@example.org."], "address": ["needs a country."]},
    }


def example(kind: str) -> Field:
    choices = (Choice("gold", "Gold"), Choice("silver", "Silver"))
    return Field(
        name=kind,
        label=kind.capitalize(),
        kind=kind,
        help="Says what it is for.",
        required=kind in ("text", "email"),
        choices=choices,
        currency="currency",
    )


class Page(HTMLParser):
    """Every tag of a page with its attributes, and how many times each id was given."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.ids = [str(attributes["id"]) for _, attributes in self.tags if "id" in attributes]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("lang", ["en", "fa"])
def test_no_page_has_a_style_attribute_a_script_of_its_own_or_a_foreign_address(lang: str) -> None:
    html = render(lang=lang)
    for tag, attributes in Page(html).tags:
        assert tag != "style"
        assert tag != "script" or attributes.get("src", "").startswith("/static/app.js")  # type: ignore[union-attr]
        for name, value in attributes.items():
            assert name != "style", tag
            assert not name.startswith(("on", "hx-on", "data-hx-on")), (tag, name)
            assert name not in ("src", "href", "action", "hx-get", "hx-post") or not re.match(
                r"(https?:)?//|javascript:", value or ""
            )


def test_every_control_has_a_label_and_names_its_help_and_errors() -> None:
    page = Page(render())
    labelled = {attributes["for"] for tag, attributes in page.tags if tag == "label" and "for" in attributes}
    for tag, attributes in page.tags:
        if tag in ("input", "select", "textarea") and attributes.get("type") not in ("hidden", "checkbox"):
            assert attributes.get("id") in labelled or attributes.get("aria-label"), attributes
        for reference in ("aria-describedby", "aria-controls", "aria-labelledby", "popovertarget"):
            for wanted in (attributes.get(reference) or "").split():
                assert wanted in page.ids or wanted == "modal-title", (tag, reference, wanted)
    email = next(attributes for _, attributes in page.tags if attributes.get("id") == "f-email")
    assert email["aria-invalid"] == "true"
    assert email["aria-describedby"] == "f-email-errors f-email-help"


def test_no_id_is_given_twice() -> None:
    ids = Page(render()).ids
    assert sorted(ids) == sorted(set(ids))


def test_direction_chooses_the_sheet() -> None:
    assert '<html lang="fa" dir="rtl"' in render(lang="fa")
    assert "app.rtl.css" in render(lang="fa")
    assert "app.rtl.css" not in render(lang="en")


def test_what_people_typed_is_escaped_everywhere() -> None:
    hostile = """"><script>alert(1)</script>'<marquee>"""
    words = dict.fromkeys(ENGLISH, hostile)
    person = SimpleNamespace(
        id=hostile, name=hostile, stage=hostile, tone="red", amount=hostile, tags=[hostile], owner=hostile
    )
    values = dict.fromkeys(KINDS, hostile) | {"tags": [hostile], "address": {"city": hostile}}
    html = render(
        words=words,
        people=[person],
        values=values,
        problems={"text": [hostile]},
        user=SimpleNamespace(name=hostile, email=hostile),
    )
    assert "<script>alert" not in html
    assert "<marquee" not in html


def test_the_answers_for_htmx_render_alone() -> None:
    answers = """{% import "ui.html" as ui %}{{ ui.suggestions([{"value": "1", "title": "Ada", "subtitle": "London"}]) }}{{ ui.suggestions([]) }}
    {{ ui.search_results([{"title": "People", "items": [{"title": "Ada", "url": "/a", "icon": "user"}]}]) }}{{ ui.search_results([]) }}
    {% call ui.dialog("New") %}x{% endcall %}{% call ui.inline_form("/save", "Amount") %}<input aria-label="Amount">{% endcall %}
    {{ ui.edit_button("Amount", 0, "/edit") }}{{ ui.toast("Moved.", action="Undo", url="/undo") }}{{ ui.load_more("/more") }}"""
    environment = strict(TEMPLATES)
    html = environment.from_string(answers).render()
    assert html.count('role="option"') == 2
    assert html.count("Nothing found") == 2
    assert "<span>0</span>" in html


def test_the_bare_page_renders() -> None:
    assert 'id="page"' in render("bare.html")


# In a browser ---------------------------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    """Just enough of a server for the gallery: the page, its assets, and answers to what app.js asks."""

    moves: list[dict[str, list[str]]]

    def page(self, path: str, lang: str, theme: str) -> bytes | None:
        """A further page of tests that show something else."""
        return None

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        file = STATIC / url.path.removeprefix("/static/")
        if url.path.startswith("/static/") and file.is_file():
            kinds = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}
            self._answer(file.read_bytes(), kinds[file.suffix])
        elif made := self.page(url.path, query.get("lang", ["en"])[0], query.get("theme", ["light"])[0]):
            self._answer(made, "text/html")
        elif url.path == "/":
            self._answer(render(lang=query["lang"][0], theme=query["theme"][0]).encode(), "text/html")
        elif url.path == "/suggest":
            self._answer(
                fragment(
                    '{{ ui.suggestions([{"value": "7", "title": "Grace Hopper"}, {"value": "8", "title": "Grace Kelly"}]) }}'
                ),
                "text/html",
            )
        elif url.path == "/search":
            self._answer(
                fragment(
                    '{{ ui.search_results([{"title": "People", "items": [{"title": "Grace", "url": "#grace", "icon": "user"}]}]) }}'
                ),
                "text/html",
            )
        elif url.path == "/form":
            self._answer(
                fragment(
                    '{% call ui.dialog("New person") %}{{ ui.input("new_name", "Name", autofocus=true) }}{% endcall %}'
                ),
                "text/html",
            )
        elif url.path == "/edit":
            self._answer(
                fragment(
                    '{% call ui.inline_form("/save", "Amount") %}<input class="form-control" aria-label="Amount" name="amount">{% endcall %}'
                ),
                "text/html",
            )
        else:
            self._answer(b"", "text/html", 204)

    def do_POST(self) -> None:
        body = parse_qs(self.rfile.read(int(self.headers["Content-Length"] or 0)).decode(), keep_blank_values=True)
        if self.path == "/move":
            self.moves.append({**body, "token": [self.headers["X-CSRFToken"]]})
            if body["stage"] == ["s4"]:
                return self._answer(
                    json.dumps({"detail": "A lost deal needs a reason."}).encode(), "application/problem+json", 409
                )
            if body["stage"] == ["s0"]:
                more = fragment(
                    '{% call ui.dialog("Why was it lost?") %}{{ ui.input("reason", "Reason") }}{% endcall %}'
                )
                return self._answer(more, "text/html", 422, {"HX-Retarget": "#modal-body", "HX-Reswap": "innerHTML"})
        return self._answer(b"", "text/html", 200)

    def _answer(
        self, body: bytes, kind: str, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def fragment(text: str) -> bytes:
    environment = strict(TEMPLATES)
    return environment.from_string('{% import "ui.html" as ui %}' + text).render().encode()


@pytest.fixture
def browser(chromium: Any) -> Any:
    if not (STATIC / "test" / "axe.min.js").exists():
        pytest.skip("needs the built assets (make assets)")
    return chromium


@pytest.fixture
def site() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    with serve(Site) as served:
        yield served


@contextmanager
def serve(kind: type[Site]) -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """The address of a gallery, and what is moved in it."""
    moves: list[dict[str, list[str]]] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (kind,), {"moves": moves}))
    thread = threading.Thread(target=partial(server.serve_forever, poll_interval=0.02))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", moves
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def open_page(browser: Any, site: tuple[str, Any]) -> Iterator[Callable[..., Any]]:
    """Opens the gallery, and afterwards insists that the browser had nothing to complain about."""
    complaints: list[str] = []
    contexts = []

    def opened(lang: str = "en", theme: str = "light", size: tuple[int, int] = (1440, 900)) -> Any:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]}, reduced_motion="reduce", bypass_csp=False
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda message: (
                complaints.append(message.text)
                if message.type == "error" and not re.search(r"\b(409|422)\b", message.text)
                else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{site[0]}/?lang={lang}&theme={theme}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.mark.parametrize("size", [(1440, 900), (375, 812)], ids=["wide", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "fa"])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    open_page: Callable[..., Any], lang: str, theme: str, size: tuple[int, int]
) -> None:
    page = open_page(lang, theme, size)
    found = violations(page)
    if folder := os.environ.get("RAPPORT_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{lang}-{theme}-{size[0]}.png", full_page=True)
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_in_what_opens_above_a_page(open_page: Callable[..., Any], theme: str) -> None:
    page = open_page("en", theme)
    page.get_by_role("combobox", name="Reference").fill("gra")
    page.get_by_role("option", name="Grace Kelly").wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Your menu").click()
    page.locator("[role=menuitem]:focus").wait_for()
    page.evaluate(
        "dispatchEvent.call(document.body, new CustomEvent('toast', {bubbles: true, detail: {message: 'Saved.', action: 'Undo', url: '/u'}}))"
    )
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="New person").first.click()
    page.get_by_role("dialog", name="New person").wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("grace")
    page.get_by_role("option", name="Grace").wait_for()
    assert violations(page) == []


def test_a_card_is_moved_by_keyboard_and_comes_back_when_refused(
    open_page: Callable[..., Any], site: tuple[str, list[Any]]
) -> None:
    page = open_page()
    card = page.locator("[data-id=c0]").first
    card.get_by_role("button").focus()
    page.keyboard.press("Enter")
    page.locator("[role=menuitem]:focus").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.locator("[data-stage=s2] [data-id=c0]").wait_for()
    page.get_by_text("Moved to Proposal.").wait_for(state="attached")
    assert site[1] == [{"stage": ["s2"], "before": [""], "version": ["1"], "token": ["token"]}]
    card = page.locator("[data-stage=s2] [data-id=c0]")
    card.get_by_role("button").click()
    page.get_by_role("menuitem", name="Lost").click()
    page.get_by_text("A lost deal needs a reason.").wait_for()
    page.locator("[data-stage=s2] [data-id=c0]").wait_for()


def test_a_move_that_needs_more_puts_the_card_back_and_asks(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.locator("[data-id=c2]").get_by_role("button").click()
    page.get_by_role("menuitem", name="Prospecting").click()
    page.get_by_role("dialog", name="Why was it lost?").wait_for()
    page.locator("[data-stage=s1] [data-id=c2]").wait_for()


def test_a_card_is_dragged_to_another_stage(open_page: Callable[..., Any], site: tuple[str, list[Any]]) -> None:
    page = open_page()
    page.locator("[data-stage=s1] [data-id=c1] .r-card-top a").drag_to(page.locator("[data-stage=s3]"))
    page.get_by_text("Moved to Won.").wait_for(state="attached")
    assert site[1][0]["stage"] == ["s3"]


def test_a_reference_is_found_by_typing_and_chosen_by_keyboard(open_page: Callable[..., Any]) -> None:
    page = open_page()
    box = page.get_by_role("combobox", name="Reference")
    box.fill("gra")
    page.get_by_role("option", name="Grace Kelly").wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert box.input_value() == "Grace Kelly"
    assert page.locator("input[name=reference]").input_value() == "8"
    box.fill("nobody of that name")
    box.blur()
    assert box.input_value() == "Grace Kelly"


def test_search_opens_with_ctrl_k_and_follows_the_arrow_keys(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.keyboard.press("Control+k")
    page.keyboard.type("grace")
    page.get_by_role("option", name="Grace").wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**#grace")


def test_rows_are_selected_and_a_question_is_asked_before_something_drastic(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.get_by_label("Select all").check()
    assert page.get_by_text("6 selected").is_visible()
    page.get_by_role("region", name="Selected").get_by_role("button", name="Archive").click()
    page.get_by_role("dialog").get_by_text("Archive these?").wait_for()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Select none").click()
    assert not page.get_by_text("6 selected").is_visible()


def test_a_value_is_edited_in_place_and_escape_gives_up(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.get_by_role("button", name="Change Amount: 12,400").click()
    page.get_by_role("textbox", name="Amount").press("Escape")
    assert page.get_by_role("button", name="Change Amount: 12,400").evaluate("e => e === document.activeElement")


def test_tags_are_typed_and_taken_back(open_page: Callable[..., Any]) -> None:
    page = open_page()
    entry = page.get_by_label("Tags", exact=True)
    entry.press_sequentially("silver,")
    assert page.locator("input[name=tags]").input_value() == "vip, gold, silver"
    entry.press("Backspace")
    page.get_by_role("button", name="Remove vip").click()
    assert page.locator("input[name=tags]").input_value() == "gold"


def test_a_form_opens_in_a_dialog_with_the_focus_inside_and_gives_it_back(open_page: Callable[..., Any]) -> None:
    page = open_page()
    opener = page.get_by_role("button", name="New person").first
    opener.click()
    page.get_by_role("dialog", name="New person").wait_for()
    assert page.get_by_role("dialog").get_by_label("Name").evaluate("e => e === document.activeElement")
    page.keyboard.press("Escape")
    page.locator("#modal[open]").wait_for(state="detached")
    assert opener.evaluate("e => e === document.activeElement")


def test_the_theme_changes_at_once_and_is_remembered(open_page: Callable[..., Any]) -> None:
    page = open_page()
    page.get_by_role("button", name="Your menu").click()
    page.get_by_role("menuitemradio", name="Dark").click()
    assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    assert "theme=dark" in page.evaluate("document.cookie")


def test_a_persian_date_is_shown_beside_the_date_field(open_page: Callable[..., Any]) -> None:
    assert "۱۴۰۵" in open_page("fa").locator("#f-date-calendar").inner_text()
