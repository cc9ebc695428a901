"""What an administrator cannot do to fields and kinds, because records would lose something."""

from __future__ import annotations

from typing import Any

import pytest

from rapport import Customer
from rapport.errors import Conflict, Invalid
from rapport.fit import CustomEntity, CustomField, Term

POOL = {"entity": "customer", "name": "x_pool", "label": "Kind of pool", "kind": "choice",
        "choices": ["Round", "Square", "Oval"]}  # fmt: skip


def fit(app: Any, kind: Any, /, **values: Any) -> Any:
    with app.site.write(app.admin) as unit:
        return unit.create(kind, values)


def change(app: Any, record: Any, **values: Any) -> None:
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(type(record), record.id), values)


def do(app: Any, record: Any, verb: str) -> None:
    with app.site.write(app.admin) as unit:
        getattr(unit, verb)(unit.get(type(record), record.id))


def problems(work: Any, *arguments: Any, **values: Any) -> dict[str, str]:
    with pytest.raises(Invalid) as refused:
        work(*arguments, **values)
    return {str(problem.field): problem.message for problem in refused.value.problems}


def test_a_choice_that_records_have_stays_and_the_reason_says_how_many(make_app: Any) -> None:
    with make_app() as app:
        pool = fit(app, CustomField, **POOL)
    with make_app() as app:
        for name in ("Ada", "Bob"):
            app.create_customer(name=name, x_pool="Round")
        old = app.create_customer(name="Cy", x_pool="Oval")
        do(app, old, "archive")
        told = problems(change, app, pool, choices=["Round", "Square"])
        assert "Oval" in told["choices"], "archived records count: they may come back"
        with pytest.raises(Invalid, match="must keep “Round”: 2 records have it"):
            change(app, pool, choices=["Square", "Oval"])
        change(app, pool, choices=["Oval", "Round", "Triangle"])  # nobody has Square
        with app.site.read(app.admin) as reader:
            assert reader.get(CustomField, pool.id).choices == ("Oval", "Round", "Triangle")


def test_a_choice_is_called_otherwise_without_touching_records(make_app: Any) -> None:
    with make_app() as app:
        fit(app, CustomField, **POOL)
        fit(app, Term, language="en", text="Round", said="Circular")
    with make_app() as app:
        ada = app.create_customer(name="Ada", x_pool="Round")
        assert "Circular" in app.browser().get(f"/customer/{ada.id}/edit").get_data(as_text=True)
        assert app.client.get(f"/api/v1/customer/{ada.id}").get_json()["x_pool"] == "Round"


FIXED = {"name": "x_basin", "kind": "text", "entity": "interaction"}


def test_name_kind_and_owner_of_a_field_stay_as_they_were_made(app: Any) -> None:
    pool = fit(app, CustomField, **POOL)
    for name, value in FIXED.items():
        assert problems(change, app, pool, **{name: value}) == {
            name: "stays as it was made. Archive the field and add another one."
        }
    dealer = fit(app, CustomField, entity="customer", name="x_dealer_id", label="Dealer", kind="reference",
                 target="customer")  # fmt: skip
    assert set(problems(change, app, dealer, target="interaction")) == {"target"}
    change(app, pool, label="Pool", required=True, help="Seen from above", position=3)
    made = fit(app, CustomEntity, name="custom.pool", title="Pool")
    assert set(problems(change, app, made, name="custom.basin")) == {"name"}


def test_a_field_is_deleted_for_good_only_while_it_holds_nothing(make_app: Any) -> None:
    with make_app() as app:
        pool = fit(app, CustomField, **POOL)
        never = fit(app, CustomField, **{**POOL, "name": "x_never"})
    with make_app() as app:
        ada = app.create_customer(name="Ada", x_pool="Round")
        do(app, never, "delete")
        with pytest.raises(Conflict, match=r"1 record holds something in “Kind of pool”. Archive the field instead"):
            do(app, pool, "delete")
        answer = app.client.delete(f"/api/v1/custom_field/{pool.id}", headers={"If-Match": '"1"'})
        assert answer.status_code == 409
        assert "Archive the field instead" in answer.get_data(as_text=True)
        with app.site.write(app.admin) as unit:
            unit.update(unit.get(Customer, ada.id), {"x_pool": None})
        do(app, pool, "delete")
        with app.site.read(app.admin) as reader:
            assert reader.all(CustomField) == []


def test_a_kind_is_deleted_for_good_only_while_nothing_needs_it(make_app: Any) -> None:
    with make_app() as app:
        made = fit(app, CustomEntity, name="custom.pool", title="Pool")
        own = fit(app, CustomField, entity="custom.pool", name="x_volume", label="Volume", kind="decimal")
        points = fit(app, CustomField, entity="customer", name="x_pool_id", label="Their pool", kind="reference",
                     target="custom.pool")  # fmt: skip
    with make_app() as app:
        pool = app.client.post("/api/v1/custom.pool", json={"name": "Garden pool"}).get_json()
        with pytest.raises(Conflict, match=r"There is 1 record of the kind “Pool”. Archive the kind instead"):
            do(app, made, "delete")
        app.client.delete(f"/api/v1/custom.pool/{pool['id']}", headers={"If-Match": '"1"'})
        with pytest.raises(Conflict, match=r"The field “Their pool” points at “Pool”. Delete that field first"):
            do(app, made, "delete")
        do(app, points, "delete")
        do(app, made, "delete")
        with app.site.read(app.admin) as reader:
            assert reader.all(CustomField, CustomField.id == own.id) == [], "its own fields went along"


def test_a_field_that_points_at_an_archived_kind_waits_for_it(make_app: Any) -> None:
    with make_app() as app:
        made = fit(app, CustomEntity, name="custom.pool", title="Pool")
        fit(app, CustomField, entity="customer", name="x_pool_id", label="Their pool", kind="reference",
            target="custom.pool")  # fmt: skip
    with make_app() as app:
        pool = app.client.post("/api/v1/custom.pool", json={"name": "Garden pool"}).get_json()
        ada = app.create_customer(name="Ada", x_pool_id=pool["id"])
        do(app, made, "archive")
    with make_app() as app:
        browser = app.browser()
        for url in (f"/customer/{ada.id}", f"/customer/{ada.id}/edit", "/customer"):
            answer = browser.get(url)
            assert answer.status_code == 200
            assert "Their pool" not in answer.get_data(as_text=True)
        change(app, ada, note="Called")
        do(app, made, "restore")
    with make_app() as app:
        assert app.client.get(f"/api/v1/customer/{ada.id}").get_json()["x_pool_id"] == pool["id"]


def test_labels_of_fields_and_kinds_are_said_in_every_language(make_app: Any) -> None:
    with make_app() as app:
        fit(app, CustomEntity, name="custom.pool", title="Pool", plural="Pools")
        fit(app, CustomField, **POOL)
        for text, said in (("Kind of pool", "Type de bassin"), ("Pools", "Bassins"), ("Round", "Rond")):
            fit(app, Term, language="fr", text=text, said=said)
    with make_app() as app:
        fleur = app.browser(app.user("Fleur", language="fr"))
        form = fleur.get("/customer/new").get_data(as_text=True)
        assert "Type de bassin" in form
        assert "Rond" in form
        assert "Bassins" in fleur.get("/").get_data(as_text=True), "the menu too"
        assert "Kind of pool" in app.browser().get("/customer/new").get_data(as_text=True)
