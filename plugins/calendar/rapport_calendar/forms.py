"""What people type about an appointment, turned into its values; and its values, as they are shown to be changed."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, cast

from flask import g, request

from rapport import N_, Actor, Formats, Invalid, Problem, User
from rapport import gettext as _
from rapport.http import current_actor
from rapport.i18n import calendars, reading
from rapport_calendar import recurrence, service, zones
from rapport_calendar.entities import Appointment, Attendee
from rapport_calendar.occurrences import Occurrence

REPEATS = (
    ("", N_("Does not repeat")),
    ("FREQ=DAILY", N_("Every day")),
    ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", N_("Every working day")),
    ("FREQ=WEEKLY", N_("Every week")),
    ("FREQ=WEEKLY;INTERVAL=2", N_("Every two weeks")),
    ("FREQ=MONTHLY", N_("Every month, on this day")),
    ("weekday", N_("Every month, on this weekday")),
    ("FREQ=YEARLY", N_("Every year")),
)
REMINDERS = (
    ("", N_("No reminder")),
    ("0", N_("When it begins")),
    ("5", N_("5 minutes before")),
    ("15", N_("15 minutes before")),
    ("30", N_("30 minutes before")),
    ("60", N_("An hour before")),
    ("1440", N_("A day before")),
)
_TIME = re.compile(r"(\d{1,2})[:.hH](\d{2})")


def formats() -> Formats:
    """How the person who looks reads dates and times."""
    if "calendar_formats" not in g:
        actor = current_actor()
        calendar = cast("calendars.Calendar", actor.calendar) if actor.calendar else None
        g.calendar_formats = Formats(g.lang, actor.time_zone, calendar)
    made: Formats = g.calendar_formats
    return made


def read_day(text: str) -> dt.date:
    """A day as a browser sends it, or as one writes it in another calendar. ValueError when it is none."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        return reading.parse_date(text, g.lang, formats().calendar)


def asked_day(name: str, default: dt.date) -> dt.date:
    """The day in the address; a default for what is none."""
    try:
        found = dt.date.fromisoformat(request.args.get(name, ""))
    except ValueError:
        return default
    return found if found.year in recurrence.YEARS else default


def _read_time(text: str) -> dt.time:
    from rapport.i18n import characters

    found = _TIME.fullmatch(characters.plain_digits(text.strip()))
    if found is None or int(found[1]) > 23 or int(found[2]) > 59:
        raise ValueError(_("needs a time of day, such as 14:30."))
    return dt.time(int(found[1]), int(found[2]))


class Typed:
    """An appointment's form, read: its values, the time on its clock, and what is wrong, by field."""

    def __init__(self, form: Mapping[str, str]) -> None:
        self.form = form
        self.problems: list[Problem] = []
        self.local: dt.datetime | None = None
        self.values: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """The values. Invalid names every field that cannot be read."""
        form, values = self.form, self.values
        values["title"] = form.get("title", "").strip() or _("Appointment")
        for name in ("place", "note"):
            values[name] = form.get(name, "")
        values["customer_id"] = form.get("customer_id") or None
        for name in ("busy", "private", "all_day"):
            values[name] = form.get(name) == "true"
        values["status"] = form.get("status") or "confirmed"
        values["remind_minutes"] = int(form["remind_minutes"]) if form.get("remind_minutes", "").isdigit() else None
        zone = zones.known(form.get("zone") or current_actor().time_zone)
        if zone is None:
            self.problems.append(Problem("zone", _("is no time zone. Write one such as Europe/Berlin.")))
            zone = "UTC"
        first, last = self._day("start_day"), None
        if form.get("end_day", "").strip():
            last = self._day("end_day")
        if first is not None:
            self._read_when(first, last or first, zone)
            values["rule"] = self._rule(first, zone)
        if self.problems:
            raise Invalid(self.problems)
        return values

    def _day(self, name: str) -> dt.date | None:
        try:
            return read_day(self.form.get(name, "").strip())
        except ValueError as error:
            self.problems.append(Problem(name, str(error)))
            return None

    def _time(self, name: str, default: dt.time | None = None) -> dt.time | None:
        try:
            text = self.form.get(name, "")
            return default if not text.strip() and default is not None else _read_time(text)
        except ValueError as error:
            self.problems.append(Problem(name, str(error)))
            return None

    def _read_when(self, first: dt.date, last: dt.date, zone: str) -> None:
        if last < first:
            self.problems.append(Problem("end_day", _("is before the beginning.")))
            return
        if self.values["all_day"]:
            self.values |= {
                "zone": zone,
                "starts_on": first,
                "ends_on": last,
                "starts_at": zones.day_begins(first, zone),
                "ends_at": None,
            }
            return
        begins = self._time("start_time")
        if begins is None:
            return
        self.local = dt.datetime.combine(first, begins)
        hour_later = self.local + dt.timedelta(hours=1)
        ends = self._time("end_time", hour_later.time())
        if ends is None:
            return
        until = dt.datetime.combine(last, ends)
        if until < self.local:
            if last > first or self.form.get("end_day", "").strip() not in {"", self.form.get("start_day", "").strip()}:
                self.problems.append(Problem("end_time", _("is before the beginning.")))
                return
            until += dt.timedelta(days=1)  # from 23:00 to 1:00
        self.values |= service.timed(self.local, until - self.local, zone)

    def _rule(self, first: dt.date, zone: str) -> str:
        rule = self.form.get("repeats", "")
        if rule == "own":
            return self.form.get("rule", "")
        if rule == "weekday":
            number = (first.day - 1) // 7 + 1
            rule = f"FREQ=MONTHLY;BYDAY={number if number < 5 else -1}{recurrence.WEEKDAYS[first.weekday()]}"
        if rule and self.form.get("until", "").strip():
            until = self._day("until")
            if until is not None:
                rule = recurrence.with_parts(rule, UNTIL=f"{until:%Y%m%d}")
        return rule

    def people(self) -> list[dict[str, Any]]:
        """Who is asked to come: colleagues that were ticked, and addresses, one on a line."""
        chosen: list[dict[str, Any]] = [{"user_id": each} for each in request.form.getlist("users")[:200]]
        for line in self.form.get("guests", "").splitlines()[:200]:
            name, _bracket, address = line.partition("<") if "<" in line else ("", "", line)
            if address.strip(" <>\t,;"):
                chosen.append({"email": address.strip(" <>\t,;"), "name": name.strip(' "')})
        return chosen


def shown(appointment: Appointment | None, occurrence: Occurrence | None, people: list[Attendee]) -> dict[str, Any]:
    """What a form holds at first: of an appointment, or of a new one where the address says when."""
    if appointment is not None:
        return _shown_of(appointment, occurrence, people)
    actor, now = current_actor(), zones.local_of(dt.datetime.now(dt.UTC), current_actor().time_zone)
    begin = dt.datetime.combine(now.date(), dt.time(min(now.hour + 1, 23)))
    for name in ("start", "on"):
        try:
            asked = dt.datetime.fromisoformat(request.args.get(name, "")).replace(tzinfo=None)
        except ValueError:
            continue
        begin = asked if name == "start" else dt.datetime.combine(asked.date(), begin.time())
        break
    minutes = request.args.get("minutes", "")
    end = begin + dt.timedelta(
        minutes=min(max(int(minutes), 15), 1440) if minutes.isdigit() and len(minutes) < 5 else 60
    )
    return {
        "title": request.args.get("title", "")[:500],
        "start_day": _shown_day(begin.date()),
        "start_time": f"{begin:%H:%M}",
        "end_day": _shown_day(end.date()),
        "end_time": f"{end:%H:%M}",
        "zone": actor.time_zone,
        "busy": True,
        "repeats": "",
        "remind_minutes": "15",
        "status": "confirmed",
        "customer_id": request.args.get("customer_id", ""),
        "until": "",
        "users": request.args.getlist("users"),
        "guests": "",
        "invite": True,
    }


def _shown_of(appointment: Appointment, occurrence: Occurrence | None, people: list[Attendee]) -> dict[str, Any]:
    local = occurrence.local if occurrence is not None else appointment.local_start
    end = local + appointment.local_length
    last = end - dt.timedelta(days=1) if appointment.all_day else end
    rule, until = appointment.rule, recurrence.part(appointment.rule, "UNTIL")
    bare = recurrence.with_parts(rule, UNTIL="")
    known = bare in {each for each, _title in REPEATS}
    return {
        "title": appointment.title,
        "place": appointment.place,
        "note": appointment.note,
        "all_day": appointment.all_day,
        "busy": appointment.busy,
        "private": appointment.private,
        "status": appointment.status,
        "zone": appointment.zone,
        "customer_id": appointment.customer_id or "",
        "start_day": _shown_day(local.date()),
        "start_time": f"{local:%H:%M}",
        "end_day": _shown_day(last.date()),
        "end_time": f"{end:%H:%M}",
        "repeats": bare if known else "own",
        "rule": rule,
        "until": _shown_day(recurrence.until_of(until).date()) if until and known else "",
        "remind_minutes": "" if appointment.remind_minutes is None else str(appointment.remind_minutes),
        "users": [str(each.user_id) for each in people if each.user_id is not None],
        "guests": "\n".join(
            f"{each.name} <{each.email}>" if each.name and each.name != each.email else each.email
            for each in people
            if each.user_id is None and each.email
        ),
        "invite": False,
    }


def _shown_day(day: dt.date) -> str:
    """A day as the form's field wants it: for another calendar than the browser's, as it is written there."""
    return day.isoformat() if formats().calendar == "gregorian" else formats().date(day, "short")


def colleagues(reader: Any, actor: Actor) -> list[User]:
    """Who may be asked to come: everybody who is active but oneself."""
    here = (User.active.is_(True), User.archived_at.is_(None), User.id != actor.id)
    found: list[User] = reader.all(User, *here, order=(User.name, User.id), limit=200)
    return found
