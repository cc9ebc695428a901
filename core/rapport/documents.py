"""Documents on paper: a quote or a letter as PDF, in any script, right-to-left where the language is.

What draws is `fpdf2` with `uharfbuzz` (`pip install "rapport-crm[documents]"`), loaded when the first document is
made. Fonts come with the assets of the web. Nothing is fetched while drawing, and there is no markup: a document
cannot reach for anything.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rapport.errors import RapportError
from rapport.i18n.catalogs import direction

if TYPE_CHECKING:
    from fpdf import FPDF

FONTS = Path(__file__).parent / "builtin" / "web" / "static" / "documents"
MARGIN = 20.0
LINE = 0.56
"""Millimetres from line to line, for each point of the letters."""
THIN = 0.1
"""Of a line below a row; those are grey."""
SCRIPTS = ("latin", "arabic", "hebrew", "han")
_OF_CHARACTERS = {"ARABIC": "arabic", "HEBREW": "hebrew", "CJK": "han", "IDEOGRAPHIC": "han", "FULLWIDTH": "han",
                  "HIRAGANA": "han", "KATAKANA": "han"}  # fmt: skip
_MAIN = {"fa": "arabic", "he": "hebrew", "zh": "han"}
_UNSEEN = {"\u200e", "\u200f", "\u2066", "\u2067", "\u2068", "\u2069", "\u202a", "\u202b", "\u202c"}
"""Marks of direction: the drawing has its own, and a font has no picture of them."""


@dataclass(frozen=True, slots=True)
class Head:
    """A column of a document's table: what stands above it, its share of the width, and whether it holds figures."""

    title: str
    share: float
    figures: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """Rows below a head, which is said again on every page."""

    heads: Sequence[Head]
    rows: Sequence[Sequence[str]]
    strong: Collection[int] = ()
    """Rows that stand out, such as totals."""
    size: float = 10
    """Of the letters, in points."""


@dataclass(frozen=True, slots=True)
class Document:
    """What stands on the paper, from top to bottom. Everything is text, written as its reader reads."""

    title: str
    language: str
    sender: str
    to: Sequence[str] = ()
    facts: Sequence[tuple[str, str]] = ()
    opening: Sequence[str] = ()
    heads: Sequence[Head] = ()
    rows: Sequence[Sequence[str]] = ()
    totals: Sequence[tuple[str, str]] = ()
    """Below the table, what it adds up to; the last one counts."""
    tables: Sequence[Table] = ()
    """Further tables, one below the other."""
    closing: Sequence[str] = ()
    wide: bool = False
    """Whether the paper lies on its long side."""

    def texts(self) -> Iterator[str]:
        """Every text on it."""
        yield from (self.title, self.sender, *self.to, *self.opening, *self.closing)
        yield from (text for pair in (*self.facts, *self.totals) for text in pair)
        yield from (head.title for head in self.heads)
        yield from (cell for row in self.rows for cell in row)
        for table in self.tables:
            yield from (head.title for head in table.heads)
            yield from (cell for row in table.rows for cell in row)

    @property
    def width(self) -> float:
        """Between the margins, in millimetres."""
        return (297.0 if self.wide else 210.0) - 2 * MARGIN


def can_draw() -> bool:
    """Whether what draws is installed here, and the fonts are built."""
    there = all(importlib.util.find_spec(name) is not None for name in ("fpdf", "uharfbuzz"))
    return there and (FONTS / "latin-regular.ttf").exists()


def pdf(document: Document) -> bytes:
    """The document as PDF on A4. RapportError says what to install where drawing is not possible."""
    if not can_draw():
        raise RapportError('PDF needs two libraries and the fonts: pip install "rapport-crm[documents]", make assets.')
    return _Paper(document).drawn()


def scripts_of(texts: Iterable[str]) -> set[str]:
    """The scripts that some texts are written in, as far as we have a font for them."""
    found = {"latin"}
    for character in {character for text in texts for character in text if ord(character) > 0x24F}:
        found.add(_OF_CHARACTERS.get(unicodedata.name(character, "").split(" ")[0], "latin"))
    return found


class _Paper:
    """One document being drawn. A position is measured from the side where reading begins."""

    def __init__(self, document: Document) -> None:
        from fpdf import FPDF

        self.document = document
        self.rtl = direction(document.language) == "rtl"
        self.main = _MAIN.get(document.language, "latin")
        self.width = document.width
        self.size, self.bold = 10.0, False
        self.page: FPDF = FPDF("landscape" if document.wide else "portrait", format="A4")
        self.page.set_margins(MARGIN, MARGIN)
        self.page.set_auto_page_break(auto=True, margin=MARGIN)
        self.page.set_title(document.title)
        self.page.set_author(document.sender)
        self.page.set_lang(document.language)
        needed = scripts_of(document.texts()) | {self.main}
        for script in needed:
            self.page.add_font(script, "", FONTS / f"{script}-regular.ttf")
            bold = FONTS / f"{script}-bold.ttf"
            self.page.add_font(script, "B", bold if bold.exists() else FONTS / f"{script}-regular.ttf")
        self.page.set_fallback_fonts([script for script in SCRIPTS if script in needed and script != self.main])
        self.page.add_page()

    def drawn(self) -> bytes:
        """From the sender to the closing words."""
        paper = self.document
        self.font(11, bold=True)
        self.line(paper.sender)
        self.page.ln(6)
        self.font(10)
        for text in paper.to:
            self.line(text)
        self.page.ln(8)
        self.font(17, bold=True)
        self.line(paper.title, height=9)
        self.page.ln(2)
        self.font(10)
        for label, value in paper.facts:
            self.row([(label, 0.3, False), (value, 0.7, False)])
        for text in paper.opening:
            self.page.ln(3)
            self.line(text)
        self.page.ln(4)
        if paper.heads:
            self.table(Table(paper.heads, paper.rows))
            for place, (label, value) in enumerate(paper.totals):
                self.font(10, bold=place == len(paper.totals) - 1)
                self.row([("", 0.4, False), (label, 0.35, True), (value, 0.25, True)])
        for table in paper.tables:
            self.table(table)
            self.page.ln(4)
        self.font(10)
        for text in paper.closing:
            self.page.ln(4)
            self.line(text)
        self.leave_shaping_out()
        return bytes(self.page.output())

    def leave_shaping_out(self) -> None:
        """Take out of the fonts what shapes texts: that is done, and no file holds it. Reading it took a third."""
        for font in self.page.fonts.values():
            tables: Any = font.ttfont  # type: ignore[union-attr]  # we add no other kind of font
            for tag in {"GDEF", "GPOS", "GSUB"} & {*tables.keys()}:
                del tables[tag]

    def table(self, table: Table) -> None:
        """The head and the rows."""
        self.head(table)
        for place, cells in enumerate(table.rows):
            self.font(table.size, bold=place in table.strong)
            self.row(
                [(cell, head.share, head.figures) for cell, head in zip(cells, table.heads, strict=True)], rule=THIN,
                under=table,
            )  # fmt: skip

    def head(self, table: Table) -> None:
        """What stands above each column."""
        self.font(table.size - 1, bold=True)
        self.row([(head.title, head.share, head.figures) for head in table.heads], rule=0.5)

    def font(self, size: float, *, bold: bool = False) -> None:
        """From here on."""
        self.size, self.bold = size, bold
        self.page.set_font(self.main, "B" if bold else "", size)

    def shape(self, text: str) -> None:
        """Join and order the letters of what comes next: from the side its first letter says, else the page's."""
        first = next((kind for kind in map(unicodedata.bidirectional, text) if kind in {"L", "R", "AL"}), "")
        rtl = self.rtl if not first else first != "L"
        self.page.set_text_shaping(use_shaping_engine=True, direction="rtl" if rtl else "ltr")

    def line(self, text: str, height: float = 0) -> None:
        """A paragraph over the whole width."""
        self.shape(text)
        self.page.multi_cell(self.width, height or LINE * self.size, _seen(text), align="R" if self.rtl else "L",
                             new_x="LMARGIN", new_y="NEXT")  # fmt: skip

    def row(self, cells: Sequence[tuple[str, float, bool]], rule: float = 0, under: Table | None = None) -> None:
        """Texts beside each other, each with its share of the width; figures stand at the far side of theirs.

        A row of a table that begins a page comes after the table's head.
        """
        page: Any = self.page
        height = LINE * self.size
        prepared = [(_seen(text), share * self.width, figures) for text, share, figures in cells]
        single = [self.fits(text, width) for text, width, _ in prepared]
        self.shape("")
        tall = max(
            (page.multi_cell(width, height, text, dry_run=True, output="HEIGHT")
             for (text, width, _), fits in zip(prepared, single, strict=True) if not fits),
            default=height,
        )  # fmt: skip
        if page.will_page_break(tall):
            page.add_page()
            if under is not None:
                size, bold = self.size, self.bold
                self.head(under)
                self.font(size, bold=bold)
        top, begun = page.get_y(), 0.0
        for (text, width, figures), fits in zip(prepared, single, strict=True):
            page.set_xy(MARGIN + (self.width - begun - width if self.rtl else begun), top)
            self.shape(text)
            draw = page.cell if fits else page.multi_cell
            draw(width, height, text, align="R" if self.rtl != figures else "L", new_x="LEFT", new_y="NEXT")
            begun += width
        page.set_y(top + tall + 1)
        if rule:
            page.set_line_width(rule)
            page.set_draw_color(0 if rule > THIN else 190)
            page.line(MARGIN, page.get_y(), MARGIN + self.width, page.get_y())
            page.ln(1)

    def fits(self, text: str, width: float) -> bool:
        """Whether a text stands in one line: then it is drawn in a fifth of the time."""
        self.shape(text)
        return "\n" not in text and self.page.get_string_width(text) + 2 * self.page.c_margin <= width


def _seen(text: str) -> str:
    return "".join(character for character in text if character not in _UNSEEN)
