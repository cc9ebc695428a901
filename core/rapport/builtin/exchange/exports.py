"""Taking records out: a list as its reader may see it, a page of it at a time, as CSV, Excel or JSON lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO
from uuid import UUID

from rapport.builtin.exchange.targets import PART_LABELS, TITLE_SUFFIX
from rapport.builtin.exchange.writers import Cell, CsvWriter, NdjsonWriter, Writer, XlsxWriter
from rapport.entities import Entity, Field, entity_class
from rapport.entities.fields import ADDRESS_PARTS
from rapport.errors import Invalid, Problem
from rapport.i18n.catalogs import _
from rapport.query.filter import Filter
from rapport.records import Reader
from rapport.records.reader import MAX_LIMIT, wanted_fields

FORMATS = {
    "csv": "text/csv",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "ndjson": "application/x-ndjson",
}
"""What can be written, with its media type; the name is also the ending of the file."""

Titles = Mapping[str, Mapping[UUID, str]]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the export: its header, and its value in a row. Titles of references are looked up for many rows."""

    header: str
    value: Callable[[Any, Titles], Cell]


def export(
    reader: Reader, entity: type[Entity], target: BinaryIO, format: str, *, filter: str | Filter | None = None,
    search: str = "", sort: str = "", archived: bool = False, fields: str | Sequence[str] | None = None,
    for_people: bool = False, progress: Callable[[int, int], None] | None = None,
) -> Writer:  # fmt: skip
    """Write what the reader may see of a list, in its order. Returns the writer: how many rows, and its warnings.

    Columns are named as the API names fields, and references are written as id and title, so that a program reads
    back exactly what was there. `for_people` gives labels, titles and words of choices in the reader's language
    instead, with the id last; such a list reads back too, as long as titles are unique.

    Forbidden without the permission to export; Invalid names an unknown format, field, or a mistake in the filter.
    """
    meta = reader.site.meta(entity)
    reader.actor.require(meta.permission("export"))
    if format not in FORMATS:
        raise Invalid(Problem("format", _("must be one of %(allowed)s.", allowed=", ".join(FORMATS))))
    chosen = [f for f in wanted_fields(meta, fields) if f.kind != "file"]
    if for_people:
        chosen = [f for f in chosen if f.name not in {"id", "version"}]
    columns = [column for f in chosen for column in _columns(f, format, for_people)]
    if for_people:
        columns.append(Column(_("Id"), lambda row, _titles: row.id))
    references = [f for f in chosen if f.target]
    writer = _open(target, format, [column.header for column in columns], _(meta.plural))
    with writer:
        cursor = None
        while True:
            page = reader.page(
                entity, filter=filter, search=search, sort=sort, archived=archived, fields=chosen, limit=MAX_LIMIT,
                cursor=cursor,
            )  # fmt: skip
            titles = {f.name: _titles(reader, f, page.items) for f in references}
            for row in page.items:
                writer.write([column.value(row, titles) for column in columns])
            if progress is not None:
                progress(writer.rows, 0)
            cursor = page.next_cursor
            if cursor is None:
                return writer


def export_rows(
    reader: Reader, columns: Sequence[Field], rows: Sequence[Any], target: BinaryIO, format: str, *, title: str
) -> Writer:
    """Write rows that were read otherwise, such as those of a report, with labels and titles for people."""
    if format not in FORMATS:
        raise Invalid(Problem("format", _("must be one of %(allowed)s.", allowed=", ".join(FORMATS))))
    made = [column for f in columns for column in _columns(f, format, True)]
    titles = {f.name: _titles(reader, f, rows) for f in columns if f.target}
    with _open(target, format, [column.header for column in made], title) as writer:
        for row in rows:
            writer.write([column.value(row, titles) for column in made])
    return writer


def _open(target: BinaryIO, format: str, headers: Sequence[str], title: str) -> Writer:
    if format == "xlsx":
        return XlsxWriter(target, headers, sheet=title)
    return NdjsonWriter(target, headers) if format == "ndjson" else CsvWriter(target, headers)


def _columns(f: Field, format: str, for_people: bool) -> Iterable[Column]:
    name, header = f.name, _(f.label) if for_people else f.name
    if f.kind == "address" and format != "ndjson":
        for part in ADDRESS_PARTS:
            label = f"{header}: {_(PART_LABELS[part])}" if for_people else f"{header}.{part}"
            yield Column(label, _address_part(name, part))
    elif f.target and for_people:
        yield Column(header, lambda row, titles: titles[name].get(getattr(row, name), ""))
    elif f.target:
        yield Column(header, lambda row, _titles: getattr(row, name))
        yield Column(header + TITLE_SUFFIX, lambda row, titles: titles[name].get(getattr(row, name), ""))
    elif f.choices and for_people:
        words = {choice.value: _(choice.label) if choice.value else "" for choice in f.choices}
        yield Column(header, lambda row, _titles: words.get(getattr(row, name), getattr(row, name)))
    else:
        yield Column(header, lambda row, _titles: getattr(row, name))


def _address_part(name: str, part: str) -> Callable[[Any, Titles], Cell]:
    return lambda row, _titles: (getattr(row, name) or {}).get(part, "")


def _titles(reader: Reader, f: Field, rows: Sequence[Any]) -> Mapping[UUID, str]:
    titles = reader.titles(entity_class(str(f.target)), [getattr(row, f.name) for row in rows])
    return {key: _(title) for key, title in titles.items()} if f.target == "stage" else titles
