"""The smallest useful plugin, as the README prints it, does what it promises."""

from __future__ import annotations

import re
from pathlib import Path

import rapport_loyalty

from rapport import Customer


def test_every_new_customer_gets_a_card(make_app):
    with make_app(plugins=["loyalty"]) as app:
        ada = app.create_customer(name="Ada")
        assert app.cards_of(ada) == [f"LC-{ada.id.hex[-8:]}"]


def test_a_disabled_plugin_keeps_its_rows(make_app):
    with make_app(plugins=["loyalty"]) as app:
        ada = app.create_customer(name="Ada")
        cards = app.cards_of(ada)
    with make_app(plugins=[]) as app:
        assert app.client.get("/api/v1/loyalty.card").status_code == 404
    with make_app(plugins=["loyalty"]) as app:
        assert app.cards_of(ada) == cards


def test_one_class_gives_api_page_form_permissions_audit_and_search(make_app):
    with make_app(plugins=["loyalty"]) as app:
        app.create_customer(name="Ada")
        card = app.client.get("/api/v1/loyalty.card").get_json()["items"][0]
        assert card["tier"] == "bronze"
        assert card["points"] == 0
        browser = app.browser()
        assert card["number"] in browser.get("/loyalty.card").get_data(as_text=True)
        assert "Tier" in browser.get(f"/loyalty.card/{card['id']}/edit").get_data(as_text=True)
        assert "Bronze" in browser.get(f"/loyalty.card/{card['id']}").get_data(as_text=True)
        found = app.client.get("/api/v1/search", query_string={"q": card["number"]}).get_json()["items"]
        assert [hit["id"] for hit in found] == [card["id"]]
        viewer = app.api(app.user("Vera Viewer", roles=["viewer"]))
        assert viewer.get("/api/v1/loyalty.card").status_code == 200
        assert viewer.post("/api/v1/loyalty.card", json={}).status_code == 403
        history = browser.get(f"/loyalty.card/{card['id']}/history").get_data(as_text=True)
        assert "loyalty, on customer_created" in history


def test_a_card_goes_with_its_customer(make_app):
    with make_app(plugins=["loyalty"]) as app:
        ada = app.create_customer(name="Ada")
        with app.site.write(app.admin) as unit:
            unit.delete(unit.get(Customer, ada.id))
        assert app.cards_of(ada) == []


def test_the_readme_prints_the_plugin_as_it_is():
    root = Path(__file__).parents[2]
    code = Path(rapport_loyalty.__file__).read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text("utf-8"), re.DOTALL)
    assert code.strip() in [block.strip() for block in blocks]
    assert len(code.splitlines()) < 40
