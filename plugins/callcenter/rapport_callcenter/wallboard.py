"""The wallboard: how the centre is doing now, for a big screen on the wall and for a phone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, render_template
from sqlalchemy import func, select
from werkzeug.wrappers import Response as BaseResponse

from rapport import Reader, utcnow
from rapport import gettext as _
from rapport.http import current_actor, current_site, needs
from rapport_callcenter import simulator
from rapport_callcenter.entities import Agent, Call, Queue, Site
from rapport_callcenter.figures import Figures, figures
from rapport_callcenter.pages import go, say

LOOK = "callcenter.call.read"
MOST_AGENTS = 60


def make_blueprint() -> Blueprint:
    """The pages of the wallboard."""
    pages = Blueprint("callcenter_wallboard", __name__)
    for rule, view, methods in (
        ("/callcenter/wallboard", wallboard, ["GET"]),
        ("/callcenter/wallboard/now", now, ["GET"]),
        ("/callcenter/wallboard/simulate", simulate, ["POST"]),
    ):
        pages.add_url_rule(rule, view_func=view, methods=methods)
    return pages


@needs(LOOK)
def wallboard() -> str:
    """The page; what changes on it is asked for every five seconds."""
    with current_site().read(current_actor()) as reader:
        return render_template("callcenter/wallboard.html", **_facts(reader))


@needs(LOOK)
def now() -> str:
    """What changes."""
    with current_site().read(current_actor()) as reader:
        return render_template("callcenter/wall.html", **_facts(reader))


@needs("callcenter.queue.update")
def simulate() -> BaseResponse:
    """Let it ring for ten minutes, for trying the centre out."""
    with current_site().write(current_actor()) as unit:
        simulator.begin(unit)
    current_site().wake()
    say(_("It rings for ten minutes."))
    return go("/callcenter/wallboard")


# What it shows -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A queue: what waits, and how it went today."""

    name: str
    waiting: int
    longest: int
    today: Figures
    target: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Bar:
    """An hour of today: how many rang, how many of them were answered."""

    hour: int
    calls: int
    answered: int


def _facts(reader: Reader) -> dict[str, Any]:
    zone = ZoneInfo(str(reader.site.settings.get("core.zone") or "UTC"))
    moment = utcnow()
    midnight = dt.datetime.combine(moment.astimezone(zone).date(), dt.time(), zone)
    today = (Call.rang_at >= midnight, Call.direction == "in")
    together = figures(reader, "all", *today)
    lines = _lines(reader, today, moment)
    agents = reader.all(Agent, Agent.active.is_(True), Agent.archived_at.is_(None), order=(Agent.state, Agent.since),
                        limit=MOST_AGENTS)  # fmt: skip
    counted: dict[str, int] = {}
    for agent in agents:
        counted[agent.state] = counted.get(agent.state, 0) + 1
    return {
        "now": moment, "today": together[0] if together else Figures(), "lines": lines, "bars": _bars(reader, today),
        "waiting": sum(line.waiting for line in lines), "longest": max((line.longest for line in lines), default=0),
        "agents": agents, "sites": reader.titles(Site, [each.site_id for each in agents]),
        "states": [(each, counted.get(each.value, 0)) for each in Agent.meta.fields["state"].choices],
        "tones": {each.value: each for each in Agent.meta.fields["state"].choices},
        "target": min((line.target for line in lines if line.target), default=80),
        "may_simulate": reader.actor.may("callcenter.queue.update"),
    }  # fmt: skip


def _lines(reader: Reader, today: Sequence[Any], moment: dt.datetime) -> list[Line]:
    queues = reader.all(
        Queue, Queue.active.is_(True), Queue.archived_at.is_(None), order=(Queue.priority.desc(), Queue.name)
    )
    rows = reader.session.execute(
        select(Call.queue_id, func.count(), func.min(Call.rang_at))
        .where(Call.status == "ringing", Call.direction == "in", Call.archived_at.is_(None))
        .group_by(Call.queue_id)
    )
    waiting: Mapping[UUID | None, tuple[int, int]] = {
        row[0]: (row[1], max(0, int((moment - row[2]).total_seconds()))) for row in rows
    }
    done = {each.key: each for each in figures(reader, "queue", *today)}
    lines = [
        Line(
            queue.name, *waiting.get(queue.id, (0, 0)), done.get(queue.id, Figures()), queue.target, queue.answer_within
        )
        for queue in queues
    ]
    if None in waiting or None in done:
        lines.append(Line(_("No queue"), *waiting.get(None, (0, 0)), done.get(None, Figures()), 0, 20))
    return lines


def _bars(reader: Reader, today: Sequence[Any]) -> list[Bar]:
    """From the first to the last hour in which it rang, eight to six at least."""
    rows = {int(row.label[:2]): row for row in figures(reader, "hour", *today)}
    hours = range(min([8, *rows]), max([18, *rows]) + 1)
    return [Bar(hour, rows[hour].calls if hour in rows else 0, rows[hour].answered if hour in rows else 0)
            for hour in hours]  # fmt: skip
