"""Reading .ics files: every appointment in them, or the line and the reason why it cannot be taken."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from icalendar import Event as Parsed
from icalendar import Timezone
from icalendar.cal.component import Component as ParsedComponent

from rapport import gettext as _
from rapport_calendar import recurrence, zones
from rapport_calendar.ical.lines import MAX_BYTES, Component, cut, decoded

__all__ = ["MAX_BYTES", "Event", "Person", "Read", "Refusal", "read"]

KINDS = frozenset({"VEVENT", "VTIMEZONE", "VTODO", "VJOURNAL", "VFREEBUSY", "VAVAILABILITY"})
MOST_TIMES = 500
MOST_PEOPLE = 200
ANSWERS = {"ACCEPTED": "accepted", "DECLINED": "declined", "TENTATIVE": "tentative"}
STATUSES = {"CANCELLED": "cancelled", "TENTATIVE": "tentative"}


@dataclass(frozen=True, slots=True)
class Person:
    """An attendee as a file names one."""

    email: str
    name: str = ""
    answer: str = "open"
    optional: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """An appointment as a file has it, in our terms."""

    line: int
    uid: str
    sequence: int
    local: dt.datetime
    """When it begins, on its clock."""
    length: dt.timedelta
    all_day: bool
    zone: str
    """Empty: it has none, and is at that time wherever one is."""
    values: Mapping[str, Any]
    exceptions: Sequence[str] = ()
    extra: Sequence[str] = ()
    occurrence: str = ""
    people: Sequence[Person] = ()
    organizer: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that could not be taken: where it stands, and why not."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """What a file held."""

    events: list[Event] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    method: str = ""


def read(data: bytes, *, zone: str = "UTC") -> Read:
    """Read a file. `zone` is the reader's own: chosen where a zone is only described, and several fit."""
    if len(data) > MAX_BYTES:
        reason = _("The file is too large: at most %(most)s MB are read.", most=MAX_BYTES // 1_000_000)
        return Read(refusals=[Refusal(1, reason)])
    pieces = cut(decoded(data), KINDS)
    made = Read(refusals=[Refusal(line, reason) for line, reason in pieces.problems], method=pieces.method)
    described = _Zones([each for each in pieces.components if each.kind == "VTIMEZONE"], zone)
    for piece in pieces.components:
        if piece.kind == "VEVENT":
            try:
                made.events.append(_event(piece, described))
            except ValueError as error:
                made.refusals.append(Refusal(piece.line, str(error)))
        elif piece.kind != "VTIMEZONE":
            said = _("It is no appointment but a %(kind)s, which is not taken in.", kind=piece.kind)
            made.refusals.append(Refusal(piece.line, said))
    if not made.events and not made.refusals:
        made.refusals.append(Refusal(1, _("There is no appointment in it.")))
    return made


def _event(piece: Component, described: _Zones) -> Event:
    """One event in our terms. ValueError says why it is none."""
    parsed = _parsed(piece)
    start = _one(parsed, "DTSTART")
    if start is None:
        raise ValueError(_("It does not say when it begins."))
    local, zone, all_day = described.time(start)
    length = _length(parsed, local, zone, all_day, described)
    rule = _rule(parsed)
    exceptions = [_time(each, zone, all_day, described) for each in _dates(parsed, "EXDATE")]
    extra = [_time(each, zone, all_day, described) for each in _dates(parsed, "RDATE")]
    instead = _one(parsed, "RECURRENCE-ID")
    summary = _text(parsed, "SUMMARY", 500) or _("Without a title")
    values: dict[str, Any] = {
        "title": " ".join(summary.split()),
        "place": " ".join(_text(parsed, "LOCATION", 500).split()),
        "note": _text(parsed, "DESCRIPTION", 20_000),
        "rule": rule,
        "status": STATUSES.get(_text(parsed, "STATUS", 40).upper(), "confirmed"),
        "busy": _text(parsed, "TRANSP", 40).upper() != "TRANSPARENT",
        "private": _text(parsed, "CLASS", 40).upper() in {"PRIVATE", "CONFIDENTIAL"},
        "remind_minutes": _reminder(parsed),
    }
    return Event(
        line=piece.line, uid=_text(parsed, "UID", 400), sequence=_sequence(parsed), local=local, length=length,
        all_day=all_day, zone=zone, values=values, exceptions=exceptions, extra=extra,
        occurrence=_time(instead, zone, all_day, described) if instead is not None else "",
        people=_people(parsed), organizer=_address(_one(parsed, "ORGANIZER")),
    )  # fmt: skip


def _parsed(piece: Component) -> Parsed:
    try:
        parsed = Parsed.from_ical(piece.text)
        problems = list(getattr(parsed, "errors", ()))
    except Exception as error:  # whatever the parser stumbles over stands in the file
        raise ValueError(_("It cannot be read: %(why)s", why=str(error)[:200])) from error
    if not isinstance(parsed, Parsed):
        raise ValueError(_("It cannot be read: %(why)s", why=piece.kind))
    for name, why in problems:
        if name in {"DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID"}:
            raise ValueError(_("%(name)s cannot be read: %(why)s", name=name, why=str(why)[:200]))
    return parsed


def _one(parsed: ParsedComponent, name: str) -> Any:
    found = parsed.get(name)
    return found[0] if isinstance(found, list) and found else (None if isinstance(found, list) else found)


def _text(parsed: ParsedComponent, name: str, most: int) -> str:
    found = _one(parsed, name)
    text = "" if found is None else str(found)
    return "".join(each for each in text if each in "\n\t" or each.isprintable())[:most].strip()


def _sequence(parsed: ParsedComponent) -> int:
    text = _text(parsed, "SEQUENCE", 12)
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0


def _rule(parsed: ParsedComponent) -> str:
    found = parsed.get("RRULE")
    if found is None:
        return ""
    if isinstance(found, list):
        raise ValueError(_("It has more than one rule of recurrence."))
    try:
        return recurrence.tidy(found.to_ical().decode())
    except ValueError as error:
        raise ValueError(_("Its rule of recurrence %(why)s", why=str(error))) from None


def _dates(parsed: ParsedComponent, name: str) -> list[Any]:
    found = parsed.get(name)
    lists = found if isinstance(found, list) else [] if found is None else [found]
    dates = [(each, getattr(every, "params", {})) for every in lists for each in getattr(every, "dts", [])]
    if len(dates) > MOST_TIMES:
        raise ValueError(_("It names more than %(most)s times one by one.", most=MOST_TIMES))
    return [_Dated(each.dt, {**params, **getattr(each, "params", {})}) for each, params in dates]


@dataclass(frozen=True, slots=True)
class _Dated:
    dt: Any
    params: Mapping[str, Any]


def _time(value: Any, zone: str, all_day: bool, described: _Zones) -> str:
    """The key of a time of a series, on the clock of that series."""
    local, its_zone, _day = described.time(value)
    if its_zone and zone and its_zone != zone:
        local = zones.local_of(zones.instant_of(local, its_zone), zone)
    return recurrence.key(dt.datetime.combine(local.date(), dt.time()) if all_day else local)


def _length(parsed: ParsedComponent, local: dt.datetime, zone: str, all_day: bool, described: _Zones) -> dt.timedelta:
    end, duration = _one(parsed, "DTEND"), _one(parsed, "DURATION")
    if end is not None:
        until, its_zone, _day = described.time(end)
        if zone and its_zone and its_zone != zone:
            until = zones.local_of(zones.instant_of(until, its_zone), zone)
        length = until - local
    elif duration is not None and isinstance(getattr(duration, "dt", None), dt.timedelta):
        length = duration.dt
    else:
        length = dt.timedelta(days=1) if all_day else dt.timedelta()
    if length < dt.timedelta():
        raise ValueError(_("It ends before it begins."))
    return max(length, dt.timedelta(days=1)) if all_day else length


def _reminder(parsed: ParsedComponent) -> int | None:
    for alarm in parsed.subcomponents:
        trigger = _one(alarm, "TRIGGER") if alarm.name == "VALARM" else None
        before = getattr(trigger, "dt", None)
        if isinstance(before, dt.timedelta) and dt.timedelta(days=-28) <= before <= dt.timedelta():
            return int(-before.total_seconds() // 60)
    return None


def _people(parsed: ParsedComponent) -> list[Person]:
    found = parsed.get("ATTENDEE")
    people = []
    for each in found if isinstance(found, list) else [] if found is None else [found]:
        params = getattr(each, "params", {})
        people.append(
            Person(
                _address(each),
                str(params.get("CN", ""))[:200],
                ANSWERS.get(str(params.get("PARTSTAT", "")).upper(), "open"),
                str(params.get("ROLE", "")).upper() == "OPT-PARTICIPANT",
                _text(parsed, "COMMENT", 500),
            )
        )
    return people[:MOST_PEOPLE]


def _address(value: Any) -> str:
    text = "" if value is None else str(value).strip()
    return text[7:].strip().lower() if text.lower().startswith("mailto:") else ""


class _Zones:
    """The zones a file names, and those it only describes."""

    def __init__(self, pieces: Sequence[Component], own: str) -> None:
        self.own = own
        self._pieces = {name: each for each in pieces[:200] if (name := _tzid(each))}
        self._found: dict[str, str] = {}

    def time(self, value: Any) -> tuple[dt.datetime, str, bool]:
        """What the clock shows, in which zone (empty: anywhere), and whether it is a mere day."""
        when = getattr(value, "dt", None)
        if isinstance(when, tuple):  # a period counts by its beginning
            when = when[0]
        if isinstance(when, dt.date) and not isinstance(when, dt.datetime):
            return _within_years(dt.datetime.combine(when, dt.time())), "", True
        if not isinstance(when, dt.datetime):
            raise ValueError(_("It names a time that is none."))
        named = str(getattr(value, "params", {}).get("X-TZID", ""))
        local = _within_years(when.replace(tzinfo=None))
        if named:
            return local, self._zone(named, local), False
        if when.tzinfo is not None:
            return _within_years(when.astimezone(dt.UTC).replace(tzinfo=None)), "UTC", False
        return local, "", False

    def _zone(self, named: str, local: dt.datetime) -> str:
        if named not in self._found:
            self._found[named] = zones.known(named) or self._like(named, local)
        return self._found[named]

    def _like(self, named: str, local: dt.datetime) -> str:
        """A zone that is only described: the known one whose clock shows the same in that year."""
        piece = self._pieces.get(named)
        if piece is None:
            raise ValueError(_("Its time zone is not known: %(name)s", name=named[:100]))
        place = next((each.partition(":")[2] for each in piece.lines if each.upper().startswith("X-LIC-LOCATION")), "")
        if place and (found := zones.known(place)):
            return found
        try:
            described: Any = Timezone.from_ical(piece.text)
            zone = described.to_tz()
            wanted = [zone.utcoffset(each) for each in _around(local)]
        except Exception as error:  # whatever the parser stumbles over stands in the file
            raise ValueError(_("Its time zone is not known: %(name)s", name=named[:100])) from error
        for each in dict.fromkeys(["UTC", self.own, *COMMON, *zones.names()]):
            if [zones.instant_of(at, each) for at in _around(local)] == [
                (at - offset).replace(tzinfo=dt.UTC)
                for at, offset in zip(_around(local), wanted, strict=True)
                if offset is not None
            ]:
                return each
        raise ValueError(_("Its time zone is not known: %(name)s", name=named[:100]))


COMMON = ("Europe/Berlin", "Europe/London", "Europe/Athens", "America/New_York", "America/Chicago", "America/Denver",
          "America/Los_Angeles", "Asia/Shanghai", "Asia/Tokyo", "Asia/Kolkata", "Australia/Sydney")  # fmt: skip


def _around(local: dt.datetime) -> list[dt.datetime]:
    """That time and the same in the two halves of its year."""
    return [local, local.replace(month=1, day=15), local.replace(month=7, day=15)]


def _tzid(piece: Component) -> str:
    return next((each.partition(":")[2].strip() for each in piece.lines if each.upper().startswith("TZID")), "")


def _within_years(local: dt.datetime) -> dt.datetime:
    if local.year not in recurrence.YEARS:
        raise ValueError(_("It is too far from today: %(year)s", year=local.year))
    return local
