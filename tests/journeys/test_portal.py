"""Every page of the portal that a customer finds, whoever brings it: whole, accessible, light and dark, both ways, phone first."""  # noqa: E501

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from rapport_portal import Account
from rapport_portal.accounts import enter, new_link
from sqlalchemy import select
from werkzeug.serving import make_server

from rapport import Customer, Site, system
from rapport.entities import table_of
from rapport.plugins import discover, optional
from tests.axe import violations

from .conftest import ARTEFACTS, PHONE

MOST_LINKS = 3
"""So many links of one page are followed: more of one kind look the same."""


def rich_customer(site: Site) -> Any:
    """The customer with most records in the portal, of as many kinds as there are."""
    kinds: Counter[Any] = Counter()
    with site.db.read() as connection:
        for entity in site.entities:
            if "portal" in entity.meta.roles and "customer_id" in entity.meta.fields:
                kinds.update(set(connection.scalars(select(table_of(entity).c.customer_id))))
        kinds.pop(None, None)
        known = set(
            connection.scalars(select(table_of(Customer).c.id).where(table_of(Customer).c.archived_at.is_(None)))
        )
    return max((each for each in kinds if each in known), key=lambda each: (kinds[each], str(each)))


@pytest.fixture
def served(make_app: Any) -> Iterator[tuple[str, Site, Any]]:
    """A site with the portal and all that bring pages into it, their samples, and a server: address, site, customer."""
    installed = discover()
    plugins = ["portal", *(name for name, info in installed.items() if "portal" in optional(info, installed))]
    with make_app(plugins=plugins) as app:
        for sample in sorted(app.site.sample_data, key=lambda each: each.order):
            with app.site.write(system("sample")) as unit:
                sample.load(unit)
        app.settle()
        server = make_server("127.0.0.1", 0, app.flask, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", app.site, rich_customer(app.site)
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def session_of(site: Site, customer_id: Any, language: str) -> str:
    with site.write(system("test")) as unit:
        unit.update(unit.get(Customer, customer_id), {"language": language})
        known = unit.reader.all(Account, Account.customer_id == customer_id)
        token = new_link(unit, known[0] if known else unit.create(Account, {"customer_id": customer_id}))
    cookie = enter(site, token)
    assert cookie is not None
    return cookie


def walk(page: Any) -> list[str]:
    """The pages a customer finds from the menu, and from there."""
    found = dict.fromkeys(["/portal/", "/portal/details", "/portal/sign-in", "/portal/nowhere"])
    page.goto("/portal/")
    menu = page.eval_on_selector_all(".p-menu a", "all => all.map(a => a.pathname)")
    found |= dict.fromkeys(menu)
    for path in menu:
        page.goto(path)
        assert page.locator(".p-menu [aria-current]").count() == 1, path
        links = page.eval_on_selector_all("main a", "all => all.map(a => a.pathname)")
        inside = [each for each in links if each.startswith("/portal/") and not each.endswith(("/pdf", "/photo"))]
        found |= dict.fromkeys([each for each in dict.fromkeys(inside) if "/file/" not in each][:MOST_LINKS])
    return list(found)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # pages look the same on both
def test_axe_finds_nothing_on_any_page_of_the_portal_and_nothing_is_cut_off(served: Any, chromium: Any) -> None:
    address, site, customer_id = served
    wrong: list[Any] = []
    for lang, theme, size in (("en", "dark", PHONE), ("he", "light", PHONE)):
        cookie = session_of(site, customer_id, lang)
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]}, color_scheme=theme, locale=lang, base_url=address,
            user_agent="Mozilla/5.0 Firefox/130.0", reduced_motion="reduce",
        )  # fmt: skip
        context.add_cookies([{"name": "rapport_portal", "value": cookie, "url": f"{address}/portal/"}])
        page = context.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error, heard=complaints: heard.append(str(error)))
        every = walk(page)
        assert len(every) > 6
        for path in every:
            answer = page.goto(path)
            assert answer.status == (404 if path.endswith("nowhere") else 200), (path, answer.status)
            assert page.evaluate("document.documentElement.dir") == ("ltr" if lang == "en" else "rtl"), path
            assert page.locator("h1").count() == 1, path
            wrong += [(lang, path, each) for each in violations(page)]
            if page.evaluate("document.documentElement.scrollWidth") > size[0]:
                wrong.append((lang, path, "is wider than the screen"))
            kept = ARTEFACTS / lang / f"portal-{theme}-{size[0]}{path.replace('/', '-').rstrip('-')}.png"
            kept.parent.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=kept, full_page=True)
        assert complaints == []
        context.close()
    assert wrong == []
