"""The reports of the call centre: what calling brings, and how well calls that come in are taken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, ColumnElement, cast, func, select

from rapport import N_, Choice, Field, Reader, Report
from rapport_callcenter.entities import STATES, TICKS, Agent, Call, Spell
from rapport_callcenter.figures import Figures, figures

DAYS = 90
BREAKDOWNS = (
    Choice("month", N_("Month")), Choice("day", N_("Day")), Choice("hour", N_("Hour of the day")),
    Choice("weekday", N_("Day of the week")), Choice("agent", N_("Agent")), Choice("site", N_("Site")),
)  # fmt: skip
OUT = (Choice("list", N_("Call list")), Choice("campaign", N_("Campaign")), *BREAKDOWNS,
       Choice("disposition", N_("Disposition")), Choice("line", N_("Kind of line")),
       Choice("customer", N_("A field of customers")))  # fmt: skip
IN = (*BREAKDOWNS, Choice("queue", N_("Queue")), Choice("wrap_up", N_("Wrap-up code")),
      Choice("customer", N_("A field of customers")))  # fmt: skip
ATTRIBUTE = Field("attribute", "Field of customers", "text", default="",
                  help="Its name, such as job_title, industry or x_segment; for the last choice.")  # fmt: skip


def reports() -> list[Report]:
    """Outgoing and incoming calls, each by whatever one chooses."""
    since = Field("since", "Since", "date", help="Left empty: the last 90 days.")
    until = Field("until", "Until", "date", help="The last day. Left empty: today.")
    return [
        Report(
            "callcenter.outgoing", "Calling: what it brings", needs="callcenter.call.read", icon="phone-outgoing",
            help="Calls, how many were reached, and how many were a success.",
            fields=[Field("by", "By", "choice", choices=OUT, default="list"), ATTRIBUTE, since, until,
                    Field("list_id", "Call list", "reference", target="callcenter.call_list")],
            columns=[
                Field("label", "By", "text"), Field("calls", "Calls", "integer"),
                Field("spoken", "Reached", "integer"), Field("reach_rate", "Reached in %", "decimal"),
                Field("success", "Successes", "integer"), Field("conversion", "Conversion in %", "decimal"),
                Field("per_reached", "Of those reached in %", "decimal"), Field("declined", "Declined", "integer"),
                Field("talked", "Talked (s)", "integer"), Field("average_talk", "Talked on average (s)", "decimal"),
            ],
            rows=outgoing, template="callcenter/curve.html",
        ),
        Report(
            "callcenter.incoming", "Calls that came in", needs="callcenter.call.read", icon="phone-incoming",
            help="How many came in, were answered in time or abandoned, and what they were about.",
            fields=[Field("by", "By", "choice", choices=IN, default="day"), ATTRIBUTE, since, until],
            columns=[
                Field("label", "By", "text"), Field("calls", "Calls", "integer"),
                Field("answered", "Answered", "integer"), Field("abandoned", "Abandoned", "integer"),
                Field("abandoned_rate", "Abandoned in %", "decimal"),
                Field("service_level", "In time in %", "decimal"),
                Field("average_wait", "Waited on average (s)", "decimal"),
                Field("longest", "Longest wait (s)", "integer"),
                Field("average_talk", "Talked on average (s)", "decimal"), Field("talked", "Talked (s)", "integer"),
                Field("complaint", "Complaints", "integer"), Field("complaint_rate", "Complaints in %", "decimal"),
                Field("quality", "Quality problems", "integer"), Field("quality_rate", "Quality in %", "decimal"),
                Field("replacement", "Replacements", "integer"),
                Field("replacement_rate", "Replacements in %", "decimal"),
                Field("refund", "Refunds", "integer"), Field("refund_rate", "Refunds in %", "decimal"),
                Field("resolved_rate", "Resolved in %", "decimal"),
                Field("average_satisfaction", "Satisfaction", "decimal"),
            ],
            rows=incoming, template="callcenter/curve.html",
        ),
        Report(
            "callcenter.agents", "Agents: what they did how long", needs="callcenter.spell.read", icon="headset",
            help="Minutes in each state, of what is over.",
            fields=[since, until],
            columns=[
                Field("name", "Agent", "text"), Field("state", "State", "choice", choices=tuple(STATES)),
                Field("reason", "Reason", "text"), Field("times", "How often", "integer"),
                Field("minutes", "Minutes", "integer"),
            ],
            rows=time_in_states,
        ),
    ]  # fmt: skip


def time_in_states(reader: Reader, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """How often and how long each agent was available, in calls, wrapping up or in which pause."""
    seconds = func.sum(Spell.seconds)
    return reader.session.execute(
        select(Agent.name, Spell.state, Spell.reason, func.count(Spell.id).label("times"),
               cast(seconds / 60, BigInteger).label("minutes"))
        .join(Agent, Agent.id == Spell.agent_id)
        .where(Spell.ended_at.is_not(None), *_between(reader, Spell.began_at, since, until))
        .group_by(Agent.name, Spell.state, Spell.reason)
        .order_by(Agent.name, seconds.desc())
    ).all()  # fmt: skip


def outgoing(
    reader: Reader, by: str, attribute: str, since: dt.date | None, until: dt.date | None, list_id: UUID | None
) -> Sequence[Any]:  # fmt: skip
    """Calls that went out. Conversion = successes / calls."""
    where = [*_between(reader, Call.rang_at, since, until), Call.direction == "out"]
    if list_id is not None:
        where.append(Call.list_id == list_id)
    return _named(figures(reader, _by(by, attribute), *where, attribute=attribute))


def incoming(reader: Reader, by: str, attribute: str, since: dt.date | None, until: dt.date | None) -> Sequence[Any]:
    """Calls that came in. In time = answered within the seconds of the queue / all that came in."""
    where = [*_between(reader, Call.rang_at, since, until), Call.direction == "in"]
    return _named(figures(reader, _by(by, attribute), *where, attribute=attribute))


def _by(by: str, attribute: str) -> str:
    return "all" if by == "customer" and not attribute else by


def _named(rows: list[Figures]) -> list[Figures]:
    """Everything together has no name of its own."""
    for row in rows:
        row.label = row.label or "–"
    return [row for row in rows if row.calls]


def _between(reader: Reader, when: Any, since: dt.date | None, until: dt.date | None) -> list[ColumnElement[bool]]:
    """From the first moment of a day to the last one of another, by the clock of the business."""
    zone = ZoneInfo(str(reader.site.settings.get("core.zone") or "UTC"))
    begin = since or reader.today() - dt.timedelta(days=DAYS)
    conditions = [when >= dt.datetime.combine(begin, dt.time(), zone)]
    if until is not None:
        conditions.append(when < dt.datetime.combine(until + dt.timedelta(days=1), dt.time(), zone))
    return conditions


__all__ = ["TICKS", "incoming", "outgoing", "reports"]
