"""Questions and answers: figures by rows and columns, in a time, compared, and with totals that are right."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from rapport_sales import Opportunity
from rapport_warehouse import REST, NotFilled, Question, answer, drill, refresh

from rapport import Customer, Interaction, Invalid, stages_of

pytestmark = pytest.mark.plugins("warehouse", "sales")


class Deals:
    """A business with opportunities, and short ways to ask about them."""

    def __init__(self, app):
        self.app = app
        with app.site.read(app.admin) as reader:
            self.stages = {each.kind: each.id for each in stages_of(reader.session, "sales.opportunity")}
        self.customers = {}

    def customer(self, name, country="FR", **more):
        if name not in self.customers:
            with self.app.site.write(self.app.admin) as unit:
                made = unit.create(Customer, {"name": name, "address": {"country": country}, **more})
            self.customers[name] = made.id
        return self.customers[name]

    def deal(self, customer, amount, kind="won", day="2026-03-10", days=10, **more):
        closed = dt.date.fromisoformat(day)
        with self.app.site.write(self.app.admin) as unit:
            return unit.create(Opportunity, {
                "name": f"{customer} {amount}", "customer_id": self.customer(customer), "amount": amount,
                "stage_id": self.stages[kind], "started_on": closed - dt.timedelta(days=days),
                "closed_on": None if kind == "open" else closed, "currency": "EUR", **more,
            })  # fmt: skip

    def ask(self, *measures, actor=None, **more):
        with self.app.site.read(actor or self.app.admin) as reader:
            return answer(reader, Question(measures, **more))

    def table(self, *measures, **more):
        """Row titles and the figures of the first measure, column after column."""
        found = self.ask(*measures, **more)
        return {
            " ".join(member.title for member in heading): [
                found.value(row, column) for column in range(len(found.columns))
            ]
            for row, heading in enumerate(found.rows)
        }


@pytest.fixture
def deals(app):
    made = Deals(app)
    made.customer("Ada", "FR")
    made.customer("Bob", "DE")
    made.deal("Ada", 100, day="2026-01-10")
    made.deal("Ada", 200, day="2026-03-10", days=20)
    made.deal("Ada", 50, "lost", day="2026-03-11")
    made.deal("Bob", 400, day="2026-03-12", days=30)
    made.deal("Bob", 900, "open")
    refresh(app.site)
    return made


def test_before_the_first_filling_nothing_is_answered(app):
    with app.site.read(app.admin) as reader, pytest.raises(NotFilled):
        answer(reader, Question(("core.new_customers",)))


def test_a_figure_without_rows_is_one_cell(deals):
    found = deals.ask("sales.won", "sales.won_amount", "sales.win_rate", "sales.cycle_time", "sales.average_deal")
    assert [found.value(measure=each.name) for each in found.measures] == [
        3, Decimal(700), Decimal("0.75"), Decimal(20), Decimal("233.3333"),
    ]  # fmt: skip
    assert found.measures[1].currency == "EUR"
    assert len(found.rows) == len(found.columns) == 1
    assert found.rows[0] == found.columns[0] == ()


def test_the_largest_stands_first_and_every_row_leads_to_its_record(deals):
    found = deals.ask("sales.won_amount", rows=("core.customer",))
    assert [(heading[0].title, heading[0].url) for heading in found.rows] == [
        ("Bob", f"/customer/{deals.customers['Bob']}"), ("Ada", f"/customer/{deals.customers['Ada']}"),
    ]  # fmt: skip
    assert deals.table("sales.won_amount", rows=("core.country",), order="core.country") == {
        "France": [300], "Germany": [400],
    }  # fmt: skip


def test_months_in_which_nothing_happened_are_there(deals):
    assert deals.table("sales.won_amount", rows=("date.month",)) == {
        "Jan 2026": [100], "Feb 2026": [0], "Mar 2026": [600],
    }  # fmt: skip
    year = deals.table("sales.won", rows=("date.quarter",), since=dt.date(2026, 1, 1), until=dt.date(2026, 12, 31))
    assert year == {"Q1 2026": [3], "Q2 2026": [0], "Q3 2026": [0], "Q4 2026": [0]}


def test_totals_count_each_customer_once_and_average_each_deal(deals):
    found = deals.ask("sales.customers_won", "sales.average_deal", rows=("date.month",), columns=("core.country",))
    assert [heading[0].title for heading in found.columns] == ["France", "Germany"]
    assert found.value(0, 0, "sales.customers_won") == found.value(2, 0, "sales.customers_won") == 1
    assert found.column_totals[0, "sales.customers_won"].value == 1  # Ada bought in two months
    assert found.total["sales.customers_won"].value == 2
    assert found.total["sales.average_deal"].value == Decimal("233.3333")
    assert found.row_totals[2, "sales.average_deal"].value == 300


def test_slices_let_through_what_they_name(deals):
    assert deals.ask("sales.won", where={"core.country": ("FR",)}).value() == 2
    assert deals.ask("sales.won", where={"core.country": ("FR", "DE"), "date.month": ("2026-03",)}).value() == 2
    assert deals.ask("sales.won", where={"core.country": ("",)}).value() == 0


def test_the_first_few_and_the_rest(deals):
    deals.deal("Cy", 10)
    deals.deal("Di", 20)
    refresh(deals.app.site)
    found = deals.ask("sales.won_amount", "sales.customers_won", rows=("core.customer",), top=2)
    assert [heading[0].title for heading in found.rows] == ["Bob", "Ada", "All others"]
    assert found.rows[2][0].key == REST
    assert [found.value(row) for row in range(3)] == [400, 300, 30]
    assert found.value(2, 0, "sales.customers_won") == 2


def test_a_time_is_compared_with_the_one_before_and_a_year_earlier(deals):
    march = {"since": dt.date(2026, 3, 1), "until": dt.date(2026, 3, 31)}
    deals.deal("Bob", 5, day="2026-02-28")
    deals.deal("Bob", 7, day="2025-03-05")
    refresh(deals.app.site)
    for compare, amount in (("previous", 5), ("year", 7)):
        found = deals.ask("sales.won_amount", **march, compare=compare)
        assert (found.cell(0, 0, "sales.won_amount").value, found.cell(0, 0, "sales.won_amount").compared) == (
            600,
            amount,
        )
    by_day = deals.ask("sales.won_amount", rows=("date.day",), **march, compare="year")
    assert by_day.cell(4, 0, "sales.won_amount").compared == 7
    assert by_day.note == "Compared with Mar 1, 2025 to Mar 31, 2025."


def test_running_totals_and_shares(deals):
    found = deals.ask("sales.won_amount", rows=("date.month",), running=True)
    assert [found.value(row) for row in range(3)] == [100, 100, 700]
    shares = deals.ask("sales.won_amount", rows=("core.customer",), share=True)
    assert [shares.cell(row, 0, "sales.won_amount").share for row in range(2)] == [
        Decimal("0.571429"), Decimal("0.428571"),
    ]  # fmt: skip


def test_amounts_of_two_currencies_are_never_added_up(deals):
    deals.deal("Bob", 1000, currency="USD")
    refresh(deals.app.site)
    found = deals.ask("sales.won_amount", "sales.won", rows=("core.customer",))
    assert [heading[-1].key for heading in found.columns] == ["", "EUR", "USD"]
    assert [found.value(0, column) for column in range(3)] == [None, 400, 1000]
    assert [found.value(0, column, "sales.won") for column in range(3)] == [2, None, None]
    assert "sales.won_amount" not in found.total
    assert found.column_totals[2, "sales.won_amount"].value == 1000


def test_figures_of_different_records_stand_beside_each_other(deals):
    assert deals.ask("core.new_customers", "sales.won", rows=("core.country",)).rows[0][0].title in {
        "France",
        "Germany",
    }
    found = deals.ask("core.new_customers", "sales.won", rows=("core.country",), order="core.country")
    assert [[found.value(row, 0, each.name) for each in found.measures] for row in range(2)] == [[1, 2], [1, 1]]


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"measures": ("sales.wun",)}, "measures names 'sales.wun', which is unknown."),
        ({"rows": ("core.planet",)}, "rows names 'core.planet', which is unknown."),
        ({"rows": ("core.channel",)}, "rows names 'core.channel', which does not suit sales.won."),
        ({"rows": ("date.hour",)}, "rows names 'date.hour', which does not suit sales.won."),
        ({"where": {"date.month": ("March",)}}, "where 'March' is no key of date.month."),
        ({"order": "sales.lost"}, "order names 'sales.lost', which is not part of the question."),
        ({"period": "some day"}, "period is unknown. Write this month, last quarter, last 90 days, last 12 months, "
                                 "this year or today."),
        ({"compare": "year"}, "compare needs a period, or a first and a last day."),
        ({"running": True}, "running needs dates as the last row dimension."),
        ({"measures": ("sales.win_rate",), "share": True}, "share suits only what can be added up."),
        ({"rows": ("date.day",), "since": dt.date(1900, 1, 1), "until": dt.date(2026, 1, 1)},
         "This would be more than 10,000 cells. Take fewer dimensions, a shorter time, or only the first few."),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_said(deals, question, said):
    rest = {name: value for name, value in question.items() if name != "measures"}
    with pytest.raises(Invalid) as refused:
        deals.ask(*question.get("measures", ("sales.won",)), **rest)
    assert said in str(refused.value)


def test_a_question_is_kept_as_it_was_asked():
    asked = Question(("sales.won",), rows=("date.month",), where={"core.country": ("FR",)}, since=dt.date(2026, 1, 1),
                     compare="year", top=3, share=True)  # fmt: skip
    assert Question.from_json(asked.to_json()) == asked
    with pytest.raises(Invalid) as refused:
        Question.from_json({"measure": "sales.won", "top": "many", "since": "March", "share": "perhaps"})
    assert [problem.field for problem in refused.value.problems] == ["measure", "top", "since", "share"]


def test_the_same_day_in_the_calendars_people_count_by(deals):
    march = {"since": dt.date(2026, 3, 10), "until": dt.date(2026, 3, 10)}
    for dimension, key, title in (
        ("date.jalali_month", "1404-12", "Esfand 1404"),
        ("date.jalali_year", "1404", "1404"),
        ("date.hebrew_month", "5786-06", "Adar 5786"),
        ("date.hebrew_year", "5786", "5786"),
        ("date.fiscal_year", "2026", "2026"),
        ("date.week", "2026-W11", "Week 11, 2026"),
        ("date.weekday", "2", "Tuesday"),
    ):
        found = deals.ask("sales.won", rows=(dimension,), **march)
        shown = {row[0].key: (row[0].title, found.value(at)) for at, row in enumerate(found.rows)}
        assert shown[key] == (title, 1)
        assert deals.ask("sales.won", where={dimension: (key,)}, **march).value() == 1
    with deals.app.site.db.write() as connection:
        deals.app.site.settings.set(connection, "warehouse.fiscal_month", 3)
    refresh(deals.app.site)
    assert deals.table("sales.won", rows=("date.fiscal_year",)) == {"2026": [1], "2027": [2]}


def test_a_customers_owner_is_told_as_of_then_and_as_of_now(app, actors, clock):
    ada = app.create_customer(name="Ada", owner_id=actors.member.id)

    def happened(day, customer=ada.id):
        with app.site.write(app.admin) as unit:
            unit.create(Interaction, {"customer_id": customer, "kind": "note", "subject": "x", "at": clock.now})
            unit.create(Opportunity, {"name": day, "customer_id": customer, "started_on": clock.now.date(),
                                      "amount": 10, "currency": "EUR"})  # fmt: skip

    happened("before")
    clock.forward(days=2)
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Customer, ada.id), {"owner_id": actors.stranger.id})
    clock.forward(days=2)
    happened("after")
    clock.forward(days=2)
    happened("nobody's", app.create_customer(name="Bob").id)
    refresh(app.site)
    for measure in ("core.interactions", "sales.opened"):
        found = {}
        for dimension in ("core.customer_owner", "core.customer_owner_then"):
            with app.site.read(app.admin) as reader:
                question = Question((measure,), rows=(dimension,))
                made = answer(reader, question)
                found[dimension] = {row[0].title: made.value(at) for at, row in enumerate(made.rows)}
                assert made.total[measure].value == 3
                for at, row in enumerate(made.rows):
                    assert len(drill(reader, question, (row[0].key,)).records) == made.value(at)
        now, then = found.values()
        assert now == {actors.stranger.name: 2, app.admin.name: 1}
        assert then == {actors.member.name: 1, actors.stranger.name: 1, app.admin.name: 1}
