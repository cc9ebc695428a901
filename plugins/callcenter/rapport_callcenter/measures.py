"""The figures of the call centre that can be asked for by any dimension: calls, how they ended, how long they took."""

from __future__ import annotations

from typing import Any

from rapport import Dimension, Measure, hours_of

CALL = "callcenter.call"
IN, OUT = 'direction = "in"', 'direction = "out"'
ANSWERED, ABANDONED = "answered_at is not empty", 'status = "abandoned"'


def measures() -> list[Measure]:
    """Every figure of the call centre."""
    calls: dict[str, Any] = {"of": CALL, "at": "rang_at"}
    return [
        Measure("callcenter.calls_out", "Calls out", filter=OUT, **calls),
        Measure("callcenter.calls_in", "Calls in", filter=IN, **calls),
        Measure("callcenter.answered", "Calls in, answered", filter=f"{IN} and {ANSWERED}", **calls),
        Measure("callcenter.abandoned", "Calls in, abandoned", filter=f"{IN} and {ABANDONED}", better="down", **calls),
        Measure("callcenter.abandoned_share", "Abandoned, share", kind="percent", better="down",
                over=("callcenter.abandoned", "callcenter.calls_in")),
        Measure("callcenter.answered_share", "Answered, share", kind="percent",
                over=("callcenter.answered", "callcenter.calls_in")),
        Measure("callcenter.reached", "Calls out, reached", filter=f"{OUT} and {ANSWERED}", **calls),
        Measure("callcenter.successes", "Calls out, success", filter=f'{OUT} and result = "success"', **calls),
        Measure("callcenter.conversion", "Success of calls out", kind="percent",
                over=("callcenter.successes", "callcenter.calls_out")),
        Measure("callcenter.talk_time", "Hours talked", how="sum", value=_talked, kind="hours",
                filter="talked is not empty", **calls),
        Measure("callcenter.average_talk", "Hours talked in a call", how="average", value=_talked, kind="hours",
                filter="talked is not empty", **calls),
        Measure("callcenter.average_wait", "Hours waited in a call", how="average", value=_waited, kind="hours",
                filter=f"{IN} and waited is not empty", better="down", **calls),
        Measure("callcenter.complaints", "Complaints by phone", filter="complaint = true", better="down", **calls),
        Measure("callcenter.satisfaction", "Satisfaction with calls", how="average", value="satisfaction",
                kind="decimal", filter="satisfaction is not empty", **calls),
        Measure("callcenter.wrap_up_time", "Hours of wrapping up", of="callcenter.spell", how="sum", value=_spent,
                at="began_at", filter='state = "wrap_up" and seconds is not empty', kind="hours", better="down"),
        Measure("callcenter.state_time", "Hours of agents", of="callcenter.spell", how="sum", value=_spent,
                at="began_at", filter="seconds is not empty", kind="hours", help="In any state: told apart by it."),
    ]  # fmt: skip


def dimensions() -> list[Dimension]:
    """What is told apart in the call centre."""
    return [
        Dimension("callcenter.agent", "Who spoke", of=CALL, value="agent_id"),
        Dimension("callcenter.result", "Result of the call", of=CALL, value="result"),
        Dimension("callcenter.line", "Kind of line", of=CALL, value="line"),
        Dimension("callcenter.queue", "Queue of calls", of="callcenter.queue", value="id"),
        Dimension("callcenter.site", "Site", of=CALL, value="site_id"),
        Dimension("callcenter.list", "Call list", of="callcenter.call_list", value="id"),
        Dimension("callcenter.disposition", "Disposition", of="callcenter.disposition", value="id"),
        Dimension("callcenter.wrap_up", "Wrap-up code", of="callcenter.wrap_up", value="id"),
        Dimension("callcenter.state", "State of the agent", of="callcenter.spell", value="state"),
        Dimension("callcenter.person", "Agent", of="callcenter.agent", value="id"),
    ]


def _talked(call: Any) -> Any:
    return hours_of(call.talked)


def _waited(call: Any) -> Any:
    return hours_of(call.waited)


def _spent(spell: Any) -> Any:
    return hours_of(spell.seconds)
