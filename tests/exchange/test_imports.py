"""Importing: every row of a file is accounted for, nothing is kept by a check, and an undo leaves no trace."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import pytest

from rapport import Customer
from rapport.builtin.exchange import imports
from rapport.builtin.exchange.engine import CHUNK
from rapport.errors import Conflict, Forbidden, Invalid
from rapport.jobs import run_next

PEOPLE = """Name,E-mail,Phone,Tags,Street,City,Kunde seit
Ada Lovelace,ada@example.com,+33 1 70 18 99 00,vip; press,1 Engine Rd,London,2020
Zoé Lefèvre,zoe@example.com,,,,,
مریم کریمی,maryam@example.com,,,,تهران,
נועה לוי,noa@example.com,,,,,
王伟,wei@example.com,,,,北京,
"""


def begun(app, text: str, entity: str = "customer", **decided: Any) -> imports.Run:
    run = imports.start(app.site, decided.pop("actor", app.admin), entity, text.encode(), "people.csv")
    return imports.decide(app.site, app.admin, run.id, **decided) if decided else run


def counts(run: imports.Run) -> dict[str, int]:
    names = ("created", "updated", "unchanged", "skipped", "refused", "added")
    return {name: getattr(run, name) for name in names if getattr(run, name)}


def customers(app) -> dict[str, Customer]:
    with app.site.read(app.admin) as reader:
        return {customer.name: customer for customer in reader.all(Customer)}


def everything(app) -> dict[Any, Mapping[str, Any]]:
    """Every row of every kind of record, as it is, without when it was touched."""
    left_out = {"version", "updated_at"}
    with app.site.read(app.admin) as reader:
        return {
            (entity.meta.name, record.id): {name: getattr(record, name) for name in entity.meta.fields
                                            if name not in left_out}
            for entity in app.site.entities
            if entity.meta.name not in {"user", "token", "role"}
            for record in reader.all(entity)
        }  # fmt: skip


def why(app, run: imports.Run) -> list[tuple[int, str, str]]:
    return [(each.line, each.field, each.message) for each in imports.problems(app.site, app.admin, run.id)]


def test_a_list_of_people_comes_in_whole(app):
    run = begun(app, PEOPLE)
    assert run.state == "draft"
    assert run.mapping == {
        "Name": "name", "E-mail": "email", "Phone": "phone", "Tags": "tags", "Street": "address.street",
        "City": "address.city",
    }  # fmt: skip
    done = imports.run(app.site, app.admin, run.id)
    assert (done.state, done.done, done.total, counts(done)) == ("done", 5, 5, {"created": 5})
    found = customers(app)
    assert set(found) == {"Ada Lovelace", "Zoé Lefèvre", "مریم کریمی", "נועה לוי", "王伟"}
    ada = found["Ada Lovelace"]
    assert (ada.email, ada.phone, ada.tags) == ("ada@example.com", "+33170189900", ("vip", "press"))
    assert ada.address == {"street": "1 Engine Rd", "city": "London"}
    with app.site.read(app.admin) as reader:
        assert [title for _entity, _id, title in reader.search("lefevre")] == ["Zoé Lefèvre"]


def test_a_look_shows_columns_guesses_and_the_first_rows(app):
    run = begun(app, PEOPLE)
    look = imports.look(app.site, app.admin, run.id)
    assert [(column.name, column.field) for column in look.columns][-2:] == [
        ("City", "address.city"),
        ("Kunde seit", ""),
    ]
    assert look.columns[0].samples[0] == "Ada Lovelace"
    assert look.rows[0].values["phone"] == "+33170189900"
    assert (look.format, look.encoding, look.delimiter) == ("csv", "utf-8", ",")
    assert {target.name for target in look.match_fields} >= {"name", "email", "reference", "id"}


def test_a_check_finds_what_a_run_would_and_keeps_nothing(app):
    text = PEOPLE + "Bad Mail,nonsense,,,,,\n,nobody@example.com,,,,,\n"
    run = begun(app, text)
    before = everything(app)
    checked = imports.check(app.site, app.admin, run.id)
    assert (checked.state, counts(checked)) == ("checked", {"created": 5, "refused": 2})
    found = why(app, checked)
    assert [(line, field) for line, field, _text in found] == [(7, "email"), (8, "name")]
    assert everything(app) == before
    ran = imports.run(app.site, app.admin, run.id)
    assert counts(ran) == counts(checked)
    assert why(app, ran) == found


def test_the_refused_rows_can_be_taken_away_mended_and_imported_again(app):
    run = imports.run(app.site, app.admin, begun(app, PEOPLE + 'Bob,"bob at example.com",,,,,\n').id)
    out = io.BytesIO()
    assert imports.write_refused(app.site, app.admin, run.id, out) == 1
    rows = list(csv.DictReader(io.StringIO(out.getvalue().decode("utf-8-sig"))))
    assert rows[0]["Line in the file"] == "7"
    assert rows[0]["Why it was refused"].startswith("E-mail “bob at example.com” ")
    mended = out.getvalue().decode("utf-8-sig").replace("bob at example.com", "bob@example.com", 2)
    again = imports.run(app.site, app.admin, begun(app, mended).id)
    assert counts(again) == {"created": 1}
    assert customers(app)["Bob"].email == "bob@example.com"


@pytest.mark.parametrize(
    ("on_match", "expected"),
    [
        ("update", {"created": 1, "updated": 1, "unchanged": 1}),
        ("skip", {"created": 1, "skipped": 2}),
        ("refuse", {"created": 1, "refused": 2}),
    ],
)
def test_what_is_there_already_is_updated_skipped_or_refused(app, on_match, expected):
    app.create_customer(name="Ada", email="ada@example.com", job_title="Countess")
    app.create_customer(name="Zoé", email="zoe@example.com")
    text = "Name,E-mail\nAda Lovelace,ADA@example.com\nZoé,zoe@example.com\nNew,new@example.com\n"
    run = begun(app, text, match_by=["email"], on_match=on_match)
    checked = imports.check(app.site, app.admin, run.id)
    assert counts(checked) == expected
    assert counts(imports.run(app.site, app.admin, run.id)) == expected
    found = customers(app)
    if on_match == "update":
        assert found["Ada Lovelace"].job_title == "Countess"  # what the file does not tell stays
    else:
        assert "Ada" in found


def test_a_row_that_matches_an_earlier_one_of_the_same_file_changes_that_one(app):
    text = "Name,E-mail,Job title\nAda,ada@example.com,Countess\nAda Lovelace,ada@example.com,\n"
    run = begun(app, text, match_by=["email"])
    assert counts(imports.check(app.site, app.admin, run.id)) == {"created": 1, "updated": 1}
    assert counts(imports.run(app.site, app.admin, run.id)) == {"created": 1, "updated": 1}
    assert [(c.name, c.job_title) for c in customers(app).values()] == [("Ada Lovelace", "Countess")]


def test_a_row_that_could_be_two_records_is_refused_and_says_so(app):
    app.create_customer(name="Ada", email="ada@example.com")
    app.create_customer(name="Ada again", email="ada@example.com")
    run = imports.run(app.site, app.admin, begun(app, "Name,E-mail\nAda,ada@example.com\n", match_by=["email"]).id)
    assert why(app, run) == [(2, "", "2 records are like this: which one is meant?")]


def test_names_nobody_knows_are_reported_with_what_is_near_and_then_settled(app):
    app.create_customer(name="Engines Ltd", kind="organisation")
    text = "Name,Organisation\nAda,Engines Ltd.\nBob,engines ltd\nEve,Nowhere Inc\nZoé,Nowhere Inc\nMax,\n"
    run = begun(app, text)
    checked = imports.check(app.site, app.admin, run.id)
    assert counts(checked) == {"created": 2, "refused": 3}
    unknown = imports.unknown(app.site, app.admin, run.id)
    assert [(each.field, each.value, each.rows, each.line) for each in unknown] == [
        ("organisation_id", "Nowhere Inc", 2, 4), ("organisation_id", "Engines Ltd.", 1, 2),
    ]  # fmt: skip
    assert unknown[1].nearest == ["Engines Ltd"]
    assert imports.choices(app.site, app.admin, run.id, "organisation_id", "engin") == ["Engines Ltd"]
    settled = {"Engines Ltd.": {"do": "use", "to": "Engines Ltd"}, "Nowhere Inc": {"do": "create"}}
    imports.decide(
        app.site, app.admin, run.id, decisions={"organisation_id": settled},
        constants={"organisation_id.kind": "organisation"},
    )  # fmt: skip
    done = imports.run(app.site, app.admin, run.id)
    assert counts(done) == {"created": 5, "added": 1}
    found = customers(app)
    assert found["Nowhere Inc"].kind == "organisation"
    assert found["Eve"].organisation_id == found["Zoé"].organisation_id == found["Nowhere Inc"].id
    assert found["Ada"].organisation_id == found["Bob"].organisation_id == found["Engines Ltd"].id
    assert found["Max"].organisation_id is None


def test_undo_brings_back_the_exact_former_state_updates_included(make_app):
    with make_app(plugins=["loyalty"]) as app:
        app.create_customer(name="Ada", email="ada@example.com", tags=["vip"], address={"city": "Paris"})
        app.create_customer(name="Zoé", email="zoe@example.com")
        before = everything(app)
        text = PEOPLE + "New,new@example.com,,,,,\n"
        run = begun(
            app, text, match_by=["email"], mapping={"Name": "name", "E-mail": "email", "Tags": "tags",
                                                    "City": "address.city", "Kunde seit": "organisation_id"},
            on_missing={"organisation_id": "create"},
        )  # fmt: skip
        done = imports.run(app.site, app.admin, run.id)
        assert counts(done) == {"created": 4, "updated": 2, "added": 1}
        app.settle()  # the plugin hands out cards
        assert len(everything(app)) > len(before) + 5
        undone = imports.undo(app.site, app.admin, run.id)
        assert (undone.state, undone.message) == ("undone", "")
        app.settle()
        assert everything(app) == before
        with app.site.read(app.admin) as reader:
            assert [title for _entity, _id, title in reader.search("王伟")] == []


def test_what_people_changed_since_the_import_stays_and_is_told(app):
    app.create_customer(name="Ada", email="ada@example.com")
    run = imports.run(app.site, app.admin, begun(app, PEOPLE, match_by=["email"]).id)
    found = customers(app)
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, found["王伟"].id), {"job_title": "Buyer"})
        unit.update(unit.get(Customer, found["Ada Lovelace"].id), {"name": "Ada King"})
    undone = imports.undo(app.site, app.admin, run.id)
    assert undone.state == "undone"
    assert undone.message == "2 records or fields were changed since and stay."
    assert set(customers(app)) == {"王伟", "Ada King"}
    kept = [each for each in imports.problems(app.site, app.admin, run.id) if each.code == "kept"]
    assert sorted(f"{each.value} {each.message}" for each in kept) == [
        "Customer “Ada King” Name was changed since, so it stays.",
        "Customer “王伟” was changed since, so it stays.",
    ]


def test_a_run_that_is_stopped_goes_on_where_it_was(app):
    text = "Name,Reference\n" + "".join(f"Customer {n},R{n}\n" for n in range(2 * CHUNK + 500))
    run = begun(app, text)

    def stop_after_the_first(done: int, _total: int) -> None:
        if done == CHUNK:
            imports.stop(app.site, app.admin, run.id)

    stopped = imports.run(app.site, app.admin, run.id, progress=stop_after_the_first)
    assert (stopped.state, stopped.done, stopped.created) == ("stopped", CHUNK, CHUNK)
    done = imports.run(app.site, app.admin, run.id)
    assert (done.state, done.done, done.created) == ("done", 2 * CHUNK + 500, 2 * CHUNK + 500)
    with app.site.read(app.admin) as reader:
        references = {customer.reference for customer in reader.all(Customer, limit=10_000)}
    assert references == {f"R{n}" for n in range(2 * CHUNK + 500)}


def test_a_worker_does_it_with_progress_to_look_at(app):
    run = begun(app, PEOPLE)
    assert imports.enqueue(app.site, app.admin, run.id, "check").state == "checking"
    assert run_next(app.site)
    assert imports.get(app.site, app.admin, run.id).state == "checked"
    imports.enqueue(app.site, app.admin, run.id, "run")
    app.settle()
    assert imports.get(app.site, app.admin, run.id).state == "done"
    imports.enqueue(app.site, app.admin, run.id, "undo")
    app.settle()
    assert imports.get(app.site, app.admin, run.id).state == "undone"
    assert customers(app) == {}


def test_an_import_that_stops_at_the_first_refusal_keeps_what_came_before(app):
    text = "Name,E-mail\n" + "".join(f"Customer {n},c{n}@example.com\n" for n in range(CHUNK)) + "Bad,nonsense\n"
    stopped = imports.run(app.site, app.admin, begun(app, text, stop_at_refusal=True).id)
    assert (stopped.state, stopped.done) == ("stopped", CHUNK)
    assert stopped.message.startswith(f"Stopped at line {CHUNK + 2}: E-mail “nonsense” ")


def test_only_who_may_import_imports_and_sees_only_their_own(app):
    viewer, member = app.user("Vera", roles=["viewer"]), app.user("Mia")
    with pytest.raises(Forbidden):
        imports.start(app.site, viewer, "customer", PEOPLE.encode(), "people.csv")
    run = imports.start(app.site, member, "customer", PEOPLE.encode(), "people.csv")
    assert [each.id for each in imports.recent(app.site, member)] == [run.id]
    assert imports.recent(app.site, viewer) == []
    assert [each.id for each in imports.recent(app.site, app.admin)] == [run.id]
    done = imports.run(app.site, member, run.id)
    assert {customer.owner_id for customer in customers(app).values()} == {member.id}
    assert done.actor == "Mia"


def test_decisions_that_do_not_fit_are_named(app):
    run = begun(app, PEOPLE)
    with pytest.raises(Invalid) as caught:
        imports.decide(
            app.site, app.admin, run.id, mapping={"Name": "nmae", "E-mail": "name", "Phone": "name", "X": "email"}
        )
    assert {problem.field for problem in caught.value.problems} == {"Name", "Phone", "X"}
    with pytest.raises(Invalid, match="must be one of"):
        imports.decide(app.site, app.admin, run.id, options={"dates": "sometimes"})
    imports.run(app.site, app.admin, run.id)
    with pytest.raises(Conflict, match="cannot be changed any more"):
        imports.decide(app.site, app.admin, run.id, match_by=["email"])


def test_a_forgotten_import_leaves_its_records_and_no_file(app):
    run = imports.run(app.site, app.admin, begun(app, PEOPLE).id)
    kept = app.site.config.files / run.stored
    assert kept.exists()
    imports.forget(app.site, app.admin, run.id)
    assert not kept.exists()
    assert len(customers(app)) == 5
    assert imports.recent(app.site, app.admin) == []


def test_a_value_for_all_rows_fills_what_the_file_leaves_out(app):
    run = begun(app, PEOPLE, constants={"source": "Fair 2026", "kind": "organisation", "tags": "fair"})
    imports.run(app.site, app.admin, run.id)
    found = customers(app)
    assert {(c.source, c.kind) for c in found.values()} == {("Fair 2026", "organisation")}
    assert found["Ada Lovelace"].tags == ("vip", "press")
    assert found["王伟"].tags == ("fair",)
