"""Taking an answer away: as a file for a spreadsheet, or on paper with its totals and what was asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rapport import Actor, Formats, Reader
from rapport import gettext as _
from rapport.builtin.exchange.download import table_file
from rapport.documents import Document, Head, Table, pdf
from rapport_warehouse.asked import Asked
from rapport_warehouse.offer import MOST, dimension_of, members
from rapport_warehouse.question import Answer
from rapport_warehouse.table import MOST_SHOWN, Line, Sheet, rows_to_take_away, sheet_of

SIZE = 8.5
"""Points of the letters in the table."""
STANDING = 3
"""So many figures beside each other stand on paper that is not laid on its side."""
LETTER, ROOM, WIDEST = 1.75, 3.0, 55.0
"""In millimetres: such a letter, the space beside a text, and what a heading has at most before it is broken."""


def formats_of(actor: Actor) -> Formats:
    """How somebody reads numbers and days."""
    return Formats(actor.language, actor.time_zone, actor.calendar or None)  # type: ignore[arg-type]


def taken(reader: Reader, asked: Asked, found: Answer, format: str, title: str) -> bytes:
    """An answer as a file: csv, xlsx or pdf."""
    if format == "pdf":
        return pdf(document_of(reader, asked, found, title))
    fields, rows = rows_to_take_away(found)
    return table_file(reader, title, fields, rows, format)


def document_of(reader: Reader, asked: Asked, found: Answer, title: str) -> Document:
    """An answer as it is drawn: on as much paper as it needs, beside and below each other."""
    actor = reader.actor
    formats = formats_of(actor)
    sheet = sheet_of(found, formats, asked)
    closing = [found.note] if found.note else []
    if len(sheet.lines) > MOST_SHOWN:
        closing.append(_("The first %(count)s rows. The file has all of them.", count=formats.number(MOST_SHOWN)))
    if not sheet.lines:
        closing.append(_("Nothing was found. A longer time or fewer filters may help."))
    paper = Document(
        title, actor.language, str(reader.site.settings.get("core.name")), facts=_facts(reader, asked, found, formats),
        closing=closing, wide=len(sheet.measures) > STANDING,
    )  # fmt: skip
    return replace(paper, tables=tables_of(sheet, paper.width))


def _facts(reader: Reader, asked: Asked, found: Answer, formats: Formats) -> list[tuple[str, str]]:
    """What was asked, in words: the time, what it is compared with, and what is let through."""
    told = []
    if found.since and found.until:
        told.append((_("Period"), f"{formats.date(found.since)} – {formats.date(found.until)}"))
    elif day := found.since or found.until:
        told.append((_("Period"), f"{'≥' if found.since else '≤'} {formats.date(day)}"))
    if found.compared_since and found.compared_until:
        span = f"{formats.date(found.compared_since)} – {formats.date(found.compared_until)}"
        told.append((_("Compared with"), span))
    for name in asked.at("filter"):
        if chosen := asked.only.get(name):
            known = {member.key: member.title for member in members(reader, name, limit=MOST)}
            told.append((dimension_of(reader, name).title, ", ".join(known.get(key, key) for key in chosen)))
    told.append((_("As of"), formats.instant(found.as_of)))
    told.append((_("As seen by"), reader.actor.name))
    return told


def tables_of(sheet: Sheet, width: float) -> list[Table]:
    """A pivot as tables that fit the paper: figures that do not fit beside the others stand below, with their rows."""
    lines = sheet.lines[:MOST_SHOWN]
    deep = max(len(sheet.row_titles), 1)
    titles = [_with_group(sheet, at) for at in range(len(sheet.measures))]
    heads = [min(WIDEST, _width([sheet.row_titles[at] if sheet.row_titles else "",
                                 *(line.heads[at].title for line in lines if at < len(line.heads))]))
             for at in range(deep)]  # fmt: skip
    left = sum(heads)
    if left > width / 2:
        heads, left = [each * width / 2 / left for each in heads], width / 2
    wide = [max(_width([_figure(line, at) for line in lines]), _width(titles[at].split())) for at in range(len(titles))]
    tables: list[Table] = []
    begun = 0
    while begun < len(titles) or not tables:
        end, used = begun, left
        while end < len(titles) and (end == begun or used + wide[end] <= width):
            used += wide[end]
            end += 1
        tables.append(_table(sheet, lines, heads, wide, titles, (begun, end), max(width, used)))
        begun = end
        if not titles:
            break
    return tables if lines else []


def _table(
    sheet: Sheet, lines: Sequence[Line], heads: Sequence[float], wide: Sequence[float], titles: Sequence[str],
    part: tuple[int, int], width: float,
) -> Table:  # fmt: skip
    begun, end = part
    told = list(sheet.row_titles) or [""]
    columns = [Head(title, share / width) for title, share in zip(told, heads, strict=True)]
    columns += [Head(titles[at], wide[at] / width, True) for at in range(begun, end)]
    rows = []
    for line in lines:
        names = ["" if at < line.repeated else member.title for at, member in enumerate(line.heads)]
        names += [""] * (len(heads) - len(names))
        rows.append([*names, *(_figure(line, at) for at in range(begun, end))])
    strong = {at for at, line in enumerate(lines) if line.kind != "row"}
    return Table(columns, rows, strong, SIZE)


def _with_group(sheet: Sheet, at: int) -> str:
    """What stands above a figure: its measure, below the column that it belongs to."""
    ends = 0
    for title, many in sheet.groups:
        ends += many
        if at < ends:
            return f"{title} · {sheet.measures[at].title}"
    return sheet.measures[at].title


def _figure(line: Line, at: int) -> str:
    each = line.figures[at]
    return " ".join(part for part in (each.text, each.delta, each.share) if part)


def _width(texts: Sequence[str]) -> float:
    return max(map(len, texts), default=0) * LETTER + ROOM
