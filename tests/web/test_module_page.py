"""The page of a module: every verb but those that change code, which are named as commands."""

from __future__ import annotations


def test_a_module_is_switched_on_off_and_its_data_deleted_from_its_page(make_app, tmp_path):
    with make_app(plugins=["sales"]) as app:
        browser = app.browser()
        path = "/admin/modules/loyalty"
        page = browser.get(path).get_data(as_text=True)
        assert "rapport plugins uninstall loyalty" in page
        token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]

        def press(verb: str, **typed: str) -> int:
            return browser.post(f"{path}/{verb}", data={"csrf_token": token, **typed}).status_code

        assert press("enable") == 302
        assert "Switched on: loyalty" in browser.get("/admin/modules").get_data(as_text=True)
        assert press("purge", name="loyalty") == 302
        assert "is enabled. Disable it first" in browser.get("/admin/modules").get_data(as_text=True)
        assert press("disable") == 302
        assert "loyalty_card" in browser.get(path).get_data(as_text=True)
        assert press("purge", name="loyal") == 422
        assert press("purge", name="loyalty") == 302
        assert "loyalty_card" not in browser.get(path).get_data(as_text=True)
        assert len(list(tmp_path.glob("exports/loyalty-*/loyalty_card.ndjson"))) == 1
        assert app.browser(app.user("Mo")).get(path).status_code == 403
