"""Every place that plugins fill, as the showcase fills it: accessible and whole, in light and dark, both directions."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rapport_portal.accounts import Account, new_link
from rapport_showcase import Occasion
from werkzeug.serving import make_server

from rapport import Customer, system
from rapport.builtin.exchange import imports
from rapport.testing import TestApp, make_test_site
from rapport.testing.app import PASSWORD
from rapport.testing.slots import address_of, brought_for
from tests.axe import violations

from .conftest import PHONE, WIDE


@pytest.fixture
def shown(tmp_path: Path) -> Iterator[tuple[TestApp, str, Customer, list[str]]]:
    """A site with the showcase, served; and the address of every page with a place that it fills."""
    with make_test_site(tmp_path, plugins=["sales", "portal", "showcase"]) as app:
        ada = app.create_customer(name="Ada Lovelace", email="ada@example.org", phone="+44 20 7946 0001")
        with app.site.write(app.admin) as unit:
            unit.create(Occasion, {"customer_id": ada.id, "title": "Birthday", "day": unit.reader.today().isoformat()})
        run = imports.start(app.site, app.admin, "showcase.occasion", b"Customer,Occasion,Day\n", "days.csv").id
        pages: dict[str, None] = {"/showcase": None, "/portal/details": None}
        for slot in app.site.slots:
            for item in brought_for(app.site, "showcase", slot, app.admin, customer_id=ada.id, query="Birthday"):
                pages[address_of(slot, item, record_id=ada.id, run=run)] = None
        server = make_server("127.0.0.1", 0, app.flask, threaded=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield app, f"http://127.0.0.1:{server.server_port}", ada, [page for page in pages if "/search" not in page]
        finally:
            server.shutdown()
            server.server_close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("lang", "theme", "size"), [("en", "light", WIDE), ("fa", "dark", PHONE)], ids=["english", "persian-dark-phone"]
)
def test_axe_finds_nothing_where_plugins_show_something(
    shown: Any, chromium: Any, lang: str, theme: str, size: tuple[int, int]
) -> None:
    app, address, ada, pages = shown
    assert len(pages) >= 12
    with app.site.write(system("test")) as unit:
        token = new_link(unit, unit.create(Account, {"customer_id": ada.id}))
        unit.update(unit.get(Customer, ada.id), {"language": lang})
    context = chromium.new_context(
        viewport={"width": size[0], "height": size[1]}, base_url=address, color_scheme=theme, locale=lang,
        reduced_motion="reduce",
    )  # fmt: skip
    try:
        page = context.new_page()
        page.goto(f"/portal/enter/{token}")
        page.locator("main button").click()
        page.wait_for_url("**/portal/")
        page.goto("/sign-in")
        page.locator("input[name=email]").fill(app.admin.email)
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("form button[type=submit]").first.click()
        page.locator(".r-nav").wait_for(state="attached")
        if lang != "en":
            page.evaluate("lang => document.querySelector(`#user-menu [name=lang][value=${lang}]`).click()", lang)
            page.wait_for_function("lang => document.documentElement.lang.startsWith(lang)", arg=lang)
        wrong: list[Any] = []
        for path in pages:
            assert page.goto(path).status == 200, path
            wrong += [(path, each) for each in violations(page)]
            if page.evaluate("document.documentElement.scrollWidth") > size[0]:
                wrong.append((path, "is wider than the screen"))
        assert wrong == []
    finally:
        context.close()
