"""The pages of the calendar: its views, the form of an appointment, finding a time, importing, feeds."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import (
    Blueprint,
    Response,
    abort,
    g,
    jsonify,
    redirect,
    render_template,
    request,
    send_from_directory,
    session,
)
from werkzeug.wrappers import Response as BaseResponse

from rapport import Customer, Formats, Invalid, Problem, Reader, Team, Unit, User, utcnow
from rapport import gettext as _
from rapport.http import current_actor, current_site, needs, own_path, public
from rapport_calendar import feeds, forms, imports, invitations, service, zones
from rapport_calendar.entities import Appointment, Attendee
from rapport_calendar.forms import asked_day, formats
from rapport_calendar.ical import MAX_BYTES
from rapport_calendar.occurrences import Hours, Occurrence, free_times, merged, taken, times_of
from rapport_calendar.week import ROWS, VIEWS, sheet, span_of, title_of, tone_of

STATIC = Path(__file__).parent / "static"
MOST_PEOPLE = 12
READ, CREATE, UPDATE = "calendar.appointment.read", "calendar.appointment.create", "calendar.appointment.update"


def make_blueprint() -> Blueprint:
    """The calendar's pages."""
    pages = Blueprint("calendar", __name__)
    one = "/calendar.appointment/<uuid:appointment_id>"
    for rule, view, methods in (
        ("/calendar", calendar, ["GET"]),
        ("/calendar.appointment/new", new, ["GET", "POST"]),
        (f"{one}/edit", edit, ["GET", "POST"]),
        ("/calendar/move", move, ["GET", "POST"]),
        (f"{one}/call-off", call_off, ["GET", "POST"]),
        (f"{one}/file.ics", file, ["GET"]),
        (f"{one}/answer", answer_own, ["POST"]),
        ("/calendar/find", find, ["GET"]),
        ("/calendar/import", import_file, ["GET", "POST"]),
        ("/calendar/feeds", my_feeds, ["GET", "POST"]),
        ("/calendar/feeds/<uuid:feed_id>/revoke", revoke_feed, ["POST"]),
        ("/calendar/feed/<token>.ics", feed, ["GET"]),
        ("/calendar/answer/<token>", answer, ["GET", "POST"]),
        ("/calendar/static/<path:filename>", static_file, ["GET"]),
        ("/calendar/static/places.css", places, ["GET"]),
        ("/api/v1/calendar.free_busy", free_busy, ["GET"]),
    ):
        pages.add_url_rule(rule, view_func=view, methods=methods)
    return pages


# The calendar --------------------------------------------------------------------------------------------------------


@needs(READ)
def calendar() -> str:
    """A day, a week, a month or a list; without a choice, a week, and on a phone a list."""
    actor = current_actor()
    today = zones.local_of(utcnow(), actor.time_zone).date()
    chosen = request.args.get("view", "")
    view = chosen if chosen in VIEWS else "week"
    with current_site().read(actor) as reader:
        people, team_id = _people(reader)
        span = span_of(view, asked_day("on", today), formats())
        shown = sheet(reader, span, people, formats())
        teams = reader.all(Team, Team.archived_at.is_(None), order=Team.name, limit=100)
        everybody = forms.colleagues(reader, actor)
    kept = {
        key: value
        for key, value in (("who", [str(each) for each in people if each != actor.id]), ("team", team_id))
        if value
    }
    return render_template(
        "calendar/calendar.html",
        sheet=shown,
        span=span,
        view=view,
        chosen=chosen,
        title=title_of(span, formats()),
        people=people,
        tones={each: tone_of(each) for each in people},
        teams=teams,
        team_id=team_id,
        everybody=everybody,
        link=lambda **values: _link(kept, chosen, span.on, **values),
        today=today,
        rows=ROWS,
        may_create=actor.may(CREATE),
        weekdays=_weekdays(),
        hour=_hour,
    )


def _people(reader: Reader) -> tuple[dict[UUID, str], str]:
    """Whose appointments are laid over each other: one's own, and those of a team or of people that were ticked."""
    actor = reader.actor
    assert actor.id is not None
    wanted: list[UUID] = []
    team_id = request.args.get("team", "")
    try:
        if team_id:
            wanted = feeds.members(reader, UUID(team_id))
        wanted += [UUID(each) for each in request.args.getlist("who")[:MOST_PEOPLE]]
    except ValueError:
        abort(404)
    known = reader.titles(User, wanted)
    return {actor.id: actor.name, **{each: known[each] for each in wanted[: 2 * MOST_PEOPLE] if each in known}}, team_id


def _link(kept: Mapping[str, Any], chosen: str, on: dt.date, /, **values: Any) -> str:
    facts = {"view": chosen, "on": on.isoformat(), **kept, **values}
    return "/calendar?" + urlencode({key: value for key, value in facts.items() if value}, doseq=True)


def _weekdays() -> list[str]:
    own = formats()
    names = own.weekdays(short=True)
    return [names[(own.first_weekday + day) % 7] for day in range(7)]


def _hour(hour: int) -> str:
    """An hour of the day as the reader writes it."""
    zone = str(formats().zone)
    return formats().time(zones.instant_of(dt.datetime.combine(dt.date(2026, 1, 15), dt.time(hour)), zone))


# One appointment -----------------------------------------------------------------------------------------------------


def _go(url: str, message: str = "") -> BaseResponse:
    """On to another page, with something to say there."""
    if message:
        session.setdefault("toasts", []).append({"message": message, "tone": "success"})
        session.modified = True
    if request.headers.get("HX-Request"):
        return Response("", 200, {"HX-Redirect": url})
    return redirect(url, 303)


def _back() -> str:
    """Where one came from, if that is a page of ours."""
    return own_path(request.values.get("back", ""), "/calendar")


@needs(CREATE)
def new() -> BaseResponse | str | tuple[str, int]:
    """Make an appointment. Asked for from within the calendar, the form is short and stands in a dialog."""
    if request.method == "GET":
        template = "calendar/quick.html" if request.headers.get("HX-Request") else "calendar/form.html"
        with current_site().read(current_actor()) as reader:
            return _form(reader, template, None, forms.shown(None, None, []))
    typed = forms.Typed(request.form)
    try:
        values = typed.read()
        with current_site().write(current_actor()) as unit:
            made = service.create(unit, values, local=typed.local)
            service.ask_people(unit, made, typed.people())
            if request.form.get("invite") == "true":
                invitations.invite(unit, made)
    except Invalid as error:
        with current_site().read(current_actor()) as reader:
            return _form(reader, "calendar/form.html", None, _typed_again(), _errors(error)), 422
    return _go(_back(), _("“%(title)s” is in the calendar.", title=made.title))


@needs(UPDATE)
def edit(appointment_id: UUID) -> BaseResponse | str | tuple[str, int]:
    """Change an appointment; of a series, one time, it and those after it, or all."""
    site, at = current_site(), request.values.get("at", "")
    if request.method == "GET":
        with site.read(current_actor()) as reader:
            found, occurrence, people = _found(reader, appointment_id, at)
            return _form(reader, "calendar/form.html", found, forms.shown(found, occurrence, people), at=at)
    typed = forms.Typed(request.form)
    scope = _scope()
    try:
        values = typed.read()
        with site.write(current_actor()) as unit:
            found = unit.get(Appointment, appointment_id)
            changed = service.change(unit, found, values, scope=scope, occurrence=at, version=_version())
            service.ask_people(unit, changed, typed.people())
            _keep_custom(unit, changed)
            if request.form.get("invite") == "true":
                invitations.invite(unit, changed)
    except Invalid as error:
        with site.read(current_actor()) as reader:
            found, _occurrence, _everybody = _found(reader, appointment_id, at)
            return _form(reader, "calendar/form.html", found, _typed_again(), _errors(error), at=at), 422
    return _go(f"/calendar.appointment/{changed.id}", _("Saved."))


def _found(reader: Reader, appointment_id: UUID, at: str) -> tuple[Appointment, Occurrence | None, list[Attendee]]:
    found = reader.get(Appointment, appointment_id)
    people = reader.all(Attendee, Attendee.appointment_id == found.id, Attendee.archived_at.is_(None), limit=200)
    return found, occurrence_of(found, at), people


def occurrence_of(appointment: Appointment, at: str) -> Occurrence | None:
    """The time of a series that the address names."""
    if not at or not appointment.repeats:
        return None
    begin, end = appointment.span(service.the_time(appointment, at))
    return next(each for each in times_of(appointment, begin, end + dt.timedelta(seconds=1)) if each.key == at)


def _form(
    reader: Reader, template: str, appointment: Appointment | None, values: Mapping[str, Any],
    errors: Mapping[str, list[str]] | None = None, at: str = "",
) -> str:  # fmt: skip
    actor = current_actor()
    customer_id = values.get("customer_id") or ""
    try:
        customer = reader.titles(Customer, [UUID(str(customer_id))]) if customer_id else {}
    except ValueError:
        customer = {}
    fields = [
        each for each in current_site().meta(Appointment).visible if (each.custom or each.extension) and not each.hidden
    ]
    return render_template(
        template,
        appointment=appointment,
        values=values,
        errors=errors or {},
        at=at,
        repeats=forms.REPEATS,
        reminders=forms.REMINDERS,
        zones=zones.names(),
        colleagues=forms.colleagues(reader, actor),
        back=_back(),
        customer=next(iter(customer.values()), ""),
        statuses=Appointment.meta.fields["status"].choices,
        custom=fields,
        scopes=[
            ("one", _("This one")),
            ("following", _("This one and those after it")),
            ("all", _("All of the series")),
        ],
    )


def _typed_again() -> dict[str, Any]:
    flags = {name: request.form.get(name) == "true" for name in ("busy", "private", "all_day", "invite")}
    return {**request.form.to_dict(), **flags, "users": request.form.getlist("users")}


def _errors(error: Invalid) -> dict[str, list[str]]:
    """Problems by the field of the form that they concern."""
    place = {
        "starts_at": "start_time",
        "starts_on": "start_day",
        "ends_at": "end_time",
        "ends_on": "end_day",
        "people": "guests",
        "email": "guests",
        "customer_id": "customer_id",
    }
    found: dict[str, list[str]] = {}
    for problem in error.problems:
        found.setdefault(place.get(problem.field or "", problem.field or ""), []).append(_(problem.message))
    return found


def _keep_custom(unit: Unit, appointment: Appointment) -> None:
    """Fields that an administrator or another plugin added: as they were typed, where that changes them."""
    meta = current_site().meta(Appointment)
    values = {
        each.name: request.form[each.name]
        for each in meta.visible
        if (each.custom or each.extension) and each.name in request.form
    }
    if values:
        unit.update(appointment, {name: value or None for name, value in values.items()})


def _scope() -> service.Scope:
    asked = request.form.get("scope", "all")
    return next((each for each in service.SCOPES if each == asked), "all")


def _version() -> int | None:
    text = request.form.get("version", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


@needs(UPDATE)
def move() -> BaseResponse | str:
    """Have an appointment begin, or end, at another time: what dragging it does, or the arrows of the keyboard."""
    at = request.values.get("at", "")
    try:
        appointment_id = UUID(request.values.get("id", ""))
        start = dt.datetime.fromisoformat(request.values.get("start", "")).replace(tzinfo=None)
        minutes = int(request.values.get("minutes") or 0)
    except ValueError:
        return redirect("/calendar", 303)
    begins = zones.instant_of(start, str(formats().zone))  # where it was dragged, on the clock of the one who drags
    if request.method == "GET":
        with current_site().read(current_actor()) as reader:
            found = reader.get(Appointment, appointment_id)
        return render_template(
            "calendar/move.html",
            appointment=found,
            at=at,
            start=start.isoformat(timespec="minutes"),
            minutes=minutes,
            when=formats().instant(begins),
        )
    with current_site().write(current_actor()) as unit:
        record = unit.get(Appointment, appointment_id)
        length = dt.timedelta(minutes=minutes) if 0 < minutes <= 60 * 24 * 7 else record.local_length
        values = service.timed(zones.local_of(begins, record.zone), length, record.zone)
        service.change(unit, record, values, scope=_scope(), occurrence=at, version=_version())
    if request.form.get("from") == "drag":
        return Response("", 204, {"HX-Trigger": "calendar-changed"})
    return _go(_back(), _("Saved."))


@needs(UPDATE)
def call_off(appointment_id: UUID) -> BaseResponse | str:
    """Cancel an appointment, or a part of a series; who was invited is told."""
    at = request.values.get("at", "")
    if request.method == "GET":
        with current_site().read(current_actor()) as reader:
            found, _occurrence, people = _found(reader, appointment_id, at)
        invited = any(each.told_sequence >= 0 for each in people)
        return render_template("calendar/call_off.html", appointment=found, at=at, invited=invited)
    with current_site().write(current_actor()) as unit:
        found = unit.get(Appointment, appointment_id)
        scope = _scope() if at else "all"
        service.call_off(unit, found, scope=scope, occurrence=at)
        if request.form.get("tell") == "true":
            if found.status == "cancelled":
                invitations.tell_cancelled(unit, found)
            else:
                invitations.invite(unit, found)
    return _go("/calendar", _("It is called off."))


@needs(READ)
def file(appointment_id: UUID) -> BaseResponse:
    """One appointment, or a series with what was changed of it, as a file for another calendar."""
    with current_site().read(current_actor()) as reader:
        found = reader.get(Appointment, appointment_id)
        changed = reader.all(Appointment, Appointment.series_id == found.id, Appointment.archived_at.is_(None))
        body = feeds.written(reader, [found, *changed])
    return _calendar_file(body, f"{found.id}.ics")


def _calendar_file(body: bytes, name: str) -> Response:
    headers = {"Content-Type": "text/calendar; charset=utf-8", "Content-Disposition": f'attachment; filename="{name}"',
               "X-Content-Type-Options": "nosniff"}  # fmt: skip
    return Response(body, 200, headers)


@needs(READ)
def answer_own(appointment_id: UUID) -> BaseResponse:
    """Say whether one comes to what one was asked to."""
    actor = current_actor()
    with current_site().read(actor) as reader:
        found = reader.get(Appointment, appointment_id)
    assert actor.id is not None
    invitations.answer_as_user(current_site(), found.id, actor.id, request.form.get("answer", ""))
    return _go(f"/calendar.appointment/{found.id}", _("Thank you. Your answer is noted."))


# Finding a time ------------------------------------------------------------------------------------------------------


@needs(CREATE)
def find() -> str:
    """When several people are free, within the hours of the one who asks."""
    site, actor = current_site(), current_actor()
    minutes = (
        int(request.args["minutes"])
        if request.args.get("minutes", "") in {"15", "30", "45", "60", "90", "120", "240"}
        else 60
    )
    today = zones.local_of(utcnow(), actor.time_zone).date()
    try:
        chosen = [UUID(each) for each in request.args.getlist("users")[:50]]
        since = forms.read_day(request.args["since"]) if request.args.get("since") else today
    except ValueError:
        chosen, since = [], today
    assert actor.id is not None
    with site.read(actor) as reader:
        everybody = forms.colleagues(reader, actor)
    found = []
    if chosen:
        after = max(utcnow(), zones.day_begins(since, actor.time_zone))
        found = free_times(site, [actor.id, *chosen], working_hours(), after=after, days=14, minutes=minutes)
    shown = [
        {"when": formats().instant(begin, "full"), "url": "/calendar.appointment/new?" + urlencode(
            {"start": zones.local_of(begin, actor.time_zone).isoformat(timespec="minutes"), "minutes": minutes,
             "users": [str(each) for each in chosen]}, doseq=True)}
        for begin, _end in found
    ]  # fmt: skip
    since_text = since.isoformat() if formats().calendar == "gregorian" else formats().date(since, "short")
    return render_template(
        "calendar/find.html",
        colleagues=everybody,
        chosen=[str(each) for each in chosen],
        minutes=str(minutes),
        found=shown,
        since=since_text,
    )


def working_hours() -> Hours:
    """When the business works, on the clock of the person who asks."""
    site = current_site()

    def at(name: str) -> dt.time:
        hour = site.settings.get(name)
        return dt.time(min(max(int(hour or 0), 0), 23))

    begin, end = at("calendar.day_begins"), at("calendar.day_ends")
    return Hours(current_actor().time_zone, begin, max(begin, end), formats().weekend)


@needs(READ)
def free_busy() -> Response:
    """When people are busy, for programs: `?user=…&user=…&from=…&to=…`, moments in ISO 8601."""
    actor = current_actor()
    try:
        people: list[UUID | None] = [UUID(each) for each in request.args.getlist("user")[:50]] or [actor.id]
        after, before = (dt.datetime.fromisoformat(request.args[name]) for name in ("from", "to"))
    except (ValueError, KeyError):
        raise Invalid(
            Problem("from", _("must be a date and time with its zone, such as 2026-11-23T14:00:00Z."))
        ) from None
    if after.tzinfo is None or before.tzinfo is None or not dt.timedelta() < before - after <= dt.timedelta(days=62):
        raise Invalid(Problem("to", _("must be after the beginning, and at most two months later.")))
    with current_site().read(actor) as reader:
        known = set(reader.titles(User, [each for each in people if each is not None]))
    busy = taken(current_site(), known, after, before)
    return jsonify(
        {
            "items": [
                {
                    "user": str(user_id),
                    "busy": [{"from": begin.isoformat(), "to": end.isoformat()} for begin, end in merged(times)],
                }
                for user_id, times in busy.items()
            ]
        }
    )


# Files and feeds -----------------------------------------------------------------------------------------------------


@needs("calendar.appointment.import")
def import_file() -> str | tuple[str, int]:
    """Take a file of another calendar in."""
    if request.method == "GET":
        return render_template("calendar/import.html", taken=None, error="")
    sent = request.files.get("file")
    data = sent.stream.read(MAX_BYTES + 1) if sent is not None else b""
    if not data:
        return render_template("calendar/import.html", taken=None, error=_("Choose a file.")), 422
    with current_site().write(current_actor()) as unit:
        taken_in = imports.take(unit, data)
    return render_template("calendar/import.html", taken=taken_in, error="")


@needs(READ)
def my_feeds() -> BaseResponse | str:
    """The addresses under which other calendars read one's appointments."""
    site, actor = current_site(), current_actor()
    assert actor.id is not None
    with site.read(actor) as reader:
        teams = [
            each for each in reader.all(Team, Team.archived_at.is_(None), order=Team.name) if each.id in actor.team_ids
        ]
    if request.method == "POST":
        team = request.form.get("team", "")
        names = {str(each.id): each.name for each in teams}
        made = feeds.make(
            site, actor.id, team_id=UUID(team) if team in names else None, name=names.get(team, actor.name)
        )
        return _go(f"/calendar/feeds#{made.id}", _("The address is ready."))
    shown = [{"feed": each, "address": feeds.address(site, each)} for each in feeds.of_user(site, actor.id)]
    return render_template("calendar/feeds.html", feeds=shown, teams=teams)


@needs(READ)
def revoke_feed(feed_id: UUID) -> BaseResponse:
    """Let an address lead nowhere."""
    actor = current_actor()
    assert actor.id is not None
    if not feeds.revoke(current_site(), actor.id, feed_id):
        abort(404)
    return _go("/calendar/feeds", _("The address leads nowhere any more."))


@public
def feed(token: str) -> BaseResponse:
    """What another calendar reads; it says when nothing has changed."""
    body = feeds.content(current_site(), token)
    if body is None:
        abort(404)
    answer = Response(body, 200, {"Content-Type": "text/calendar; charset=utf-8", "Cache-Control": "private, no-cache",
                                  "X-Robots-Tag": "noindex"})  # fmt: skip
    answer.set_etag(hashlib.sha256(body).hexdigest()[:32])
    return answer.make_conditional(request)


# Answers -------------------------------------------------------------------------------------------------------------


@public
def answer(token: str) -> str | tuple[str, int]:
    """What the link in an invitation opens: the appointment and buttons. Only pressing one answers."""
    site = current_site()
    asked = invitations.asked_by(site, token)
    if asked is None:
        return render_template("calendar/answer.html", asked=None, done=False), 410
    if request.method == "GET":
        return _answer_page(asked, done=False)
    said = request.form.get("answer", "")
    if said not in invitations.ANSWERS:
        abort(400)
    invitations.answer_by(site, token, said)
    return _answer_page(invitations.asked_by(site, token), done=True)


def _answer_page(asked: invitations.Asked | None, *, done: bool) -> str:
    when = invitations.when(asked.appointment, Formats(g.lang, asked.appointment.zone)) if asked is not None else ""
    return render_template("calendar/answer.html", asked=asked, done=done, when=when)


# Looks ---------------------------------------------------------------------------------------------------------------


@public
def static_file(filename: str) -> BaseResponse:
    """The calendar's own look and its script."""
    return send_from_directory(STATIC, filename, max_age=3600)


@public
def places() -> BaseResponse:
    """Where things stand on a day: a class for every quarter of an hour, as elements may have no style of their own."""
    rules = [
        f".c-top-{row}{{grid-row-start:{row + 1}}}.c-end-{row}{{grid-row-end:{row + 1}}}"
        for row in range(24 * ROWS + 1)
    ]
    rules += [
        f".c-lane-{lane}-{lanes}{{margin-inline-start:{100 * lane / lanes:.3f}%;width:{100 / lanes:.3f}%}}"
        for lanes in range(1, 7)
        for lane in range(lanes)
    ]
    rules += [f".c-hours-{hours}{{--hours:{hours}}}" for hours in range(1, 25)]
    answer = Response("\n".join(rules), 200, {"Content-Type": "text/css; charset=utf-8"})
    answer.headers["Cache-Control"] = "public, max-age=3600"
    return answer
