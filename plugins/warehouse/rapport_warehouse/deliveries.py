"""The pages of reports by mail: which I have sent, which I get, and how each goes out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request
from werkzeug.wrappers import Response

from rapport import Formats, Invalid, Problem, Reader, Unit, User, system
from rapport import gettext as _
from rapport.documents import can_draw
from rapport.http import current_actor, current_site, needs
from rapport.i18n import time_zones
from rapport_warehouse import delivering
from rapport_warehouse.entities import DELIVERY, FORMATS, OFTEN, WEEKDAYS, Delivery, Recipient, Report
from rapport_warehouse.going import go

READ, CREATE, UPDATE, DELETE = (f"{DELIVERY}.{action}" for action in ("read", "create", "update", "delete"))
FIELDS = ("name", "format", "often", "weekday", "day", "hour", "zone")
MOST = 1_000
"""Colleagues that are offered to choose from."""


def make_blueprint() -> Blueprint:
    """All pages below /warehouse/deliveries."""
    pages = Blueprint("warehouse_deliveries", __name__, url_prefix=delivering.PAGE)
    for rule, view, methods in (
        ("", listed, ["GET"]),
        ("/new", new, ["GET", "POST"]),
        ("/<uuid:delivery_id>", change, ["GET", "POST"]),
        ("/<uuid:delivery_id>/now", send_now, ["POST"]),
        ("/<uuid:delivery_id>/switch", switch, ["POST"]),
        ("/<uuid:delivery_id>/delete", delete, ["POST"]),
        ("/<uuid:delivery_id>/leave", leave, ["POST"]),
    ):
        pages.add_url_rule(rule, view_func=view, methods=methods)
    return pages


@needs(READ)
def listed() -> str:
    """What I have sent, with how it went, and what I get."""
    with current_site().read(current_actor()) as reader:
        found = sorted(reader.all(Delivery, Delivery.archived_at.is_(None)), key=lambda each: each.name.casefold())
        people = _people(reader, [each.id for each in found])
        mine = {each.id for each in found if may_change(reader, each)}
        got = {each.id for each in found if any(who.user_id == reader.actor.id for who in people[each.id])}
        names = reader.titles(User, [who.user_id for all_of in people.values() for who in all_of])
        owners = reader.titles(User, [each.owner_id for each in found if each.owner_id])
        return render_template(
            "warehouse/deliveries.html", found=found, people=people, mine=mine, got=got, names=names, owners=owners,
            rhythm=rhythm, mails=bool(reader.site.config.mail_url),
        )  # fmt: skip


def may_change(reader: Reader, delivery: Delivery) -> bool:
    """Whether somebody decides about a delivery."""
    reach = reader.actor.reach(UPDATE)
    return reach == "all" or (reach is not None and delivery.owner_id == reader.actor.id)


def rhythm(delivery: Delivery) -> str:
    """When it goes out, in words."""
    at = _clock(delivery.hour)
    if delivery.often == "day":
        return _("each day at %(time)s", time=at)
    if delivery.often == "workday":
        return _("Monday to Friday at %(time)s", time=at)
    if delivery.often == "week":
        day = next(_(each.label) for each in WEEKDAYS if each.value == delivery.weekday)
        return _("each week on %(day)s at %(time)s", day=day, time=at)
    return _("each month on day %(day)s at %(time)s", day=delivery.day, time=at)


def _clock(hour: int) -> str:
    """An hour of the day as the reader's clock shows it."""
    return Formats(g.lang).time(dt.datetime(2000, 1, 1, hour, tzinfo=dt.UTC))


def _people(reader: Reader, ids: Sequence[UUID]) -> Mapping[UUID, list[Recipient]]:
    people: dict[UUID, list[Recipient]] = {each: [] for each in ids}
    for who in reader.all(Recipient, Recipient.delivery_id.in_(ids), limit=delivering.MOST) if ids else ():
        people[who.delivery_id].append(who)
    return people


# Deciding ------------------------------------------------------------------------------------------------------------


@needs(CREATE)
def new() -> str | Response | tuple[str, int]:
    """Have a saved report sent."""
    with current_site().read(current_actor()) as reader:
        wanted = _id(request.args.get("report", ""))
        if wanted is None:
            return redirect(delivering.PAGE)  # which says how to begin
        report = reader.get(Report, wanted)
    return _form(None, report)


@needs(UPDATE)
def change(delivery_id: UUID) -> str | Response | tuple[str, int]:
    """Another rhythm, other people, another kind of file."""
    with current_site().read(current_actor()) as reader:
        delivery = reader.get(Delivery, delivery_id)
    return _form(delivery, None)


def _form(delivery: Delivery | None, report: Report | None) -> str | Response | tuple[str, int]:
    actor = current_actor()
    errors: dict[str, list[str]] = {}
    typed: dict[str, Any] = {
        "name": report.name if report else "", "format": "pdf" if can_draw() else "xlsx", "often": "week",
        "weekday": "monday", "day": 1, "hour": 7, "zone": actor.time_zone,
    }  # fmt: skip
    if delivery is not None:
        typed = {name: getattr(delivery, name) for name in FIELDS}
    with current_site().read(actor) as reader:
        users = reader.all(User, User.active.is_(True), User.archived_at.is_(None), limit=MOST)
        chosen = {who.user_id for who in _people(reader, [delivery.id])[delivery.id]} if delivery else {actor.id}
    if request.method == "POST":
        typed = {name: request.form.get(name, "").strip() for name in FIELDS}
        chosen = {_id(each) for each in request.form.getlist("user")}
        try:
            with current_site().write(actor) as unit:
                _keep(unit, delivery, report, typed, chosen & {each.id for each in users})
            return go(delivering.PAGE)
        except Invalid as error:
            for problem in error.problems:
                errors.setdefault(problem.field or "", []).append(str(problem.message))
    page = render_template(
        "warehouse/delivery.html", delivery=delivery, report=report, typed=typed, errors=errors, chosen=chosen,
        users=sorted(users, key=lambda each: (each.id not in chosen, each.name.casefold())),
        formats=[each for each in FORMATS if each.value != "pdf" or can_draw()], often=OFTEN, weekdays=WEEKDAYS,
        hours=[(hour, _clock(hour)) for hour in range(24)], zones=sorted(time_zones()),
    )  # fmt: skip
    return (page, 422) if errors else page


def _keep(
    unit: Unit, delivery: Delivery | None, report: Report | None, typed: Mapping[str, Any],
    chosen: Collection[UUID | None],
) -> None:  # fmt: skip
    if not chosen:
        raise Invalid(Problem("user", _("is needed: who gets it?")))
    if report is not None:
        kept = unit.create(Delivery, {**typed, "report_id": str(report.id)})
    else:
        assert delivery is not None
        kept = unit.update(unit.get(Delivery, delivery.id), typed)
    known = {who.user_id: who for who in unit.reader.all(Recipient, Recipient.delivery_id == kept.id)}
    for user_id in chosen - known.keys():
        unit.create(Recipient, {"delivery_id": str(kept.id), "user_id": str(user_id)})
    for user_id in known.keys() - chosen:
        unit.delete(known[user_id])


@needs(UPDATE)
def send_now(delivery_id: UUID) -> Response:
    """Send it once more, beside its rhythm."""
    site = current_site()
    with site.write(current_actor()) as unit:
        delivery = unit.get(Delivery, delivery_id)
        unit.update(delivery, {})  # only who decides about it
        delivering.ask(unit, delivery)
    site.wake()
    return go(delivering.PAGE)


@needs(UPDATE)
def switch(delivery_id: UUID) -> Response:
    """Let it rest, or go on with it."""
    with current_site().write(current_actor()) as unit:
        delivery = unit.get(Delivery, delivery_id)
        unit.update(delivery, {"active": not delivery.active})
    return go(delivering.PAGE)


@needs(DELETE)
def delete(delivery_id: UUID) -> Response:
    """It is sent no more."""
    with current_site().write(current_actor()) as unit:
        unit.delete(unit.get(Delivery, delivery_id))
    return go(delivering.PAGE)


@needs(READ)
def leave(delivery_id: UUID) -> Response:
    """Whoever gets a report wants it no more: for that nobody needs a right to change anything."""
    mine = (Recipient.delivery_id == delivery_id, Recipient.user_id == current_actor().id)
    with current_site().write(system(f"{current_actor().name} left")) as unit:
        for who in unit.reader.all(Recipient, *mine):
            unit.delete(who)
    return go(delivering.PAGE)


def _id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
