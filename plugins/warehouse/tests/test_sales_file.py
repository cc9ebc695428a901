"""The sales file of 8,800 opportunities: what the warehouse answers is what one counts in the file by hand."""

from __future__ import annotations

import csv
import datetime as dt
import os
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest
from rapport_sales import Opportunity
from rapport_warehouse import Question, answer, refresh
from sqlalchemy import insert

from rapport import Customer, stages_of, utcnow, uuid7
from rapport.entities import table_of

FOLDER = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[4] / "shared"))
FILES = FOLDER / "data" / "01_crm_sales_opportunities"
pytestmark = [
    pytest.mark.plugins("warehouse", "sales"),
    pytest.mark.skipif(not FILES.is_dir(), reason="needs the sales file in ../shared/data"),
]
STAGES = {"Prospecting": "New", "Engaging": "Qualified"}


def lines():
    with (FILES / "sales_pipeline.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def day(text):
    return dt.date.fromisoformat(text) if text else None


def taken_in(app, rows):
    """Every row of the file as an opportunity; how lists are imported is shown elsewhere."""
    with app.site.read(app.admin) as reader:
        stages = {each.title: each.id for each in stages_of(reader.session, "sales.opportunity")}
    with app.site.write(app.admin) as unit:
        names = {row["account"] or "Unknown account" for row in rows}
        accounts = {name: unit.create(Customer, {"name": name, "kind": "organisation"}).id for name in sorted(names)}
    agents = {name: app.user(name).id for name in sorted({row["sales_agent"] for row in rows})}
    now = utcnow()
    made = [
        {
            "id": uuid7(), "version": 1, "created_at": now, "updated_at": now, "stage_entered_at": now,
            "name": row["opportunity_id"], "customer_id": accounts[row["account"] or "Unknown account"],
            "owner_id": agents[row["sales_agent"]], "currency": "USD", "started_on": day(row["engage_date"]),
            "stage_id": stages[STAGES.get(row["deal_stage"], row["deal_stage"])], "closed_on": day(row["close_date"]),
            "amount": Decimal(row["close_value"]) if row["close_value"] else None,
        }
        for row in rows
    ]  # fmt: skip
    with app.site.db.write() as connection:
        connection.execute(insert(table_of(Opportunity)), made)
    refresh(app.site, full=True)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_win_rate_cycle_time_and_ranking_are_those_of_the_file(app):
    rows = lines()
    taken_in(app, rows)
    won, lost = ([row for row in rows if row["deal_stage"] == kind] for kind in ("Won", "Lost"))
    by_agent, days, wins, losses = (defaultdict(int) for _ in range(4))
    months = defaultdict(int)
    for row in won:
        agent, closed = row["sales_agent"], day(row["close_date"])
        by_agent[agent] += int(row["close_value"])
        days[agent] += (closed - day(row["engage_date"])).days
        wins[agent] += 1
        months[f"{closed:%Y-%m}"] += int(row["close_value"])
    for row in lost:
        losses[row["sales_agent"]] += 1
    with app.site.read(app.admin) as reader:
        whole = answer(reader, Question(("sales.won", "sales.lost", "sales.win_rate", "sales.cycle_time")))
        assert [whole.value(measure=each.name) for each in whole.measures] == [
            len(won), len(lost), rounded(len(won), len(won) + len(lost), 6), rounded(sum(days.values()), len(won), 4),
        ]  # fmt: skip
        assert (len(won), len(lost)) == (4238, 2473)

        ranking = answer(reader, Question(
            ("sales.won_amount", "sales.won", "sales.win_rate", "sales.cycle_time", "sales.average_deal"),
            rows=("core.owner",),
        ))  # fmt: skip
        told = [
            (heading[0].title, *(ranking.value(at, 0, each.name) for each in ranking.measures))
            for at, heading in enumerate(ranking.rows)
        ]
        assert told == [
            (agent, amount, wins[agent], rounded(wins[agent], wins[agent] + losses[agent], 6),
             rounded(days[agent], wins[agent], 4), rounded(amount, wins[agent], 4))
            for agent, amount in sorted(by_agent.items(), key=lambda each: (-each[1], each[0]))
        ]  # fmt: skip
        assert told[0][0] == "Darcel Schlecht"

        monthly = answer(reader, Question(("sales.won_amount",), rows=("date.month",)))
        assert {heading[0].key: monthly.value(at) for at, heading in enumerate(monthly.rows)} == months
        assert monthly.total["sales.won_amount"].value == sum(months.values())


def rounded(above, below, places):
    return (Decimal(above) / below).quantize(Decimal(1).scaleb(-places))
