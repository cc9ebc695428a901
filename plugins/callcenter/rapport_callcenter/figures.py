"""Figures: calls counted, summed and divided, by whatever one wants to know them by.

Everything is a sum, so that parts add up; shares and averages are made of sums at the end. The database groups; only
hours are grouped once more, by the clock of the business, which no database keeps the same way.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, case, cast, extract, func, select

from rapport import Customer, Invalid, Problem, Reader, User, column_of
from rapport import gettext as _
from rapport_callcenter.entities import SPOKEN, TICKS, Call, CallList, Disposition, Queue, Site, WrapUp

QUARTER = 900
"""Seconds: every time zone there is begins its hours with a quarter of an hour."""
UNTITLED = "–"


@dataclass(slots=True)
class Figures:
    """What is known of some calls together."""

    key: Any = None
    label: str = ""
    sums: dict[str, int] = field(default_factory=dict)

    def add(self, sums: Mapping[str, int | None]) -> None:
        """Count some more in."""
        for name, value in sums.items():
            if name == "longest":
                self.sums[name] = max(self.sums.get(name, 0), int(value or 0))
            else:
                self.sums[name] = self.sums.get(name, 0) + int(value or 0)

    def __getattr__(self, name: str) -> Any:
        """A sum by its name; `<a>_rate` is a share in percent, see RATES."""
        if name.startswith("_"):
            raise AttributeError(name)
        if name in RATES:
            above, below, factor = RATES[name]
            whole = self.sums.get(below, 0)
            return None if not whole else (Decimal(self.sums.get(above, 0)) * factor / whole).quantize(Decimal("0.01"))
        return self.sums.get(name, 0)


RATES: Mapping[str, tuple[str, str, int]] = {
    "conversion": ("success", "calls", 100), "reach_rate": ("spoken", "calls", 100),
    "per_reached": ("success", "spoken", 100), "abandoned_rate": ("abandoned", "calls", 100),
    "service_level": ("in_time", "calls", 100), "resolved_rate": ("resolved", "answered", 100),
    "average_wait": ("waited", "waits", 1), "average_talk": ("talked", "talks", 1),
    "average_satisfaction": ("stars", "rated", 1),
    **{f"{tick}_rate": (tick, "calls", 100) for tick in TICKS},
}  # fmt: skip
"""Each rate: what is counted, of what, times how much."""


def _count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, 1), else_=0))


def sums() -> dict[str, ColumnElement[Any]]:
    """What is summed up of calls. In time is who was answered within the seconds of their queue (20 without one)."""
    answered = Call.answered_at.is_not(None)
    return {
        "calls": func.count(Call.id), "answered": _count(answered), "abandoned": _count(Call.status == "abandoned"),
        "spoken": _count(Call.result.in_(SPOKEN)), "success": _count(Call.result == "success"),
        "declined": _count(Call.result == "refused"),
        "in_time": _count(answered & (Call.waited <= func.coalesce(Queue.answer_within, 20))),
        "waited": func.sum(case((answered, Call.waited), else_=0)),
        "waits": _count(answered & Call.waited.is_not(None)), "longest": func.max(Call.waited),
        "talked": func.sum(Call.talked), "talks": func.count(Call.talked),
        "resolved": _count(Call.resolved.is_(True)), "stars": func.sum(Call.satisfaction),
        "rated": func.count(Call.satisfaction),
        **{tick: _count(getattr(Call, tick).is_(True)) for tick in TICKS},
    }  # fmt: skip


REFERENCES: Mapping[str, tuple[Any, Any]] = {
    "list": (Call.list_id, CallList), "agent": (Call.agent_id, User), "queue": (Call.queue_id, Queue),
    "site": (Call.site_id, Site), "wrap_up": (Call.wrap_up_id, WrapUp),
    "disposition": (Call.disposition_id, Disposition),
}  # fmt: skip
TIMES: Mapping[str, Callable[[dt.datetime], str]] = {
    "month": lambda at: at.strftime("%Y-%m"), "day": lambda at: at.strftime("%Y-%m-%d"),
    "hour": lambda at: at.strftime("%H:00"), "weekday": lambda at: str(at.isoweekday()),
}  # fmt: skip
COLUMNS: Mapping[str, Any] = {"campaign": CallList.campaign, "line": Call.line}


def figures(
    reader: Reader, by: str, *where: ColumnElement[bool], attribute: str = ""
) -> list[Figures]:  # fmt: skip
    """The figures of calls that meet conditions, by list, agent, queue, site, wrap_up, disposition, month, day, hour,
    weekday, campaign, line, or a field of the customer (`attribute`). Only what the reader may see counts."""
    if not reader.actor.may("callcenter.call.read"):
        return []
    if by in TIMES:
        return _by_time(reader, TIMES[by], where)
    if by == "all":
        return _grouped(reader, None, where)
    key = _attribute(reader, attribute) if by == "customer" else REFERENCES[by][0] if by in REFERENCES else COLUMNS[by]
    rows = _grouped(reader, key, where)
    names: Mapping[UUID, str] = reader.titles(REFERENCES[by][1], [row.key for row in rows]) if by in REFERENCES else {}
    for row in rows:
        row.label = (names.get(row.key, UNTITLED) if by in REFERENCES else str(row.key or "")) or UNTITLED
    return sorted(rows, key=lambda row: (-row.calls, row.label))


def _attribute(reader: Reader, name: str) -> ColumnElement[Any]:
    """A field of customers to break calls down by."""
    known = reader.site.meta(Customer).fields.get(name)
    if known is None or known.secret or known.kind not in {"text", "choice", "integer", "flag", "date"}:
        raise Invalid(Problem("attribute", _("is no field of customers that calls can be broken down by.")))
    return column_of(Customer, known)


def _by_time(
    reader: Reader, say: Callable[[dt.datetime], str], where: Sequence[ColumnElement[bool]]
) -> list[Figures]:  # fmt: skip
    zone = ZoneInfo(str(reader.site.settings.get("core.zone") or "UTC"))
    quarter = cast(extract("epoch", Call.rang_at), BigInteger) / QUARTER
    found: dict[str, Figures] = {}
    for row in _grouped(reader, cast(quarter, BigInteger), where):
        label = say(dt.datetime.fromtimestamp(int(row.key) * QUARTER, zone))
        found.setdefault(label, Figures(label, label)).add(row.sums)
    return [found[label] for label in sorted(found)]


def _grouped(reader: Reader, key: Any, where: Sequence[ColumnElement[bool]]) -> list[Figures]:
    wanted = sums()
    columns = [column.label(name) for name, column in wanted.items()]
    statement = (
        select(*([key.label("key")] if key is not None else []), *columns)
        .select_from(Call)
        .outerjoin(Queue, Queue.id == Call.queue_id)
        .outerjoin(CallList, CallList.id == Call.list_id)
        .outerjoin(Customer, Customer.id == Call.customer_id)
        .where(Call.archived_at.is_(None), *where)
    )
    if key is not None:
        statement = statement.group_by(key)
    rows = []
    for row in reader.session.execute(statement):
        made = Figures(row.key if key is not None else None)
        made.add({name: getattr(row, name) for name in wanted})
        rows.append(made)
    return rows
