"""The facts behind the pieces that the call centre shows on other pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from rapport import Customer, Panel, Reader, utcnow
from rapport_callcenter.entities import Answer, Call, CallList, Entry
from rapport_callcenter.figures import Figures, figures

Facts = Mapping[str, Any]


def panels() -> list[Panel]:
    """Every panel of the call centre, by place."""
    return [
        Panel("home", "Call-backs you promised", "callcenter/promised.html", promised_facts,
              "callcenter.entry.update", "phone-call", 25),
        Panel("callcenter.call_list.side", "How it goes", "callcenter/progress.html", progress_facts,
              "callcenter.call.read", "chart-bar", 10),
        Panel("callcenter.call.side", "Answers", "callcenter/answers.html", answers_facts, "callcenter.answer.read",
              "message-2", 10),
    ]  # fmt: skip


def promised_facts(reader: Reader) -> Facts:
    """What I promised, the nearest first."""
    mine = (Entry.wished_id == reader.actor.id, Entry.state == "call_back", Entry.archived_at.is_(None))
    entries = reader.all(Entry, *mine, order=Entry.next_at, limit=8)
    return {
        "entries": entries, "now": utcnow(),
        "names": reader.titles(Customer, [each.customer_id for each in entries]),
        "lists": reader.titles(CallList, [each.list_id for each in entries]),
    }  # fmt: skip


def progress_facts(reader: Reader, record: Any) -> Facts:
    """Who is left to be called, what came of the calls, and why some are not called."""
    rows = reader.session.execute(
        select(Entry.state, func.count()).where(Entry.list_id == record.id).group_by(Entry.state)
    )
    counted = {row[0]: row[1] for row in rows}
    reasons = reader.session.execute(
        select(Entry.reason, func.count().label("count")).where(Entry.list_id == record.id, Entry.state == "refused")
        .group_by(Entry.reason).order_by(func.count().desc(), Entry.reason).limit(8)
    ).all()  # fmt: skip
    labels = {each.value: each for each in Entry.meta.fields["state"].choices}
    together = figures(reader, "all", Call.list_id == record.id)
    return {
        "states": [(labels[state], counted[state]) for state in labels if counted.get(state)],
        "reasons": reasons, "figures": together[0] if together else Figures(), "total": sum(counted.values()),
        "record": record,
    }  # fmt: skip


def answers_facts(reader: Reader, record: Any) -> Facts:
    """What the customer answered to the questions of the script."""
    return {"answers": reader.all(Answer, Answer.call_id == record.id, Answer.question != "", order=Answer.id)}
