"""Rights that end in the midst of something: what is under way is finished to its batch, and nothing comes after it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, select

from rapport import Customer, Site, User
from rapport.access import Role, Token, UserRole
from rapport.builtin.exchange import engine, imports, undoing
from rapport.builtin.exchange.download import FORMATS
from rapport.entities import table_of
from rapport.http import current_actor
from rapport.jobs import job_table
from rapport.records.log import change_log
from rapport.testing import TestApp
from rapport.workflows import Approval, Workflow
from rapport.workflows.links import decision_links
from tests.faults.test_smtp_down import Smtp
from tests.security.walk import text_of
from tests.torture import tally

Deed = Callable[[], None]


# Ways for rights to end ----------------------------------------------------------------------------------------------


def only_reads(app: TestApp, actor: Any) -> None:
    """From what they were, they become one who only reads."""
    with app.site.write(app.admin) as unit:
        for held in unit.reader.all(UserRole, UserRole.user_id == actor.id):
            unit.update(held, {"role": "viewer"})


def is_gone(app: TestApp, actor: Any) -> None:
    """They may not sign in any more."""
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(User, actor.id), {"active": False})


def tokens_end(app: TestApp, actor: Any) -> None:
    """Their tokens are revoked."""
    with app.site.write(app.admin) as unit:
        for token in unit.reader.all(Token, Token.user_id == actor.id):
            unit.archive(token)


ENDINGS = {"only reads": only_reads, "is gone": is_gone}


# Moments at which they do --------------------------------------------------------------------------------------------


@contextmanager
def once_written(app: TestApp, come_so_far: Callable[[], bool], deed: Deed) -> Iterator[None]:
    """Between two transactions, as soon as what is written has come so far: then something is done, once."""
    done: list[bool] = []

    def look(*_: Any) -> None:
        if not done and come_so_far() and not done:
            done.append(True)
            deed()

    event.listen(app.site.db.writing, "checkin", look)
    try:
        yield
    finally:
        event.remove(app.site.db.writing, "checkin", look)
    assert done, "it never came so far"


@contextmanager
def while_read(app: TestApp, table: str, page: int, deed: Deed) -> Iterator[None]:
    """Before the n-th page of a list is read, something is done."""
    pages: list[str] = []

    def look(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if f"FROM {table}" in statement and "ORDER BY" in statement and "LIMIT" in statement:
            pages.append(statement)
            if len(pages) == page:
                deed()

    event.listen(app.site.db.reading, "before_cursor_execute", look)
    try:
        yield
    finally:
        event.remove(app.site.db.reading, "before_cursor_execute", look)
    assert len(pages) >= page, "it never came so far"


def count(app: TestApp, entity: Any, *where: Any) -> int:
    with app.site.db.read() as connection:
        return connection.scalar(select(func.count()).select_from(table_of(entity)).where(*where)) or 0


def people(app: TestApp, number: int, actor: Any = None) -> list[Any]:
    """So many customers, of somebody's."""
    with app.site.write(actor or app.admin) as unit:
        return [unit.create(Customer, {"name": f"Canary {place:03}"}).id for place in range(number)]


def forgetting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The defect of the controls: rights are read once, at the beginning."""
    monkeypatch.setattr(Site, "renewed", lambda _site, actor: actor)
    monkeypatch.setattr("rapport.builtin.exchange.download.same_rights", lambda _actor: None)
    monkeypatch.setattr("rapport.builtin.api.bulk.renewed_actor", current_actor)


# An import -----------------------------------------------------------------------------------------------------------


def imported(app: TestApp, ending: Any, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many rows of thirty are there in the end, when rights ended after the tenth; five at a time."""
    monkeypatch.setattr(engine, "CHUNK", 5)
    member = app.user("Mo Member")
    rows = "".join(f"Canary {place:03},person\n" for place in range(30))
    run = imports.start(app.site, member, "customer", f"Name,Kind\n{rows}".encode(), "people.csv")
    imports.enqueue(app.site, member, run.id, "run")
    with once_written(app, lambda: count(app, Customer) >= 10, lambda: ending(app, member)):
        app.settle()
    return count(app, Customer)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_import_ends_with_its_batch(app: TestApp, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert imported(app, ENDINGS[ending], monkeypatch) == 10
    with app.site.db.read() as connection:
        (job,) = connection.execute(select(job_table).where(job_table.c.name == "exchange.run"))
    assert (job.state, "no longer active" in job.message or "permission" in job.message) == ("failed", True)
    run = imports.recent(app.site, app.admin)[0]
    assert (run.state, run.done, run.message) == ("failed", 10, job.message)
    assert imports.run(app.site, app.admin, run.id).created == 30, "and somebody who may goes on with it"
    tally("A7", "rows of an import after its rights had ended", tried=20, written=0)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_undoing_of_an_import_ends_with_its_batch(
    app: TestApp, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(undoing, "CHUNK", 5)
    member = app.user("Mo Member")
    rows = "".join(f"Canary {place:03},person\n" for place in range(30))
    run = imports.start(app.site, member, "customer", f"Name,Kind\n{rows}".encode(), "people.csv")
    imports.run(app.site, member, run.id)
    imports.enqueue(app.site, member, run.id, "undo")
    with once_written(app, lambda: count(app, Customer) <= 20, lambda: ENDINGS[ending](app, member)):
        app.settle()
    assert count(app, Customer) == 20
    tally("A7", "rows of an import's undoing after its rights had ended", tried=20, removed=0)


# Many lines in one request -------------------------------------------------------------------------------------------


def lines_taken(app: TestApp, ending: Any) -> tuple[list[int], int]:
    """The answers to twenty lines when rights ended after the seventh, and how many records there are."""
    member = app.user("Mo Member")
    client = app.api(member)
    lines = "\n".join(json.dumps({"op": "create", "values": {"name": f"Canary {place}"}}) for place in range(20))
    with once_written(app, lambda: count(app, Customer) >= 7, lambda: ending(app, member)):
        answer = client.post("/api/v1/customer/bulk", data=lines, content_type="application/x-ndjson")
    return [json.loads(line)["status"] for line in answer.get_data(as_text=True).splitlines()], count(app, Customer)


@pytest.mark.parametrize("ending", [*ENDINGS, "tokens end"])
def test_the_lines_of_a_request_end_with_the_rights(app: TestApp, ending: str) -> None:
    statuses, there = lines_taken(app, {**ENDINGS, "tokens end": tokens_end}[ending])
    assert (statuses, there) == ([201] * 7 + [403] * 13, 7)
    tally("A7", "lines of one request after its rights had ended", tried=13, written=0)


def test_a_record_that_is_handed_on_meanwhile_is_not_changed(app: TestApp) -> None:
    with app.site.write(app.admin) as unit:
        unit.create(Role, {"name": "seller", "grants": {"customer.read": "own", "customer.update": "own"}})
    seller, other = app.user("Sally Seller", roles=["seller"]), app.user("Otto Other", roles=["seller"])
    with app.site.write(app.admin) as unit:
        ids = [unit.create(Customer, {"name": f"C{n}", "owner_id": str(seller.id)}).id for n in range(8)]

    def hand_on() -> None:
        with app.site.write(app.admin) as unit:
            for record_id in ids[4:]:
                unit.update(unit.get(Customer, record_id), {"owner_id": str(other.id)})

    lines = "\n".join(
        json.dumps({"op": "update", "id": str(each), "version": 1, "values": {"note": "mine"}}) for each in ids
    )
    client = app.api(seller)
    with once_written(app, lambda: count(app, Customer, table_of(Customer).c.note == "mine") >= 4, hand_on):
        answer = client.post("/api/v1/customer/bulk", data=lines, content_type="application/x-ndjson")
    statuses = [json.loads(line)["status"] for line in answer.get_data(as_text=True).splitlines()]
    assert statuses == [200] * 4 + [404] * 4
    assert count(app, Customer, table_of(Customer).c.note == "mine") == 4
    tally("A7", "records that were handed on in the midst of a request", tried=4, written=0)


# An export -----------------------------------------------------------------------------------------------------------


def exported(app: TestApp, ending: Any, format: str, way: str) -> tuple[int, int]:
    """The status of an export of 450 rows whose rights ended before its second page, and the rows that came."""
    manager = app.user("Mona Manager", roles=["manager"])
    people(app, 450)
    client = app.api(manager) if way == "api" else app.browser(manager)
    path = "/api/v1/customer/export" if way == "api" else "/customer/export"
    with while_read(app, "customer", 2, lambda: ending(app, manager)):
        answer = client.get(path, query_string={"format": format})
    with answer:
        return answer.status_code, text_of(answer).count("Canary")


@pytest.mark.parametrize(
    ("ending", "format", "way"),
    [(ending, format, way) for ending in ("only reads", "is gone", "tokens end") for format in FORMATS
     for way in ("api", "page") if (ending, way) != ("tokens end", "page")],
)  # fmt: skip
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_export_is_not_delivered_to_who_has_lost_rights_meanwhile(
    app: TestApp, ending: str, format: str, way: str
) -> None:
    status, rows = exported(app, {**ENDINGS, "tokens end": tokens_end}[ending], format, way)
    assert (status, rows) == (403, 0)
    tally("A7", "rows of an export whose rights ended in its midst", tried=450, delivered=0)


def test_an_export_ends_on_either_database(app: TestApp) -> None:
    assert exported(app, is_gone, "csv", "api") == (403, 0)
    tally("A7", "rows of an export whose rights ended in its midst", tried=450, delivered=0)


# Jobs ----------------------------------------------------------------------------------------------------------------


@pytest.mark.plugins("callcenter")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_call_list_is_filled_no_further(app: TestApp, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rapport_callcenter import CallList, Entry, lists

    monkeypatch.setattr(lists, "PAGE", 2)
    monkeypatch.setattr(lists, "PAGES", 1)
    manager = app.user("Mona Manager", roles=["manager"])
    people(app, 10)
    with app.site.write(manager) as unit:
        made = unit.create(CallList, {"name": "Spring", "hours_from": "00:00", "hours_to": "23:59"})
        lists.begin_filling(unit, made)
    with once_written(app, lambda: count(app, Entry) >= 4, lambda: ENDINGS[ending](app, manager)):
        app.settle()
    assert count(app, Entry) == 4
    tally("A7", "rows of a job after its rights had ended", tried=6, written=0)


@pytest.mark.plugins("strategy")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_handover_goes_no_further(app: TestApp, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rapport_strategy import handover

    monkeypatch.setattr(handover, "AT_ONCE", 2)
    second = app.user("Sue Second", roles=["admin"])
    leaver, heir = app.user("Lea Leaver"), app.user("Hal Heir")
    people(app, 10, leaver)
    with app.site.write(second) as unit:
        handover.begin(unit, unit.get(User, leaver.id), rule="one", successor=heir.id)
    owned = table_of(Customer).c.owner_id
    with once_written(app, lambda: count(app, Customer, owned == heir.id) >= 4, lambda: ENDINGS[ending](app, second)):
        app.settle()
    assert (count(app, Customer, owned == heir.id), count(app, Customer, owned == leaver.id)) == (4, 6)
    assert app.site.actor(leaver.id) is not None, "nor is their account ended"
    tally("A7", "rows of a job after its rights had ended", tried=6, written=0)


# Mail that waits -----------------------------------------------------------------------------------------------------


@pytest.mark.plugins("warehouse", "sales")
@pytest.mark.parametrize("when", ["before it is due", "while the mail waits"])
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_report_by_mail_does_not_reach_who_has_lost_it(app: TestApp, ending: str, when: str, clock: Any) -> None:
    from rapport_warehouse import refresh
    from rapport_warehouse.delivering import ask
    from rapport_warehouse.entities import Delivery, Recipient, Report

    def no_rights(app: TestApp, actor: Any) -> None:
        with app.site.write(app.admin) as unit:
            for held in unit.reader.all(UserRole, UserRole.user_id == actor.id):
                unit.delete(held)

    end = is_gone if ending == "is gone" else no_rights
    manager, reader = app.user("Mona Manager", roles=["manager"]), app.user("Rea Reader", roles=["manager"])
    people(app, 3)
    refresh(app.site)
    server = Smtp()
    app.site.config = dataclasses.replace(app.site.config, mail_url=f"smtp://127.0.0.1:{server.port}")
    try:
        with app.site.write(manager) as unit:
            report = unit.create(Report, {"name": "Week", "query": "measure=core.new_customers&at.core.country=rows"})
            delivery = unit.create(
                Delivery, {"report_id": str(report.id), "name": "Week", "format": "csv", "zone": "UTC"}
            )
            unit.create(Recipient, {"delivery_id": str(delivery.id), "user_id": str(reader.id)})
        if when == "before it is due":
            end(app, reader)
        server.mood = "later"
        with app.site.write(app.admin) as unit:
            ask(unit, unit.get(Delivery, delivery.id))
        app.settle()
        if when == "while the mail waits":
            end(app, reader)
        server.mood = "well"
        clock.forward(days=1)
        app.settle()
        to_reader = _mails_done(app, reader.email)
    finally:
        server.close()
    drawn_before = (ending, when) == ("only reads", "while the mail waits")
    # Who may still sign in gets what was drawn while they had the right: that was the batch under way.
    assert to_reader == (1 if drawn_before else 0)
    tally("A7", "reports by mail whose reader had lost them meanwhile", tried=1, delivered_after_a_batch=0)


def _mails_done(app: TestApp, address: str) -> int:
    with app.site.db.read() as connection:
        jobs = connection.execute(select(job_table).where(job_table.c.name == "core.mail", job_table.c.state == "done"))
        return sum(job.arguments["to"] == address for job in jobs)


# Workflows -----------------------------------------------------------------------------------------------------------

ASKING = """name: vip
entity: customer
start: {event: updated, when: 'tags has "vip"'}
initial: asking
states:
  asking:
    approve: {who: "role:manager", title: "Is {name} a VIP?"}
    on: {approved: granted}
  granted: {entry: [{set: {tags: [granted]}}], final: true}
"""
WAITING = """name: later
entity: customer
start: {event: updated, when: 'tags has "vip"'}
initial: waiting
states:
  waiting:
    after: {1 day: done}
  done: {entry: [{set: {tags: [later]}}], final: true}
"""


def begun(app: TestApp, source: str, actor: Any) -> Customer:
    """A workflow that waits, because of what somebody did."""
    with app.site.write(app.admin) as unit:
        unit.create(Workflow, {"source": source})
    ada = app.create_customer(actor=actor, name="Ada")
    with app.site.write(actor) as unit:
        unit.update(unit.get(Customer, ada.id), {"tags": ["vip"]})
    app.settle()
    return ada


def tags(app: TestApp, customer: Customer) -> tuple[str, ...]:
    with app.site.read(app.admin) as reader:
        return tuple(reader.get(Customer, customer.id).tags)


def test_who_is_gone_answers_no_question_of_a_workflow(app: TestApp) -> None:
    manager = app.user("Mona Manager", roles=["manager"])
    ada = begun(app, ASKING, app.admin)
    with app.site.read(app.admin) as reader:
        (question,) = reader.all(Approval, Approval.owner_id == manager.id)
        version = reader.get(Customer, ada.id).version
    link = decision_links(app.site, question, version)["approved"].removeprefix("http://localhost")
    signed_in, by_mail = app.browser(manager), app.flask.test_client()
    page = by_mail.get(link)
    form = {"csrf_token": page.get_data(as_text=True).split('name="csrf_token" value="', 1)[1].split('"', 1)[0]}
    is_gone(app, manager)
    for client in (by_mail, app.flask.test_client(), signed_in):
        client.post(link, data=form)
        client.post(f"/approvals/{question.id}", data={**form, "decision": "approved"})
    app.settle()
    assert tags(app, ada) == ("vip",)
    tally("A7", "answers to a workflow by somebody who is gone", tried=6, taken=0)


def test_what_a_workflow_waits_to_do_is_not_done_in_the_name_of_who_is_gone(app: TestApp, clock: Any) -> None:
    member = app.user("Mo Member")
    ada = begun(app, WAITING, member)
    is_gone(app, member)
    clock.forward(days=2)
    app.settle()
    assert tags(app, ada) == ("later",), "a workflow has rights of its own, given by who may write workflows"
    with app.site.db.read() as connection:
        last = connection.execute(
            select(change_log).where(change_log.c.record_id == ada.id).order_by(change_log.c.seq.desc())
        ).first()
    assert last is not None
    assert (last.actor_id, last.via) == (None, "workflow")
    tally("A7", "acts of a waiting workflow in the name of somebody who is gone", tried=1, done=0)


# A page that is open -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_page_that_asks_again_and_again_is_told_no(app: TestApp) -> None:
    manager = app.user("Mona Manager", roles=["manager"])
    run = imports.start(app.site, manager, "customer", b"Name,Kind\nCanary,person\n", "canary.csv")
    imports.enqueue(app.site, manager, run.id, "run")
    browser, path = app.browser(manager), f"/import/{run.id}/progress"
    assert browser.get(path).status_code == 200
    is_gone(app, manager)
    for address in (path, f"/import/{run.id}"):
        for headers in ({}, {"HX-Request": "true"}):
            answer = browser.get(address, headers=headers)
            assert answer.status_code in {302, 401, 403, 404}, (address, answer.status_code)
            assert "Canary" not in text_of(answer)
    tally("A7", "questions of an open page after its rights had ended", tried=4, answered=0)


# Does any of it bite? ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", ["import", "lines", "export"])
def test_rights_that_are_read_only_once_are_noticed(app: TestApp, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forgetting(monkeypatch)
    if what == "import":
        assert imported(app, is_gone, monkeypatch) == 30
        tally("A7", "rows of an import after its rights had ended", tried=0, control=20)
    elif what == "lines":
        assert lines_taken(app, is_gone)[1] == 20
        tally("A7", "lines of one request after its rights had ended", tried=0, control=13)
    else:
        assert exported(app, is_gone, "csv", "api") == (200, 450)
        tally("A7", "rows of an export whose rights ended in its midst", tried=0, control=450)
