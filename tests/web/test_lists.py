"""Lists as people work with them: views, many rows at once, one value in place; and boards that ask."""

from __future__ import annotations

import json
import re
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from rapport import Customer
from rapport.builtin.web.views import View

from .conftest import Person

HTMX = {"HX-Request": "true"}


def people(app: Any, *names: str, **values: Any) -> list[Customer]:
    return [app.create_customer(name=name, email=f"{name.lower()}@example.com", **values) for name in names]


def shown(page: str) -> list[str]:
    return [unescape(name) for name in re.findall(r'class="r-main-cell"><a[^>]*>(?:<bdi>)?([^<]+)', page)]


def post(person: Person, url: str, **data: Any) -> Any:
    found = re.search(r'name="csrf_token" value="([^"]+)"', person.page)
    return person.browser.post(url, data={"csrf_token": found[1] if found else "", **data}, headers=HTMX)


def test_a_view_is_kept_changed_shared_and_forgotten(app: Any) -> None:
    people(app, "Ada", "Bob", tags=["vip"])
    people(app, "Cleo")
    boss, mia = Person(app, app.user("Boss", roles=["manager"])), Person(app, app.user("Mia"))
    boss.opens("/customer?filter=tags+has+%22vip%22&columns=name,source")
    saved = post(boss, "/customer/views?filter=tags+has+%22vip%22&columns=name,source", name="VIPs")
    address = saved.headers["HX-Redirect"]
    assert shown(boss.opens(address)) == ["Ada", "Bob"]
    assert "Save view" not in boss.page, "there is nothing to save yet"
    assert "VIPs" not in mia.opens("/customer"), "it is the boss's own"

    # What the view has can be taken off again, and the view changed so.
    chip = re.search(r'<bdi>Tags has (?:&#34;|")vip(?:&#34;|")</bdi><a href="([^"]+)"', boss.page)
    assert chip is not None
    wide = unescape(chip[1])
    assert shown(boss.opens(wide)) == ["Ada", "Bob", "Cleo"]
    assert "Save view" in boss.page
    view_id = parse_qs(urlsplit(wide).query)["view"][0]
    query = urlsplit(wide).query.replace("filter=", "filter=name+contains+%22b%22")
    post(boss, f"/customer/views?{query}", name="With a B", replace="true", shared="true")
    assert shown(boss.opens(f"/customer?view={view_id}")) == ["Bob"]
    assert "VIPs" not in boss.page

    # Shared, it is everybody's to use, and the boss's alone to change.
    assert "With a B" in mia.opens("/customer")
    assert shown(mia.opens(f"/customer?view={view_id}")) == ["Bob"]
    assert "Forget the view" not in mia.page
    assert post(mia, f"/customer/views/{view_id}/delete").status_code in {403, 404}
    boss.opens("/customer")
    post(boss, f"/customer/views/{view_id}/delete")
    with app.site.read(app.admin) as reader:
        assert reader.all(View) == []


def test_sharing_is_for_those_who_may_change_every_view(app: Any) -> None:
    people(app, "Ada")
    mia = Person(app, app.user("Mia"))
    mia.opens("/customer?filter=name+%3D+%22Ada%22")
    assert "For everybody" not in mia.browser.get("/customer/views?filter=x", headers=HTMX).get_data(as_text=True)
    post(mia, "/customer/views?q=ada", name="Mine", shared="true")
    with app.site.read(app.admin) as reader:
        assert [view.shared for view in reader.all(View)] == [False]
    refused = post(mia, "/customer/views?q=ada", name="x" * 80)
    assert refused.status_code == 422
    assert "is too long" in refused.get_data(as_text=True)


def test_many_rows_are_changed_at_once_and_taken_back(app: Any) -> None:
    ada, bob, _cleo = people(app, "Ada", "Bob", "Cleo")
    boss = Person(app, app.user("Boss", roles=["manager"]))
    boss.opens("/customer")
    ids = [str(ada.id), str(bob.id)]
    boss.sends("/customer/bulk", ids=ids, do="set", field="source", source="Fair", back="/customer?sort=name")
    undo = re.search(r'(?:data-url|hx-post)="(/undo/[^"]+)"', boss.page) or re.search(
        r"(/undo/[0-9a-f-]{36})", boss.page
    )
    assert undo is not None
    assert boss.opens("/customer?filter=source+%3D+%22Fair%22").count("data-row") == 2
    post(boss, undo[1])
    assert "Nothing matches" in boss.opens("/customer?filter=source+%3D+%22Fair%22")
    refused = post(boss, "/customer/bulk", ids=ids, do="set", field="email", email="nonsense")
    assert refused.status_code == 422
    assert "is not an e-mail address" in refused.get_data(as_text=True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_rows_do_not_wait_for_their_number(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(json.dumps({"op": "create", "values": {"name": f"Ada {n}"}}) + "\n" for n in range(500))
    for _ in range(4):
        app.client.post("/api/v1/customer/bulk", data=lines, content_type="application/x-ndjson")
    boss = Person(app, app.user("Boss", roles=["manager"]))
    assert "2,000 records" in boss.opens("/customer")
    monkeypatch.setattr("rapport.builtin.web.lists.COUNT_SECONDS", 0)
    page = boss.opens("/customer")
    assert page.count("data-row") == 50
    assert "50+ records" in page


def test_one_value_is_changed_in_place_unless_somebody_was_faster(app: Any) -> None:
    [ada] = people(app, "Ada")
    boss = Person(app, app.user("Boss", roles=["manager"]))
    cell = f"/customer/{ada.id}/cell/email"
    boss.opens("/customer")
    form = boss.browser.get(cell, headers=HTMX).get_data(as_text=True)
    assert 'value="ada@example.com"' in form
    assert "new@example.com" in post(boss, cell, email="new@example.com", version="1").get_data(as_text=True)
    late = post(boss, cell, email="late@example.com", version="1")
    assert late.status_code == 409
    assert "changed by somebody else" in late.get_json()["detail"]


def test_a_board_asks_for_what_the_stage_needs(make_app: Any) -> None:
    with make_app(plugins=["sales"]) as app:
        [ada] = people(app, "Ada")
        boss = Person(app)
        made = app.client.post(
            "/api/v1/sales.opportunity", json={"name": "Roof", "customer_id": str(ada.id), "amount": "10"}
        ).get_json()
        boss.opens("/sales.opportunity/board")
        lost = re.search(r'data-stage="([^"]+)" data-title="Lost"', boss.page)
        assert lost is not None
        move = f"/sales.opportunity/{made['id']}/move"
        dialog = post(boss, move, stage=lost[1])
        assert dialog.status_code == 422
        assert dialog.headers["HX-Retarget"] == "#modal-body"
        assert 'name="reason"' in dialog.get_data(as_text=True)
        again = post(boss, move, stage=lost[1], version=made["version"], reason="nonsense")
        assert again.status_code == 422
        assert "must be one of" in again.get_data(as_text=True)
        assert "HX-Redirect" in post(boss, move, stage=lost[1], version=made["version"], reason="price").headers
        now = app.client.get(f"/api/v1/sales.opportunity/{made['id']}").get_json()
        assert (now["stage_id"], now["reason"]) == (lost[1], "price")


def test_a_column_that_is_too_long_leads_to_the_list_of_its_stage(make_app: Any) -> None:
    with make_app(plugins=["sales"]) as app:
        [ada] = people(app, "Ada")
        deals = [{"op": "create", "values": {"name": f"Deal {n}", "customer_id": str(ada.id)}} for n in range(34)]
        lines = "\n".join(json.dumps(each) for each in deals)
        app.client.post("/api/v1/sales.opportunity/bulk", data=lines, content_type="application/x-ndjson")
        boss = Person(app)
        board = boss.opens("/sales.opportunity/board?filter=owner_id+%3D+me")
        assert board.count('class="r-card"') == 30
        more = re.search(r'<p class="r-more"><a href="([^"]+)">4 more</a>', board)
        assert more is not None
        assert boss.opens(unescape(more[1])).count("data-row") == 34


def test_an_empty_site_says_how_to_begin_to_whoever_can(app: Any) -> None:
    assert "First steps" in Person(app).opens("/")
    assert "First steps" not in Person(app, app.user("Mia")).opens("/")
    people(app, "Ada")
    assert "First steps" not in Person(app).opens("/")


def test_an_action_for_many_rows_asks_for_what_it_needs_first(make_app: Any) -> None:
    with make_app(plugins=["sales"]) as app:
        boss = Person(app)
        ids = [
            app.client.post("/api/v1/sales.lead", json={"name": name, "company": f"{name} Ltd"}).get_json()["id"]
            for name in ("Ada", "Bob")
        ]
        page = boss.opens("/sales.lead")
        assert 'hx-get="/sales.lead/bulk/convert"' in page
        dialog = boss.browser.get("/sales.lead/bulk/convert", headers=HTMX).get_data(as_text=True)
        assert 'name="amount"' in dialog
        refused = post(boss, "/sales.lead/bulk", ids=ids, do="convert", amount="a lot")
        assert refused.status_code == 422
        assert 'value="a lot"' in refused.get_data(as_text=True)
        assert "HX-Redirect" in post(boss, "/sales.lead/bulk", ids=ids, do="convert", amount="1200").headers
        deals = app.client.get("/api/v1/sales.opportunity").get_json()["items"]
        assert [deal["amount"] for deal in deals] == ["1200.00", "1200.00"]
        assert boss.browser.get("/sales.lead/bulk/nonsense", headers=HTMX).status_code == 404


def test_tasks_are_ticked_off_one_by_one_and_many_at_once(app: Any) -> None:
    mia = Person(app, app.user("Mia"))
    ids = [
        app.api(app.user("Mia")).post("/api/v1/task", json={"title": f"Call {n}"}).get_json()["id"] for n in range(3)
    ]
    mia.opens(f"/task/{ids[0]}")
    mia.sends(f"/task/{ids[0]}/do/finish")
    assert "1 task is done." in mia.page
    mine = mia.opens("/task")
    address = re.search(r'<a href="([^"]+)">Mine to do</a>', mine)
    assert address is not None
    assert mia.opens(unescape(address[1])).count("data-row") == 2
    mia.sends("/task/bulk", ids=ids, do="finish", back="/task")
    assert "2 tasks are done." in mia.page
    mia.opens(f"/task/{ids[1]}")
    post(mia, f"/task/{ids[1]}/do/reopen")
    assert mia.opens(unescape(address[1])).count("data-row") == 1
