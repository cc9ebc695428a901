"""The log of a real help desk: 4,580 tickets imported, and every figure of the reports is that of the raw file."""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import math
import os
import statistics
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import pytest
from rapport_service import Case
from rapport_service.queues import Queue
from rapport_service.sla import Sla, Target
from sqlalchemy import func, select

from rapport.builtin.exchange import imports

SHARED = Path(os.environ.get("RAPPORT_SHARED", Path(__file__).resolve().parents[4] / "shared"))
FILE = SHARED / "data" / "05_service" / "helpdesk_it.xes.gz"
XES = "{http://www.xes-standard.org/}"
PRIORITIES = {"Value 1": "normal", "Value 2": "high", "Value 3": "low", "Value 4": "urgent"}
ENDS = {"Closed": "closed", "Resolve ticket": "solved", "Wait": "pending", "Require upgrade": "hold"}
DAYS = {"normal": 30, "high": 20, "low": 60, "urgent": 10}
SINCE = dt.date(2000, 1, 1)

if not FILE.exists():
    pytest.skip(f"the real files are not here ({FILE})", allow_module_level=True)


def tickets() -> list[dict[str, str]]:
    """A row for each ticket: how it began, who took it, and how it ended."""
    with gzip.open(FILE) as file:
        traces = Tree.parse(file).getroot().iter(f"{XES}trace")
        return [_ticket(trace) for trace in traces]


def _ticket(trace: Any) -> dict[str, str]:
    events = [{each.get("key"): each.get("value") for each in event} for event in trace.findall(f"{XES}event")]
    last = events[-1]
    status = ENDS.get(last["concept:name"], "open")

    def at(name: str, place: int) -> str:
        times = [each["time:timestamp"] for each in events if each["concept:name"] == name]
        return times[place] if times else ""

    closed = at("Closed", -1) if status == "closed" else ""
    return {
        "ticket": trace.find(f"{XES}string").get("value"), "title": f"Ticket about {last['product']}",
        "customer": f"Customer {last['customer']}", "status": status, "kind": "problem",
        "priority": PRIORITIES[last["seriousness_2"]], "category": last["service_type"],
        "workgroup": f"Workgroup {last['workgroup']}", "opened": events[0]["time:timestamp"],
        "first_response": at("Take in charge ticket", 0), "closed_at": closed,
        "resolved": (at("Resolve ticket", -1) or closed) if status in {"solved", "closed"} else "",
    }  # fmt: skip


def taken_in(app: Any, entity: str, path: Path, rows: list[dict[str, str]]) -> Any:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    run = imports.start(app.site, app.admin, entity, path, path.name)
    return imports.run(app.site, app.admin, run.id), run


def seconds(row: dict[str, str], until: str) -> int | None:
    if not row[until]:
        return None
    return round((dt.datetime.fromisoformat(row[until]) - dt.datetime.fromisoformat(row["opened"])).total_seconds())


def hours(value: float) -> Decimal:
    return Decimal(str(value / 3600)).quantize(Decimal("0.01"))


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # one database is enough for many rows
def test_4580_tickets_are_imported_and_every_figure_is_that_of_the_file(make_app: Any, tmp_path: Path) -> None:
    rows = tickets()
    assert len(rows) == 4580
    with make_app(plugins=["service"]) as app:
        with app.site.write(app.admin) as unit:
            sla = unit.create(Sla, {"name": "Help desk"})
            for priority, days in DAYS.items():
                unit.create(Target, {"sla_id": sla.id, "priority": priority, "resolution": days * 24 * 60})
            for name in sorted({each["workgroup"] for each in rows}):
                unit.create(Queue, {"name": name})
        customers = [{"name": name} for name in sorted({each["customer"] for each in rows})]
        assert taken_in(app, "customer", tmp_path / "customers.csv", customers)[0].created == len(customers)
        done, run = taken_in(app, "service.case", tmp_path / "tickets.csv", rows)
        assert (done.created, done.refused) == (4580, 0), imports.problems(app.site, app.admin, run.id)
        app.settle()

        reports = app.site.reports
        with app.site.read(app.admin) as reader:
            assert reader.session.scalar(select(func.count(Case.id))) == 4580
            for by in ("priority", "status", "category", "queue"):
                column = {"queue": "workgroup"}.get(by, by)
                found = {each.name: each.cases for each in reports["service.cases"].rows(reader, SINCE, by)}
                shown = Counter(labelled(each[column], by) for each in rows)
                assert found == dict(shown), by
            for by, column in (("priority", "priority"), ("category", "category")):
                times = {(each.name, each.measure): each for each in reports["service.times"].rows(reader, SINCE, by)}
                for measure, until in (("first_response", "first_response"), ("resolution", "resolved")):
                    took: dict[str, list[int]] = defaultdict(list)
                    for row in rows:
                        if (passed := seconds(row, until)) is not None:
                            took[labelled(row[column], by)].append(max(0, passed))
                    assert {name for name, each in times if each == measure} == set(took)
                    for name, values in took.items():
                        line, ranked = times[name, measure], sorted(values)
                        assert line.cases == len(values)
                        assert line.median == hours(statistics.median(values))
                        assert line.ninetieth == hours(ranked[math.ceil(0.9 * len(ranked)) - 1])
            levels = {each.name: each for each in reports["service.levels"].rows(reader, SINCE, "priority")}
            for priority, days in DAYS.items():
                ended = [
                    seconds(each, "resolved") for each in rows if each["priority"] == priority and each["resolved"]
                ]
                late = sum(passed > days * 86400 for passed in ended if passed is not None)
                line = levels[labelled(priority, "priority")]
                open_ones = sum(each["priority"] == priority and not each["resolved"] for each in rows)
                assert line.kept == len(ended) - late
                assert line.missed + line.running == late + open_ones
            backlog = reports["service.backlog"].rows(reader)
            assert sum(each.cases for each in backlog) == sum(
                each["status"] not in {"solved", "closed"} for each in rows
            )


def labelled(value: str, by: str) -> str:
    names = {"pending": "Waiting for the customer", "hold": "On hold"}
    return names.get(value, value.capitalize()) if by in {"priority", "status"} else value
