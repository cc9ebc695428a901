"""Every figure leads to records whose sum it is, and none tells of records that one may not see."""

from __future__ import annotations

import dataclasses
import datetime as dt
import itertools
import json
import random
from collections import defaultdict
from decimal import Decimal

import pytest
from rapport_sales import Opportunity
from rapport_warehouse import HIDDEN, REST, Question, answer, drill, members, offered, refresh

from rapport import Customer, Invalid, Stage, Task, stages_of, system
from rapport.access import Role
from tests.torture import tries

pytestmark = pytest.mark.plugins("warehouse", "sales")
NARROW = {
    "customer.read": "own", "sales.opportunity.read": "own", "task.read": "all", "user.read": "all",
    "stage.read": "all", "pipeline.read": "all", "team.read": "all",
}  # fmt: skip


@pytest.fixture
def narrow(app):
    """Somebody who sees their own customers and opportunities, and all tasks."""
    with app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "narrow", "title": "Narrow", "grants": NARROW})
    return app.user("Nina Narrow", roles=["narrow"])


def make(app, entity, **values):
    with app.site.write(app.admin) as unit:
        return unit.create(entity, values)


def fill(app, people, seed=7, count=40):
    """A business of chance: customers in some countries, opportunities of several people, open, won and lost."""
    chance = random.Random(seed)
    with app.site.write(app.admin) as unit:
        stages = [each.id for each in stages_of(unit.session, "sales.opportunity")]
        customers = [
            unit.create(Customer, {"name": f"Customer {seed} {number}", "owner_id": chance.choice(people),
                                   "address": {"country": chance.choice(["FR", "DE", "IR", ""])}})
            for number in range(8)
        ]  # fmt: skip
        for number in range(count):
            customer = chance.choice(customers)
            day = dt.date(2026, chance.randint(1, 6), chance.randint(1, 28))
            unit.create(Opportunity, {
                "name": f"Deal {number}", "customer_id": customer.id, "owner_id": customer.owner_id,
                "stage_id": chance.choice(stages), "amount": chance.choice([None, 10, Decimal("99.99"), 1000]),
                "currency": chance.choice(["EUR", "EUR", "USD"]), "reason": chance.choice(["", "price", "fit"]),
                "started_on": day - dt.timedelta(days=chance.randint(0, 40)), "closed_on": day,
            })  # fmt: skip
    return customers


def everything(app, actor):
    """All that somebody can be told, as text."""
    with app.site.read(actor) as reader:
        offer = offered(reader)
        told = [repr(offer)]
        for measure in ("sales.won", "sales.won_amount", "sales.win_rate", "sales.customers_won", "sales.average_deal",
                        "core.new_customers", "core.tasks"):  # fmt: skip
            for dimension in ("core.customer", "core.country", "date.month", "core.customer_owner"):
                for more in ({}, {"top": 2, "columns": ("date.quarter",)}):
                    question = Question((measure,), rows=(dimension,), **more)
                    found = dataclasses.replace(answer(reader, question), as_of=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
                    told.append(json.dumps(found.to_json()))
            told.append(json.dumps(drill(reader, Question((measure,)), limit=200).to_json()))
        told += [repr(members(reader, name)) for name in ("core.customer", "core.country", "core.city", "core.owner")]
        return told


def test_what_is_out_of_reach_changes_no_figure(app, narrow):
    other = app.user("Olaf Other")
    fill(app, [narrow.id])
    hidden = make(app, Customer, name="Secret plc", owner_id=other.id, address={"country": "CH", "city": "Bern"})
    make(app, Task, title="Call", customer_id=hidden.id)
    refresh(app.site)
    before = everything(app, narrow)
    assert any("(hidden)" in text for text in before)
    fill(app, [other.id], seed=8)
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, hidden.id), {"name": "Other name", "address": {"country": "LI"}})
    refresh(app.site)
    for earlier, later in zip(before, everything(app, narrow), strict=True):
        assert later == earlier
    assert everything(app, app.admin) != before
    assert not any("Secret" in text or "Other name" in text or "Bern" in text for text in before)


def test_a_customer_out_of_reach_is_called_hidden_and_can_be_drilled(app, narrow):
    other = app.user("Olaf Other")
    mine = make(app, Customer, name="Ada", owner_id=narrow.id, address={"country": "FR"})
    theirs = [make(app, Customer, name=name, owner_id=other.id, address={"country": "DE"}) for name in ("Bob", "Cy")]
    for customer in (mine, *theirs, None):
        make(app, Task, title="Call", customer_id=customer.id if customer else None)
    refresh(app.site)
    with app.site.read(narrow) as reader:
        for dimension, shown in (("core.customer", "Ada"), ("core.country", "France")):
            question = Question(("core.tasks",), rows=(dimension,))
            found = answer(reader, question)
            assert [(row[0].title, found.value(at)) for at, row in enumerate(found.rows)] == [
                (shown, 1), ("None", 1), ("(hidden)", 2),
            ]  # fmt: skip
            assert len(drill(reader, question, (HIDDEN,)).records) == 2
        assert answer(reader, Question(("core.tasks",), where={"core.customer": (HIDDEN,)})).value() == 2
        # To ask for one that is hidden by its id finds nothing.
        assert answer(reader, Question(("core.tasks",), where={"core.customer": (str(theirs[0].id),)})).value() == 0
        assert drill(reader, Question(("core.tasks",), rows=("core.customer",)), (str(theirs[0].id),)).records == []


def test_what_somebody_may_not_read_is_unknown_to_them(app):
    with app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "tasks_only", "title": "Tasks", "grants": {"task.read": "all"}})
    someone = app.user("Tia Tasks", roles=["tasks_only"])
    refresh(app.site)
    with app.site.read(someone) as reader:
        offer = offered(reader)
        assert {each.name for each in offer.measures} == {"core.tasks", "core.tasks_done", "core.tasks_open"}
        assert {each.name.partition(".")[0] for each in offer.dimensions} == {"date", "core"}
        assert "core.customer" not in {each.name for each in offer.dimensions}
        for question, said in (
            (Question(("sales.won",)), "measures names 'sales.won', which is unknown."),
            (Question(("core.tasks",), rows=("core.customer",)), "rows names 'core.customer', which is unknown."),
            (Question(("core.tasks",), where={"core.city": ("Bern",)}), "where names 'core.city', which is unknown."),
        ):
            with pytest.raises(Invalid, match=said.replace(".", r"\.")):
                answer(reader, question)
        with pytest.raises(Invalid, match="unknown"):
            members(reader, "core.customer")


# The same, worked out by hand from the records ------------------------------------------------------------------------

MEASURES = {
    "sales.closed": lambda deal, kind: 1 if kind != "open" else None,
    "sales.won": lambda deal, kind: 1 if kind == "won" else None,
    "sales.won_amount": lambda deal, kind: (deal.amount or Decimal(0)) if kind == "won" else None,
    "sales.cycle_time": lambda deal, kind: (deal.closed_on - deal.started_on).days if kind == "won" else None,
    "sales.customers_won": lambda deal, kind: deal.customer_id if kind == "won" else None,
}
KEYS = {
    "core.country": lambda deal, customer: customer.address.get("country", ""),
    "core.customer": lambda deal, customer: str(deal.customer_id),
    "core.owner": lambda deal, customer: str(deal.owner_id),
    "sales.reason": lambda deal, customer: deal.reason,
    "date.month": lambda deal, customer: f"{deal.closed_on:%Y-%m}",
    "date.week": lambda deal, customer: "{}-W{:02}".format(*deal.closed_on.isocalendar()[:2]),
    "date.weekday": lambda deal, customer: str(deal.closed_on.isoweekday()),
}


def made_of(measure, values):
    if measure == "sales.customers_won":
        return len(set(values))
    if measure == "sales.cycle_time":
        return (Decimal(sum(values)) / len(values)).quantize(Decimal("0.0001")) if values else None
    return sum(values)


def by_hand(reader, measure, rows, columns, since, until):
    kinds = {each.id: each.kind for each in reader.all(Stage)}
    customers = {each.id: each for each in reader.all(Customer)}
    groups = defaultdict(list)
    for deal in reader.all(Opportunity):
        value = MEASURES[measure](deal, kinds[deal.stage_id])
        if value is None or not since <= deal.closed_on <= until:
            continue
        keys = [tuple(KEYS[name](deal, customers[deal.customer_id]) for name in names) for names in (rows, columns)]
        coin = deal.currency if measure == "sales.won_amount" else ""
        for row, column in itertools.product((keys[0], None), (keys[1], None)):
            groups[row, column, coin].append(value)
    return {at: made_of(measure, values) for at, values in groups.items()}


def all_drilled(reader, question, row, column):
    found, cursor = [], None
    while True:
        page = drill(reader, question, row, column, limit=7, cursor=cursor)
        found += page.records
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("seed", range(tries(1, long=50)))
def test_every_cell_is_the_sum_of_its_records_and_equals_what_is_worked_out_by_hand(app, narrow, seed):
    other = app.user("Olaf Other")
    fill(app, [narrow.id, other.id], seed=seed)
    refresh(app.site)
    chance = random.Random(seed)
    for actor, _round in itertools.product((narrow, app.admin), range(4)):
        measure, names = chance.choice(list(MEASURES)), chance.sample(list(KEYS), 3)
        rows, columns = tuple(names[: chance.randint(1, 2)]), tuple(names[2 : chance.randint(2, 3)])
        since, until = dt.date(2026, chance.randint(1, 3), 1), dt.date(2026, chance.randint(4, 6), 15)
        question = Question((measure,), rows=rows, columns=columns, since=since, until=until)
        with app.site.read(actor) as reader:
            found, expected = answer(reader, question), by_hand(reader, measure, rows, columns, since, until)
            several = bool(found.columns) and len(found.columns[0]) > len(columns)
            checked = 0
            for (at, where, name), cell in found.cells.items():
                row, column = (tuple(member.key for member in each) for each in (found.rows[at], found.columns[where]))
                coin = column[-1] if several else found.measures[0].currency
                wanted = expected.get((row, column[: len(columns)], coin))
                assert cell.value == (wanted or (None if measure == "sales.cycle_time" else 0)), (question, row, column)
                checked += wanted is not None
                if chance.random() < 0.4:
                    drilled = all_drilled(reader, question, row, column)
                    values = [each.value or 0 for each in drilled]
                    whole = len(drilled) if name == "sales.customers_won" else made_of(name, values)
                    seen = len({each.value for each in drilled}) if name == "sales.customers_won" else cell.value
                    assert (whole if name != "sales.customers_won" else seen) == cell.value
            assert checked == sum(row is not None and column is not None for row, column, _coin in expected)
            if not several:
                coin = found.measures[0].currency
                for at, heading in enumerate(found.rows):
                    wanted = expected.get((tuple(member.key for member in heading), None, coin))
                    assert found.row_totals[at, measure].value == (
                        wanted or (None if measure == "sales.cycle_time" else 0)
                    )
                whole = expected.get((None, None, coin))
                assert found.total[measure].value == (whole or (None if measure == "sales.cycle_time" else 0))


def test_the_rest_and_what_runs_on_are_drilled_too(app):
    fill(app, [app.admin.id])
    refresh(app.site)
    with app.site.read(app.admin) as reader:
        question = Question(("sales.closed",), rows=("core.customer",), top=2)
        found = answer(reader, question)
        assert [heading[0].key for heading in found.rows][2] == REST
        for at, heading in enumerate(found.rows):
            assert len(drill(reader, question, (heading[0].key,), limit=200).records) == found.value(at)
        running = Question(("sales.closed",), rows=("date.month",), running=True)
        found = answer(reader, running)
        for at, heading in enumerate(found.rows):
            assert len(drill(reader, running, (heading[0].key,), limit=200).records) == found.value(at)
        assert drill(reader, Question(("sales.win_rate",))).measure == "sales.won"
        assert drill(reader, Question(("sales.win_rate",)), measure="sales.closed").measure == "sales.closed"
        for keys, said in ((("x",), "row 'x' is no key of core.customer."), (("a", "b"), "has more keys")):
            with pytest.raises(Invalid, match=said):
                drill(reader, question, keys)


def test_slicers_offer_what_there_is(app):
    make(app, Customer, name="Ada", address={"country": "FR"})
    make(app, Customer, name="Bob", address={"country": "DE"})
    refresh(app.site)
    with app.site.read(app.admin) as reader:
        assert [each.title for each in members(reader, "core.customer", search="AD")] == ["Ada"]
        assert [(each.key, each.title) for each in members(reader, "core.country")] == [
            ("FR", "France"),
            ("DE", "Germany"),
        ]
        assert [each.title for each in members(reader, "core.customer_kind")] == ["Person", "Organisation"]
        assert len(members(reader, "date.weekday")) == 7
        offer = offered(reader)
        assert {"core.country", "date.month", "sales.stage"} <= offer.fits["sales.won"]
        assert "core.channel" not in offer.fits["sales.won"]
        assert "sales.stage" not in {each.name for each in offer.suiting(("sales.won", "core.new_customers"))}
