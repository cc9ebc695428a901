"""Real calls, imported and reported: a bank's campaign and a call centre's quarter, each figure as the file has it."""

from __future__ import annotations

import csv
import datetime as dt
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rapport_callcenter import Call, CallList, Disposition, WrapUp, figures
from rapport_callcenter.reports import incoming
from sqlalchemy import insert

from rapport import Customer, utcnow, uuid7
from rapport.builtin.exchange import imports
from rapport.builtin.exchange.readers import ReadOptions, open_table
from rapport.entities import table_of
from rapport.testing import TestApp
from tests.torture import tries

SHARED = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[4] / "shared")) / "data"
BANK, CENTRE = SHARED / "02_telemarketing/bank_market.csv", SHARED / "05_service/pwc_call_center.xlsx"
pytestmark = pytest.mark.skipif(not BANK.exists(), reason=f"the real calls are not here ({SHARED})")
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]


@pytest.fixture
def app(tmp_path: Path) -> Any:
    """One database is enough for so many rows."""
    from rapport.testing.app import make_test_site

    with make_test_site(tmp_path, f"sqlite:///{tmp_path / 'rapport.db'}", plugins=["callcenter"]) as made:
        yield made


def share(rows: Counter[str], of: Counter[str]) -> dict[str, tuple[int, int]]:
    return {key: (of[key], rows[key]) for key in of}


def taken_in(app: TestApp, path: Path, **decided: Any) -> Any:
    run = imports.start(app.site, app.admin, "callcenter.call", path, path.name)
    imports.decide(app.site, app.admin, run.id, **decided)
    done = imports.run(app.site, app.admin, run.id)
    assert done.refused == 0, imports.problems(app.site, app.admin, run.id)[:3]
    return done


def test_a_banks_campaign_converts_as_its_file_says(app: TestApp, tmp_path: Path):
    with BANK.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 45_211
    rows = rows[:: tries(8, long=1)]
    # The file is in order and names no years: each time a month comes before the last one, a year has begun.
    prepared, year, last = tmp_path / "calls.csv", 2008, 5
    customers = []
    with prepared.open("w", encoding="utf-8", newline="") as written:
        writer = csv.writer(written)
        writer.writerow(["Client", "Date", "Duration", "Contact", "Outcome"])
        for row in rows:
            month = MONTHS.index(row["month"]) + 1
            year, last = year + (month < last), month
            customers.append((uuid7(), row["Cust_num"], row["job"]))
            outcome = {"yes": "success", "no": "refused"}[row["y"]]
            day = f"{year}-{month:02}-{int(row['day']):02} 12:00"
            writer.writerow([customers[-1][0], day, row["duration"], row["contact"], outcome])
    now = utcnow()
    with app.site.db.write() as connection:  # who they are is not what is tried here
        shared = {"created_at": now, "updated_at": now, "version": 1, "kind": "person", "custom": {}, "address": {}}
        empty = {f.name: "" for f in Customer.meta.fields.values() if f.kind in {"text", "longtext", "email", "phone",
                                                                                  "url"}}  # fmt: skip
        connection.execute(insert(table_of(Customer)), [
            {**empty, **shared, "language": "", "tags": (), "id": id_, "name": f"Client {number}",
             "name_key": f"client {number}", "reference": number, "job_title": job} for id_, number, job in customers
        ])  # fmt: skip
    with app.site.write(app.admin) as unit:
        bank = unit.create(CallList, {"name": "Term deposits", "campaign": "DEPOSIT"})
    mapping = {"Client": "customer_id", "Date": "rang_at", "Duration": "talked", "Contact": "line", "Outcome": "result"}
    done = taken_in(app, prepared, mapping=mapping, constants={"list_id": "Term deposits", "direction": "out"})
    assert done.created == len(rows)

    success = [row for row in rows if row["y"] == "yes"]
    with app.site.read(app.admin) as reader:
        (whole,) = figures(reader, "list")
        assert (whole.label, whole.calls, whole.success) == (bank.name, len(rows), len(success))
        assert float(whole.conversion) == round(100 * len(success) / len(rows), 2)
        assert whole.talked == sum(int(row["duration"]) for row in rows)
        for by, attribute, column in (("customer", "job_title", "job"), ("line", "", "contact")):
            found = {each.label: (each.calls, each.success) for each in figures(reader, by, attribute=attribute)}
            assert found == share(Counter(r[column] for r in success), Counter(r[column] for r in rows))
        by_month: Counter[str] = Counter()
        won: Counter[str] = Counter()
        for each in figures(reader, "month"):
            name = MONTHS[int(each.label[5:]) - 1]
            by_month[name] += each.calls
            won[name] += each.success
        assert share(won, by_month) == share(Counter(r["month"] for r in success), Counter(r["month"] for r in rows))


def test_a_call_centres_quarter_is_reported_as_its_workbook_says(app: TestApp, tmp_path: Path):
    table = open_table(CENTRE, CENTRE.name, ReadOptions())
    rows = [dict(zip(table.columns, record[1], strict=True)) for record in table.iter_lists()]
    assert len(rows) == 5000
    for name in sorted({row["Agent"] for row in rows}):
        app.user(name)
    with app.site.write(app.admin) as unit:
        for name in sorted({row["Topic"] for row in rows}):
            unit.create(WrapUp, {"name": name})
        assert unit.reader.all(Disposition)
    # Day and time stand in two columns, and lengths as times of day: both are put as the import reads them.
    prepared = tmp_path / "calls.csv"
    with prepared.open("w", encoding="utf-8", newline="") as written:
        writer = csv.writer(written)
        writer.writerow(["Call Id", "Agent", "Date", "Topic", "Status", "Resolved", "Speed of answer in seconds",
                         "Talked", "Satisfaction rating"])  # fmt: skip
        for row in rows:
            talked = row["AvgTalkDuration"]
            writer.writerow([
                row["Call Id"], row["Agent"], f"{row['Date']} {row['Time']}", row["Topic"],
                "ended" if row["Answered (Y/N)"] == "Y" else "abandoned", row["Resolved"],
                row["Speed of answer in seconds"], seconds(talked) if talked else "", row["Satisfaction rating"],
            ])  # fmt: skip
    done = taken_in(app, prepared, constants={"direction": "in"}, mapping={
        "Call Id": "external_id", "Agent": "agent_id", "Date": "rang_at", "Topic": "wrap_up_id", "Status": "status",
        "Resolved": "resolved", "Speed of answer in seconds": "waited", "Talked": "talked",
        "Satisfaction rating": "satisfaction",
    })  # fmt: skip
    assert done.created == 5000
    answered = [row for row in rows if row["Answered (Y/N)"] == "Y"]
    with app.site.read(app.admin) as reader:
        since = dt.date(2021, 1, 1)
        (whole,) = figures(reader, "all", Call.direction == "in")
        assert (whole.calls, whole.answered, whole.abandoned) == (5000, len(answered), 5000 - len(answered))
        assert whole.resolved == sum(row["Resolved"] == "Y" for row in rows)
        assert float(whole.average_wait) == mean(row["Speed of answer in seconds"] for row in answered)
        assert float(whole.average_talk) == mean(seconds(row["AvgTalkDuration"]) for row in answered)
        assert float(whole.average_satisfaction) == mean(row["Satisfaction rating"] for row in answered)
        by_agent = {each.label: (each.calls, each.abandoned) for each in incoming(reader, "agent", "", since, None)}
        assert by_agent == share(Counter(r["Agent"] for r in rows if r["Answered (Y/N)"] == "N"),
                                 Counter(r["Agent"] for r in rows))  # fmt: skip
        by_topic = {each.label: each.calls for each in incoming(reader, "wrap_up", "", since, None)}
        assert by_topic == Counter(row["Topic"] for row in rows)
        by_month = {each.label: each.calls for each in incoming(reader, "month", "", since, None)}
        assert by_month == Counter(str(row["Date"])[:7] for row in rows)
        in_time = sum(row["Speed of answer in seconds"] <= 20 for row in answered)
        assert float(whole.service_level) == round(100 * in_time / 5000, 2)


def seconds(time: dt.time) -> int:
    return time.hour * 3600 + time.minute * 60 + time.second


def mean(values: Any) -> float:
    kept = [int(value) for value in values]
    return round(sum(kept) / len(kept), 2)
