"""The facts behind the pieces that the help desk shows: time left, answering, other cases of the customer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import Customer, Formats, Panel, Reader, User, ngettext, utcnow
from rapport import gettext as _
from rapport_service import knowledge
from rapport_service.entities import DONE, NEXT, OPEN, STATUSES, Case
from rapport_service.macros import Macro
from rapport_service.sla import GOALS, Clock, Sla

Facts = Mapping[str, Any]
READ = "service.case.read"
SOON = dt.timedelta(hours=1)
FEW = 5


def panels() -> list[Panel]:
    """Every panel of the help desk, by place."""
    return [
        Panel("home", "Cases that need you", "service/needed.html", needed, READ, "lifebuoy", 15),
        Panel("customer.side", "Cases", "service/of_customer.html", of_customer, READ, "lifebuoy", 15),
        Panel("service.case.main", "Answer", "service/answer.html", answer_facts, READ, "send", 5),
        Panel("service.case.side", "Times", "service/clocks.html", clock_facts, READ, "clock-check", 5),
        Panel("service.case.side", "Other cases of this customer", "service/others.html", others, READ, "history", 10),
        Panel("service.case.side", "What may help", "service/help.html", None, "service.article.read", "book", 15),
    ]


@dataclass(frozen=True, slots=True)
class Left:
    """How much time there is, as one reads it at a glance."""

    text: str
    tone: str
    at: dt.datetime | None = None


def left(formats: Formats, due_at: dt.datetime | None, on_time: str) -> Left:
    """The countdown of a case or a clock; an empty text where nothing was agreed."""
    if due_at is not None:
        away = (due_at - utcnow()).total_seconds()
        if away <= 0:
            return Left(_("%(time)s late", time=formats.duration(-away)), "red", due_at)
        soon = away < SOON.total_seconds() or on_time == "late"
        return Left(_("%(time)s left", time=formats.duration(away)), "orange" if soon else "blue", due_at)
    texts = {"paused": (_("Paused"), "neutral"), "kept": (_("On time"), "green"), "missed": (_("Was late"), "red"),
             "late": (_("Late"), "red")}  # fmt: skip
    return Left(*texts.get(on_time, ("", "neutral")))


def countdowns(reader: Reader, ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """The column of lists: how much time there is for each case."""
    formats = formats_of(reader)
    rows = reader.session.execute(select(Case.id, Case.due_at, Case.on_time).where(Case.id.in_(list(ids))))
    return {row.id: left(formats, row.due_at, row.on_time).text for row in rows}


def formats_of(reader: Reader) -> Formats:
    """Times as the reader has them."""
    return Formats(reader.actor.language, reader.actor.time_zone)


def rows_of(reader: Reader, found: Sequence[Case], *, whose: bool = True) -> list[dict[str, Any]]:
    """Cases with the time that is left, and, where `whose` it is shall be told, their customers: one more query."""
    formats = formats_of(reader)
    names = reader.titles(Customer, [each.customer_id for each in found]) if whose else {}
    return [
        {"case": each, "customer": names.get(each.customer_id, ""), "left": left(formats, each.due_at, each.on_time)}
        for each in found
    ]


def mine(reader: Reader, *, limit: int) -> list[Case]:
    """What the reader has to act on, the most urgent first."""
    here = (Case.owner_id == reader.actor.id, Case.status.in_(OPEN), Case.archived_at.is_(None))
    return reader.all(Case, *here, order=(Case.due_at.is_(None), Case.due_at, Case.opened_at), limit=limit)


def needed(reader: Reader) -> Facts:
    """My open cases, what is due first at the top."""
    return {"rows": rows_of(reader, mine(reader, limit=FEW + 1))[:FEW]}


def of_customer(reader: Reader, record: Customer) -> Facts:
    """The newest cases of a customer."""
    found = reader.all(
        Case, Case.customer_id == record.id, Case.archived_at.is_(None), Case.merged_into_id.is_(None),
        order=(Case.status.in_(DONE), Case.opened_at.desc()), limit=FEW + 1,
    )  # fmt: skip
    return {"rows": rows_of(reader, found[:FEW], whose=False), "more": len(found) > FEW, "customer_id": record.id,
            "labels": labels(), "may_create": reader.actor.may("service.case.create")}  # fmt: skip


def others(reader: Reader, record: Case) -> Facts:
    """What else this customer had, and whether this case was merged."""
    found = reader.all(
        Case, Case.customer_id == record.customer_id, Case.id != record.id, Case.archived_at.is_(None),
        order=Case.opened_at.desc(), limit=FEW + 1,
    )  # fmt: skip
    return {"rows": rows_of(reader, found[:FEW], whose=False), "more": len(found) > FEW, "labels": labels()}


def clock_facts(reader: Reader, record: Case) -> Facts:
    """What was agreed for a case, and how much of it is left."""
    formats = formats_of(reader)
    goals = {choice.value: choice.label for choice in GOALS}
    order = list(goals.values())
    clocks = reader.all(Clock, Clock.case_id == record.id, Clock.archived_at.is_(None), order=Clock.id, limit=20)
    shown: list[dict[str, Any]] = []
    for each in clocks:
        state = "missed" if each.missed_at else {"paused": "paused", "done": "kept"}.get(each.state, "running")
        what = left(formats, each.due_at, "missed" if each.state == "done" and each.missed_at else state)
        shown.append({"goal": goals[each.goal], "left": what, "within": _within(each.minutes)})
    shown.sort(key=lambda each: order.index(each["goal"]))
    level = reader.titles(Sla, [record.sla_id]).get(record.sla_id, "") if record.sla_id is not None else ""
    return {"clocks": shown, "level": level}


def _within(minutes: int) -> str:
    """A target in the hours in which it is counted: those of business."""
    if minutes % 60:
        return ngettext("within %(num)s minute of business hours", "within %(num)s minutes of business hours", minutes)
    return ngettext("within %(num)s business hour", "within %(num)s business hours", minutes // 60)


def answer_facts(reader: Reader, record: Case) -> Facts:
    """Everything to answer with."""
    if record.merged_into_id is not None or not reader.actor.may("service.case.update"):
        return {"may": False, "merged": record.merged_into_id}
    macros = reader.all(Macro, Macro.active.is_(True), Macro.archived_at.is_(None), order=Macro.name, limit=100)
    known = labels()
    return {
        "may": record.archived_at is None, "merged": None, "text": "", "errors": {}, "chosen": "",
        "macros": [(str(each.id), each.name) for each in macros],
        "stay": _("Leave it “%(status)s”", status=_(known[record.status].label)),
        "statuses": [(each, _(known[each].label)) for each in NEXT[record.status]],
    }  # fmt: skip


def labels() -> dict[str, Any]:
    """Statuses with their label and colour."""
    return {choice.value: choice for choice in STATUSES}


def help_facts(reader: Reader, case: Case) -> Facts:
    """Articles about what a case is about, and cases that were like it."""
    customer = reader.get(Customer, case.customer_id)
    articles = knowledge.suggest(reader, case.subject, language=customer.language or "")
    alike: list[Case] = []
    if ids := [each for each in knowledge.found_by_words(reader, case.subject, Case) if each != case.id][:20]:
        rank = {each: place for place, each in enumerate(ids)}
        found = reader.all(Case, Case.id.in_(ids), Case.status.in_(DONE), Case.merged_into_id.is_(None))
        alike = sorted(found, key=lambda each: rank[each.id])[:3]
    return {"articles": articles, "alike": alike, "case": case}


def names_of(reader: Reader, ids: Sequence[UUID | None]) -> Mapping[UUID, str]:
    """People's names."""
    return reader.titles(User, ids)
