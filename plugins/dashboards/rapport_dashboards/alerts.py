"""Alerts: somebody is told when a figure of their own goes astray, once, and again only after it was well."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from rapport_warehouse import Answer, NotFilled, Question, answer, as_of
from sqlalchemy import select

from rapport import (
    Actor,
    Forbidden,
    Invalid,
    JobContext,
    Membership,
    NotFound,
    Reader,
    Site,
    Task,
    Unit,
    User,
    enqueue_mail,
    gettext,
    system,
    utcnow,
)
from rapport_dashboards.boards import may_ask
from rapport_dashboards.entities import DASHBOARD, Alert, AlertState, Card
from rapport_dashboards.figures import currency_of, formats_of, write

JOB = "dashboards.check_alerts"
MOST = 10_000
PAUSE = {"day": dt.timedelta(hours=23, minutes=45), "week": dt.timedelta(days=6, hours=23, minutes=45)}
"""A little less than its name, so that a run that is a moment early does not wait for the next."""


def check_all(context: JobContext) -> str:
    """Look at every alert whose time has come."""
    site, told = context.site, 0
    known = as_of(site)
    if known is None:
        return "The warehouse is not filled yet."
    with site.read(system("alerts")) as reader:
        every = reader.all(Alert, Alert.active.is_(True), Alert.archived_at.is_(None), limit=MOST)
        waiting = [each.id for each in every if due(each, known, utcnow())]
    for number, alert_id in enumerate(waiting, start=1):
        told += check(site, alert_id)
        context.progress(number, len(waiting))
    return f"{len(waiting)} alerts looked at, {told} people told."


def due(alert: Alert, known: dt.datetime, now: dt.datetime) -> bool:
    """Whether an alert is to be looked at: when the figures moved, or a day or a week has gone by."""
    if alert.checked_at is None:
        return True
    pause = PAUSE.get(alert.often)
    return known > alert.checked_at if pause is None else now - alert.checked_at >= pause


def check(site: Site, alert_id: UUID) -> int:
    """Look at one alert for everybody it tells, each by the figures they may see. Returns how many were told."""
    told = 0
    with site.write(system("alerts")) as unit:
        alert = unit.get(Alert, alert_id)
        states = {each.user_id: each for each in unit.reader.all(AlertState, AlertState.alert_id == alert_id)}
        for actor in _told(unit, alert):
            found = _figure(site, actor, alert)
            if found is None:
                continue
            value, compared, shown = found
            astray = is_astray(alert, value, compared)
            state = states.get(_id(actor))
            if astray and (state is None or state.state == "well"):
                _tell(unit, actor, alert, shown)
                told += 1
            values: dict[str, Any] = {"state": "astray" if astray else "well", "value": value}
            if astray and (state is None or state.state == "well"):
                values["told_at"] = utcnow()
            if state is None:
                unit.session.add(AlertState(alert_id=alert_id, user_id=_id(actor), **values))
            else:
                for name, each in values.items():
                    setattr(state, name, each)
        alert.checked_at = utcnow()
    if told:
        site.wake()
    return told


def _id(actor: Actor) -> UUID:
    assert actor.id is not None, "those who are told are users"
    return actor.id


def _told(unit: Unit, alert: Alert) -> Iterator[Actor]:
    """Whom an alert tells, as they may see things now; who has left is not told."""
    ids = {alert.user_id} if alert.user_id is not None else set()
    if alert.tell_team_id is not None:
        ids |= set(unit.session.scalars(select(Membership.user_id).where(Membership.team_id == alert.tell_team_id)))
    if not ids and alert.owner_id is not None:
        ids = {alert.owner_id}
    for user_id in sorted(each for each in ids if each is not None):
        actor = unit.site.actor(user_id)
        if actor is not None:
            yield actor


def _figure(site: Site, actor: Actor, alert: Alert) -> tuple[Decimal, Decimal | None, str] | None:
    """The figure as that person sees it, the one before it, and both in words; None where there is nothing to see."""
    with site.read(actor) as reader:
        try:
            card = reader.get(Card, alert.card_id)
            if not may_ask(site, actor, card):
                return None
            question = Question.from_json(card.question)
            compare = "previous" if alert.condition in {"fell", "rose"} else ""
            found = answer(reader, replace(question, rows=(), columns=(), top=0, order="", compare=compare, share=False,
                                           running=False))  # fmt: skip
        except (Forbidden, Invalid, NotFound, NotFilled):
            return None
        return _read(reader, found)


def _read(reader: Reader, found: Answer) -> tuple[Decimal, Decimal | None, str] | None:
    """The one figure of an answer: of several currencies, that of the business."""
    info, usual = found.measures[0], str(reader.site.settings.get("core.currency") or "")
    cells = [
        (currency_of(info, heading), cell) for at, heading in enumerate(found.columns)
        if (cell := found.cells.get((0, at, info.name))) is not None
    ]  # fmt: skip
    chosen = next((each for each in cells if each[0] == usual), cells[0] if cells else None)
    if chosen is None or chosen[1].value is None:
        return (Decimal(0), None, write(formats_of(reader), 0, info, usual)) if info.kind == "integer" else None
    currency, cell = chosen
    compared = None if cell.compared is None else Decimal(str(cell.compared))
    return Decimal(str(cell.value)), compared, write(formats_of(reader), cell.value or 0, info, currency)


def is_astray(alert: Alert, value: Decimal, compared: Decimal | None) -> bool:
    """Whether a figure is where an alert says it should not be."""
    limit = alert.threshold
    if alert.condition == "below":
        return value < limit
    if alert.condition == "above":
        return value > limit
    if not compared:
        return False
    moved = 100 * (value - compared) / abs(compared)
    return moved < -limit if alert.condition == "fell" else moved > limit


def _tell(unit: Unit, actor: Actor, alert: Alert, shown: str) -> None:
    """Say it, in that person's language, as a task of theirs or by mail."""
    site: Any = unit.site
    card = unit.get(Card, alert.card_id)
    where = f"{site.config.base_url}/dashboards/{card.dashboard_id}"
    with site.speaking(actor.language):
        title = gettext("%(name)s: %(card)s is %(value)s", name=alert.name, card=gettext(card.title), value=shown)
        text = gettext("You are told once. You hear of it again after it was well in between.")
    if alert.way == "mail":
        user = unit.get(User, _id(actor))
        enqueue_mail(site, unit.session.connection(), to=user.email, subject=title,
                     text=f"{title}\n{where}\n\n{text}\n", user_id=user.id)  # fmt: skip
        return
    unit.create(
        Task,
        {"title": title, "owner_id": str(actor.id), "due_on": unit.reader.today().isoformat(), "priority": "high",
         "note": f"{where}\n{text}", "about_entity": DASHBOARD, "about_id": str(card.dashboard_id)},
    )  # fmt: skip
