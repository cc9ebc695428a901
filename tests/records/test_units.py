"""One unit of work: all or nothing, with its log, its events and its way back."""

from __future__ import annotations

import contextlib
import threading
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from rapport import Conflict, Customer, Forbidden, Invalid, Stale, Task, Team, enqueue_job, hookimpl, uuid7
from rapport.access import Role
from rapport.customers import ContactPoint, Relation
from rapport.customers.matching import find_duplicates
from rapport.customers.service import merge, timeline, undo_merge
from rapport.entities import table_of
from rapport.events import deliver, deliver_all
from rapport.interactions import Interaction
from rapport.jobs import job_table
from rapport.records.log import change_log, delivery_table
from rapport.records.unit import undo


def log_of(app, record):
    with app.site.db.read() as connection:
        rows = connection.execute(
            select(change_log).where(change_log.c.record_id == record.id).order_by(change_log.c.seq)
        )
        return [(row.action, row.actor, row.changes) for row in rows]


def test_every_change_is_in_the_log_with_old_and_new(app):
    ada = app.create_customer(name="Ada", tags=["vip"])
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"name": "Ada Lovelace", "tags": ["vip", "poet"]}, version=1)
    created, updated = log_of(app, ada)
    assert created[0] == "created"
    assert created[2]["name"] == [None, "Ada"]
    assert updated == ("updated", "Ada Admin", {"name": ["Ada", "Ada Lovelace"], "tags": [["vip"], ["vip", "poet"]]})


def test_nothing_of_a_unit_that_fails_is_kept(app):
    with app.site.write(app.admin) as unit:
        unit.create(Customer, {"name": "Ada"})
        with pytest.raises(Invalid):
            unit.create(Customer, {"name": "", "email": "nonsense"})
        unit.session.rollback()
    with app.site.read(app.admin) as reader:
        assert reader.all(Customer) == []
        assert reader.search("Ada", entities=["customer"]) == []
    with app.site.db.read() as connection:
        assert connection.execute(select(change_log).where(change_log.c.entity == "customer")).all() == []


@pytest.mark.parametrize("gone", ["archive", "delete"])
def test_nothing_that_is_put_away_leaves_its_words_behind(app, gone):
    """No search shows it, and nobody who reads the tables finds what was in it."""
    ada, bob = app.create_customer(name="Ada Lovelace"), app.create_customer(name="Bob")
    with app.site.write(app.admin) as unit:
        getattr(unit, gone)(unit.get(Customer, ada.id))
    with app.site.db.read() as connection:
        found = connection.scalars(text("SELECT record_id FROM search_document WHERE entity = 'customer'")).all()
    assert {UUID(str(each)) for each in found} == {bob.id}
    with app.site.read(app.admin) as reader:
        assert reader.search("Lovelace") == []


def test_an_error_anywhere_in_a_unit_takes_all_of_it_back(app):
    """Also what was sent to the database already, its log and what it asked for."""
    with pytest.raises(ZeroDivisionError), app.site.write(app.admin) as unit:  # noqa: PT012
        unit.create(Customer, {"name": "Ada"})
        enqueue_job(unit.session.connection(), "core.forget_jobs", {}, actor=app.admin)
        raise ZeroDivisionError
    with app.site.db.read() as connection:
        assert connection.scalar(select(Customer.id)) is None
        assert connection.execute(select(change_log).where(change_log.c.entity == "customer")).all() == []
        assert connection.execute(select(job_table).where(job_table.c.name == "core.forget_jobs")).all() == []


def test_every_wrong_field_is_named_at_once(app):
    with pytest.raises(Invalid) as caught, app.site.write(app.admin) as unit:
        unit.create(
            Customer, {"email": "nonsense", "kind": "alien", "nmae": "Ada", "created_at": "2020-01-01T00:00:00Z"}
        )
    texts = {problem.field: problem.message for problem in caught.value.problems}
    assert texts.keys() == {"email", "kind", "nmae", "created_at"}
    assert texts["nmae"] == "is not a field of customer. Did you mean 'name'?"
    assert texts["created_at"] == "is set by Rapport and cannot be written."
    assert texts["kind"] == "must be one of person, organisation."


def test_a_stale_version_changes_nothing_and_shows_the_present_values(app):
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"name": "Ada L."}, version=1)
    with pytest.raises(Stale) as caught, app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"name": "Somebody"}, version=1)
    assert caught.value.current["name"] == "Ada L."


def test_of_two_writers_at_the_same_moment_one_wins_and_the_other_hears_of_it(app):
    ada = app.create_customer(name="Ada")
    results = []
    gate = threading.Barrier(4)

    def write(n):
        gate.wait()
        try:
            with app.site.write(app.admin) as unit:
                unit.update(unit.get(Customer, ada.id), {"job_title": f"Number {n}"}, version=1)
            results.append("saved")
        except Stale:
            results.append("stale")

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["saved", "stale", "stale", "stale"]


def test_a_taken_name_is_a_conflict_that_names_the_field(app):
    app.team("North")
    with pytest.raises(Conflict) as caught, app.site.write(app.admin) as unit:
        unit.create(Team, {"name": "North"})
    assert caught.value.field == "name"
    assert str(caught.value) == "Name is already used by another record (Team)."


def test_a_reference_to_nothing_is_refused_like_one_to_a_hidden_record(app):
    with pytest.raises(Invalid) as caught, app.site.write(app.admin) as unit:
        unit.create(Task, {"title": "Call", "customer_id": str(uuid7())})
    assert str(caught.value) == "customer_id points at a record that does not exist (Customer)."


def test_what_a_savepoint_took_back_is_not_logged(app):
    """As an import does with a row that the database refuses: it goes on without that one."""
    with app.site.write(app.admin) as unit:
        kept = unit.create(Customer, {"name": "Ada"})
        with contextlib.suppress(ZeroDivisionError), unit.session.begin_nested():
            gone = unit.create(Customer, {"name": "Bob"})
            raise ZeroDivisionError
    assert [action for action, *_ in log_of(app, kept)] == ["created"]
    assert log_of(app, gone) == []
    with app.site.read(app.admin) as reader:
        assert [customer.name for customer in reader.all(Customer)] == ["Ada"]


def test_the_database_itself_keeps_every_reference_whichever_way_one_writes(app):
    """Also past the unit of work: a row that refers to nothing is refused."""
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        unit.create(Task, {"title": "Call", "customer_id": ada.id})
        unit.create(ContactPoint, {"customer_id": ada.id, "kind": "email", "value": "ada@example.com"})
    points, customers = table_of(ContactPoint), table_of(Customer)
    with pytest.raises(IntegrityError), app.site.db.write() as connection:
        connection.execute(update(points).values(customer_id=uuid7()))
    with pytest.raises(IntegrityError), app.site.db.write() as connection:
        connection.execute(update(customers).values(organisation_id=uuid7()))
    with app.site.db.write() as connection:
        assert connection.scalar(select(points.c.customer_id)) == ada.id


def test_a_member_changes_their_own_and_not_anothers(app):
    mia, otto = app.user("Mia Member"), app.user("Otto Other")
    mine = app.create_customer(actor=mia, name="Mine")
    theirs = app.create_customer(actor=otto, name="Theirs")
    with app.site.write(mia) as unit:
        unit.update(unit.get(Customer, mine.id), {"name": "Still mine"})
    with pytest.raises(Forbidden, match="only with your team’s records"), app.site.write(mia) as unit:
        unit.update(unit.get(Customer, theirs.id), {"name": "Mine too"})
    assert len(log_of(app, theirs)) == 1


# Events --------------------------------------------------------------------------------------------------------------


class Flaky:
    """Fails the first two times it is told."""

    def __init__(self):
        self.told = 0

    @hookimpl
    def customer_created(self, customer, session):
        self.told += 1
        session.add(Task(title=f"Greet {customer.name}", customer_id=customer.id))
        session.flush()
        if self.told < 3:
            raise RuntimeError("not yet")


def test_a_listener_that_fails_is_told_again_and_leaves_nothing_half_done(app, clock):
    flaky = Flaky()
    app.site.hooks.add("flaky", flaky)
    app.create_customer(name="Ada")
    with app.site.db.read() as connection:
        row = connection.execute(select(delivery_table)).one()
    assert row.attempts == 1
    assert "not yet" in row.error
    for _ in range(2):
        clock.forward(hours=1)
        deliver_all(app.site)
    with app.site.read(app.admin) as reader:
        assert [task.title for task in reader.all(Task)] == ["Greet Ada"]
    with app.site.db.read() as connection:
        assert connection.execute(select(delivery_table)).all() == []


def test_what_two_workers_are_told_at_once_happens_once(app):
    class Greets:
        @hookimpl
        def customer_created(self, customer, session):
            session.add(Task(title="Greet", customer_id=customer.id))

    app.site.hooks.add("greets", Greets())
    with app.site.write(app.admin) as unit:
        for n in range(10):
            unit.create(Customer, {"name": f"Ada {n}"})
    threads = [threading.Thread(target=deliver, args=(app.site,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    deliver_all(app.site)
    with app.site.read(app.admin) as reader:
        assert reader.count(Task) == (10, True)


def test_plugins_that_answer_each_other_are_stopped(app):
    class Echo:
        @hookimpl
        def customer_updated(self, customer, session):
            session.get(Customer, customer.id).job_title += "!"

    app.site.hooks.add("echo", Echo())
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"job_title": "Poet"})
    deliver_all(app.site)
    with app.site.read(app.admin) as reader:
        assert reader.get(Customer, ada.id).job_title == "Poet" + "!" * 8


# The way back --------------------------------------------------------------------------------------------------------


def snapshot(app, *entities):
    from rapport.records.reader import dumper

    kept = []
    with app.site.read(app.admin) as reader:
        for entity in entities:
            for record in reader.all(entity):
                values = dumper(entity.meta)(record)
                kept.append({k: v for k, v in values.items() if k not in {"version", "updated_at"}})
    return sorted(kept, key=str)


def test_a_batch_is_undone_exactly_updates_included(app):
    ada = app.create_customer(name="Ada", tags=["vip"], address={"city": "London"})
    before = snapshot(app, Customer)
    batch = uuid7()
    with app.site.write(app.admin, batch=batch) as unit:
        unit.update(unit.get(Customer, ada.id), {"name": "Changed", "tags": [], "address": {}})
        unit.create(Customer, {"name": "New"})
        unit.archive(unit.get(Customer, ada.id))
    with app.site.write(app.admin) as unit:
        assert undo(unit, batch) == []
    assert snapshot(app, Customer) == before
    with app.site.read(app.admin) as reader:
        assert [title for _, _, title in reader.search("Ada", entities=["customer"])] == ["Ada"]
        assert reader.search("New") == []


def test_what_goes_with_a_record_is_in_the_log_and_comes_back_with_it(app):
    ada = app.create_customer(name="Ada")
    with app.site.write(app.admin) as unit:
        call = unit.create(Interaction, {"customer_id": ada.id, "kind": "call", "subject": "Asked for a price"})
        point = unit.create(ContactPoint, {"customer_id": ada.id, "kind": "phone", "value": "+33170189901"})
    batch = uuid7()
    with app.site.write(app.admin, batch=batch) as unit:
        unit.delete(unit.get(Customer, ada.id))
    with app.site.db.read() as connection:
        logged = connection.execute(select(change_log.c.record_id).where(change_log.c.action == "deleted")).scalars()
        assert set(logged) == {ada.id, call.id, point.id}
    with app.site.write(app.admin) as unit:
        assert undo(unit, batch) == []
    with app.site.read(app.admin) as reader:
        assert reader.get(Interaction, call.id).subject == "Asked for a price"
        assert reader.get(ContactPoint, point.id).customer_id == ada.id


def test_a_part_of_a_record_goes_with_it_also_when_whoever_deletes_does_not_see_it(app):
    with app.site.write(app.admin) as unit:
        grants = {"customer.read": "own", "customer.delete": "own", "interaction.read": "own"}
        unit.create(Role, {"name": "own_only", "grants": grants})
    mia, otto = app.user("Mia Mine", roles=["own_only"]), app.user("Otto Other")
    ada = app.create_customer(name="Ada", owner_id=str(mia.id))
    with app.site.write(app.admin) as unit:
        facts = {"customer_id": ada.id, "kind": "call", "subject": "Asked for a price", "owner_id": otto.id}
        call = unit.create(Interaction, facts)
    batch = uuid7()
    with app.site.write(mia, batch=batch) as unit:
        assert unit.reader.all(Interaction) == []
        unit.delete(unit.get(Customer, ada.id))
    with app.site.read(app.admin) as reader:
        assert (reader.all(Customer), reader.all(Interaction)) == ([], [])
    with app.site.write(app.admin) as unit:
        assert undo(unit, batch) == []
    with app.site.read(app.admin) as reader:
        assert reader.get(Interaction, call.id).owner_id == otto.id


def test_undo_leaves_alone_what_somebody_changed_since(app):
    ada = app.create_customer(name="Ada")
    batch = uuid7()
    with app.site.write(app.admin, batch=batch) as unit:
        unit.update(unit.get(Customer, ada.id), {"name": "Import", "job_title": "Import"})
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"job_title": "Countess"})
    with app.site.write(app.admin) as unit:
        kept = undo(unit, batch)
    assert kept == ["Customer 'Ada': Job title was changed since, so it stays"]
    with app.site.read(app.admin) as reader:
        record = reader.get(Customer, ada.id)
        assert (record.name, record.job_title) == ("Ada", "Countess")


def test_merging_moves_every_reference_and_can_be_undone(make_app):
    with make_app(plugins=["loyalty"]) as app:
        ada = app.create_customer(name="Ada Lovelace", email="ada@example.com", tags=["vip"])
        twin = app.create_customer(name="A. Lovelace", email="ada@example.org", phone="+442071234567", tags=["poet"])
        firm = app.create_customer(name="Analytical Ltd", kind="organisation")
        with app.site.write(app.admin) as unit:
            unit.create(Interaction, {"customer_id": twin.id, "kind": "note", "subject": "Engine"})
            unit.create(
                Task, {"title": "Call", "customer_id": twin.id, "about_entity": "customer", "about_id": twin.id}
            )
            unit.create(Relation, {"customer_id": twin.id, "other_id": firm.id, "kind": "works_at"})
            unit.create(Relation, {"customer_id": ada.id, "other_id": twin.id, "kind": "family_of"})
        entities = [
            app.site.entities[name]
            for name in ("customer", "interaction", "task", "relation", "contact_point", "loyalty.card")
        ]
        before = snapshot(app, *entities)
        batch = merge(app.site, app.admin, ada.id, [twin.id])
        with app.site.read(app.admin) as reader:
            assert {t.customer_id for t in reader.all(Task)} == {ada.id}
            assert {t.about_id for t in reader.all(Task)} == {ada.id}
            assert [i.customer_id for i in reader.all(Interaction)] == [ada.id]
            assert [(r.customer_id, r.other_id) for r in reader.all(Relation)] == [(ada.id, firm.id)]
            assert {point.value for point in reader.all(ContactPoint)} == {"ada@example.org"}
            survivor = reader.get(Customer, ada.id)
            assert (survivor.phone, survivor.tags) == ("+442071234567", ("vip", "poet"))
            assert [title for _, _, title in reader.search("Lovelace", entities=["customer"])] == ["Ada Lovelace"]
            assert any(item.title == "Engine" for item in timeline(reader, ada.id).items)
        assert sorted(app.cards_of(ada)) == sorted(f"LC-{c.id.hex[-8:]}" for c in (ada, twin))
        assert undo_merge(app.site, app.admin, batch) == []
        assert snapshot(app, *entities) == before


def test_duplicates_are_suggested_with_the_reason(app):
    app.create_customer(name="محمّد رضایی", email="m.rezaei@example.com")
    app.create_customer(name="François Lefèvre", phone="+33123456789")
    with app.site.read(app.admin) as reader:

        def reasons(**values):
            return [(match.name, match.reason) for match in find_duplicates(reader, values)]

        assert reasons(email="m.rezaei@example.com") == [("محمّد رضایی", "the same e-mail")]
        assert reasons(name="محمد رضائي") == [("محمّد رضایی", "the same name")]
        assert reasons(name="lefevre francois") == [("François Lefèvre", "the same name")]
        assert reasons(phone="+33123456789") == [("François Lefèvre", "the same number or address")]
        assert reasons(name="Somebody Else") == []


def test_counting_ends_in_time_and_nothing_else_is_lost(app):
    with app.site.write(app.admin) as unit:
        for n in range(300):
            unit.create(Customer, {"name": f"Ada {n}"})
    other = aliased(Customer)
    each_with_all = select(func.count(other.id)).where(other.name != Customer.name).scalar_subquery() > 0
    with app.site.read(app.admin) as reader:
        assert reader.count(Customer, each_with_all, seconds=0.001) == (0, False)
        assert reader.count(Customer, each_with_all, seconds=60) == (300, True)
        assert reader.count(Customer, each_with_all, cap=200) == (200, False)
