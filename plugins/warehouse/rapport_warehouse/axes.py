"""What figures are told apart by: a dimension's members, from the database's values to what people read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from babel import Locale
from babel.dates import format_skeleton
from sqlalchemy import Date, Integer, cast, func, select

from rapport import Dimension, Field, Formats, Reader, batched, column_of
from rapport import gettext as _
from rapport.figures import TOLD_APART, ScopedSession, field_at, way_to
from rapport.i18n import calendars, catalogs
from rapport_warehouse.question import HIDDEN, REST, DimensionInfo, Member, add_months

if TYPE_CHECKING:
    from rapport import Site

CALENDARS: Mapping[str, str] = {
    "jalali_month": "jalali_key", "jalali_year": "jalali_year", "hebrew_month": "hebrew_key",
    "hebrew_year": "hebrew_year",
}  # fmt: skip
"""Units that are looked up in the table of days, and their columns there."""
UNITS: Mapping[str, str] = {
    "day": "Day", "week": "Week", "month": "Month", "quarter": "Quarter", "year": "Year", "weekday": "Day of the week",
    "hour": "Hour of the day", "fiscal_year": "Fiscal year", "jalali_month": "Month (Persian calendar)",
    "jalali_year": "Year (Persian calendar)", "hebrew_month": "Month (Hebrew calendar)",
    "hebrew_year": "Year (Hebrew calendar)",
}  # fmt: skip
SPANS = ("day", "week", "month", "quarter", "year", "fiscal_year")
"""Units that follow one another without a gap, so that those in which nothing happened can be filled in."""
ROUND = {"weekday": range(1, 8), "hour": range(24)}
"""Units that come round."""
PLAIN = {"choice", "text", "flag", "reference"}
"""Kinds of fields by which an administrator's or another plugin's fields tell records apart without being declared."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A dimension as one person may use it."""

    name: str
    title: str
    help: str = ""
    unit: str = ""
    """Of dates: day, month …"""
    of: str = ""
    """The kind of record that has the field."""
    via: str = ""
    field: Field | None = None
    """None: the record itself."""
    part: str = ""
    """One part of an address."""
    record: str = ""
    """The kind of record that its members are."""
    then: bool = False
    """Whether it is what held when each thing happened."""

    def way(self, site: Site, start: str) -> tuple[Field, ...] | None:
        """The references from a kind of record to where the members are; None where it does not suit."""
        if self.unit:
            return ()
        way = way_to(site, start, self.of, self.via)
        if way is None or not self.record or self.field is None:
            return way
        return (*way, self.field)

    def info(self, site: Site) -> DimensionInfo:
        """As it is offered."""
        group = _("Date") if self.unit else _(site.meta_named(self.of).title)
        return DimensionInfo(self.name, self.title, self.help, group)


def axis_of(reader: Reader, name: str) -> Axis | None:
    """The dimension of this name; None where there is none that this person may use."""
    plugin, _dot, unit = name.partition(".")
    if plugin == "date":
        return Axis(name, _(UNITS[unit]), unit=unit) if unit in UNITS else None
    site = reader.site
    if name in site.dimensions:
        return _declared(reader, site.dimensions[name])
    entity, _dot, field_name = name.rpartition(".")
    if entity not in site.entities:
        return None
    field = site.meta_named(entity).fields.get(field_name)
    if field is None or not _plain(field):
        return None
    return _declared(reader, Dimension(name, field.label, of=entity, value=field_name, help=field.help or ""))


def every_axis(reader: Reader) -> Iterator[Axis]:
    """All dimensions that this person may use: dates, what plugins declare, and the fields that were added."""
    site = reader.site
    names = [f"date.{unit}" for unit in UNITS]
    names += [each.name for each in site.dimensions]
    declared = {(each.of, each.value) for each in site.dimensions}
    for entity in site.entities:
        meta = site.meta(entity)
        names += [
            f"{meta.name}.{each.name}"
            for each in meta.fields.values()
            if _plain(each) and each.kind != "text" and (meta.name, each.name) not in declared
        ]
    for name in names:
        if (axis := axis_of(reader, name)) is not None:
            yield axis


def _plain(field: Field) -> bool:
    return bool(field.custom or field.extension) and field.kind in PLAIN and not field.secret


def _declared(reader: Reader, dimension: Dimension) -> Axis | None:
    site = reader.site
    if not _may_read(reader, dimension.of):
        return None
    help_text = _(dimension.help) if dimension.help else ""
    basic: dict[str, Any] = {"name": dimension.name, "title": _(dimension.title), "help": help_text}
    if dimension.value == "id":
        return Axis(**basic, of=dimension.of, via=dimension.via, record=dimension.of)
    found = field_at(site, dimension.of, dimension.value)
    if found is None or found[0]:
        return None
    field, part = found[1], found[2]
    if field.kind not in TOLD_APART and not part:
        return None
    if field.target and not _may_read(reader, field.target):
        return None
    return Axis(
        **basic, of=dimension.of, via=dimension.via, field=field, part=part, record=field.target or "",
        then=dimension.then,
    )  # fmt: skip


def _may_read(reader: Reader, entity: str) -> bool:
    return entity in reader.site.entities and reader.actor.may(reader.site.entities[entity].meta.permission("read"))


def may_go(reader: Reader, way: Iterable[Field]) -> bool:
    """Whether somebody may read every kind of record on a way."""
    return all(_may_read(reader, each.target or "") for each in way)


# In the database -----------------------------------------------------------------------------------------------------


def value_in(axis: Axis, entity: Any) -> Any:
    """What tells records apart, of the kind of record that has it; nothing counts as missing."""
    if axis.record:
        return entity.id
    assert axis.field is not None
    column = column_of(entity, axis.field)
    if axis.part:
        column = column[axis.part].as_string()
    return column if axis.field.kind == "flag" else func.nullif(column, "", type_=column.type)


def span_of(unit: str, day: Any, moment: Any, fiscal_start: int) -> Any:
    """The day, month or year that a day lies in; of an hour, that of the moment as clocks show it."""
    match unit:
        case "day":
            return day
        case "weekday":
            return func.isodow(day, type_=Integer)
        case "hour":
            return func.hour(moment, type_=Integer)
        case "fiscal_year":
            later = day if fiscal_start == 1 else day + func.to_months(13 - fiscal_start)
            return func.year(later, type_=Integer)
        case _:
            return cast(func.date_trunc(unit, day), Date)


# As keys -------------------------------------------------------------------------------------------------------------


def key_of(axis: Axis, value: Any) -> str:
    """What a value is called in addresses and slices."""
    if value is None:
        return ""
    match axis.unit:
        case "week":
            year, week, _weekday = value.isocalendar()
            return f"{year}-W{week:02}"
        case "month":
            return f"{value:%Y-%m}"
        case "quarter":
            return f"{value:%Y}-Q{(value.month + 2) // 3}"
        case "year":
            return f"{value:%Y}"
        case "day":
            return str(value.isoformat())
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def value_of(axis: Axis, key: str) -> Any:
    """The value behind a key. ValueError for one that can be none."""
    if key == "":
        return None
    match axis.unit:
        case "day":
            return dt.date.fromisoformat(key)
        case "week":
            year, week = key.split("-W")
            return dt.date.fromisocalendar(int(year), int(week), 1)
        case "month":
            return dt.date.fromisoformat(f"{key}-01")
        case "quarter":
            year, quarter = key.split("-Q")
            return dt.date(int(year), int(quarter) * 3 - 2, 1)
        case "year":
            return dt.date(int(key), 1, 1)
        case "jalali_month" | "hebrew_month":
            return key
        case unit if unit:
            return int(key)
    if axis.record:
        return UUID(key)
    if axis.field is not None and axis.field.kind == "flag":
        return {"true": True, "false": False}[key]
    return key


def after(unit: str, value: Any) -> Any:
    """The one that follows."""
    match unit:
        case "day":
            return value + dt.timedelta(days=1)
        case "week":
            return value + dt.timedelta(weeks=1)
        case "fiscal_year":
            return value + 1
        case _:
            return add_months(value, {"month": 1, "quarter": 3, "year": 12}[unit])


def within(unit: str, day: dt.date, fiscal_start: int) -> Any:
    """The value of the day, week, month … that a day lies in."""
    match unit:
        case "day":
            return day
        case "week":
            return day - dt.timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)
        case "quarter":
            return day.replace(day=1, month=(day.month - 1) // 3 * 3 + 1)
        case "year":
            return day.replace(day=1, month=1)
        case _:
            return day.year + (fiscal_start > 1 and day.month >= fiscal_start)


# As people read them -------------------------------------------------------------------------------------------------


def members_of(axis: Axis, reader: Reader, session: ScopedSession, values: Mapping[str, Any]) -> dict[str, Member]:
    """Each key with its title, in the reader's language; of records, the titles of those within reach."""
    known: dict[str, Member] = {}
    if axis.record:
        known = _records(axis, reader.site, session, values)
    show = _shower(axis, reader)
    for key, value in values.items():
        if key == HIDDEN:
            known[key] = Member(key, _("(hidden)"))
        elif key == REST:
            known[key] = Member(key, _("All others"))
        elif key not in known:
            known[key] = Member(key, show(value))
    return known


def _records(axis: Axis, site: Site, session: ScopedSession, values: Mapping[str, Any]) -> dict[str, Member]:
    entity: Any = site.entities[axis.record]
    meta = entity.meta
    ids = [value for key, value in values.items() if key not in {HIDDEN, REST, ""}]
    found: dict[str, Member] = {}
    for some in batched(ids):
        title = getattr(entity, meta.display)
        for record_id, text in session.execute(select(entity.id, title).where(entity.id.in_(some))):
            url = f"/{meta.name}/{record_id}" if meta.listed else ""
            shown = _(str(text)) if meta.natural_key and text else str(text or record_id)
            found[str(record_id)] = Member(str(record_id), shown, url)
    for key in values:
        if key not in {HIDDEN, REST, ""} and key not in found:
            found[key] = Member(key, _("(hidden)"))
    return found


def _shower(axis: Axis, reader: Reader) -> Callable[[Any], str]:
    if axis.unit:
        return _dates(axis.unit, reader)
    field = axis.field
    labels: dict[str, str] = {}
    if field is not None and field.choices:
        labels = {choice.value: choice.label for choice in field.choices}
    elif field is not None and field.kind == "text":  # kinds of interactions and channels are words of plugins
        for registry in (reader.site.interaction_types, reader.site.channels):
            if field.name in {"kind", "channel"}:
                labels.update({each.name: each.title for each in registry})

    def show(value: Any) -> str:
        if isinstance(value, bool):
            return _("Yes") if value else _("No")
        key = "" if value is None else str(value)
        if key in labels:
            return _(labels[key])
        if axis.part == "country" and len(key) == 2 and key.isalpha():
            return formats_of(reader).country(key.upper())
        return key or _("None")

    return show


def formats_of(reader: Reader) -> Formats:
    """How the one who asks reads days and numbers."""
    calendar: Any = reader.actor.calendar or None
    return Formats(catalogs.current_texts().lang, reader.actor.time_zone, calendar)


def _dates(unit: str, reader: Reader) -> Callable[[Any], str]:
    formats = formats_of(reader)
    lang = formats.lang
    locale = Locale.parse(catalogs.LANGUAGES[lang].locale)

    def native(text: str) -> str:
        return "".join(_digit(each, formats) for each in text)

    def by_month(value: str, calendar: calendars.Calendar) -> str:
        year, place = (int(part) for part in value.split("-"))
        return f"{_month_of(year, place, calendar, lang)} {native(str(year))}"

    def show(value: Any) -> str:
        if value is None:
            return _("None")
        match unit:
            case "day":
                return formats.date(value)
            case "week":
                year, week, _weekday = value.isocalendar()
                return _("Week %(week)s, %(year)s", week=native(str(week)), year=native(str(year)))
            case "month":
                return native(format_skeleton("yMMM", value, locale=locale))
            case "quarter":
                return native(format_skeleton("yQQQ", value, locale=locale))
            case "year":
                return native(f"{value:%Y}")
            case "weekday":
                return formats.weekday(dt.date(2024, 1, int(value)))  # the first of January 2024 was a Monday
            case "hour":
                return native(f"{value:02}:00")
            case "jalali_month":
                return by_month(value, "persian")
            case "hebrew_month":
                return by_month(value, "hebrew")
            case _:
                return native(str(value))

    return show


def _digit(letter: str, formats: Formats) -> str:
    return formats.number(int(letter)) if letter.isascii() and letter.isdigit() else letter


def _month_of(year: int, place: int, calendar: calendars.Calendar, lang: str) -> str:
    if calendar == "hebrew":  # months are named by their number from Nisan, and years begin with the seventh
        length = 13 if calendars.is_hebrew_leap(year) else 12
        place = (place + 5) % length + 1
    return calendars.month_name(year, place, calendar, lang)


def sorted_values(axis: Axis, values: Sequence[Any]) -> list[Any]:
    """Values of dates in their order, what is missing last."""
    return sorted(values, key=lambda value: (value is None, "" if value is None else value))
