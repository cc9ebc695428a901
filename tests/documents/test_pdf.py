"""Documents are drawn in every script we speak: letters are joined, and reading begins on the right side."""

from __future__ import annotations

import re
import zlib

import pytest

from rapport.documents import FONTS, Document, Head, Table, can_draw, pdf, scripts_of

pytestmark = pytest.mark.skipif(not can_draw(), reason=f"the fonts of documents are not built here ({FONTS})")
SAID = {
    "en": ("Quote", "Solar roof"),
    "fr": ("Devis", "Toit solaire, à Besançon"),
    "fa": ("پیش‌فاکتور", "سقف خورشیدی (Helia 430)، ۱۲ قطعه"),
    "he": ("הצעת מחיר", "גג סולארי (Helia 430), 12 יחידות"),
    "zh": ("报价单", "太阳能屋顶（含电池）"),
}


def streams(paper: bytes) -> list[bytes]:
    found = []
    for part in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", paper, re.DOTALL):
        try:
            found.append(zlib.decompress(part))
        except zlib.error:
            found.append(part)
    return found


def glyphs_of(paper: bytes, letter: str) -> int:
    """How many pictures of a letter a document needs."""
    wanted = f"<{ord(letter):04X}>".encode()
    return sum(line.endswith(wanted) for part in streams(paper) if b"begincmap" in part for line in part.splitlines())


def starts(paper: bytes) -> list[float]:
    """How far from the left each piece of text begins."""
    return [float(x) for part in streams(paper) for x in re.findall(rb"BT ([\d.]+) [\d.]+ Td", part)]


@pytest.mark.parametrize("language", SAID)
def test_a_document_is_drawn_in_every_language(language: str):
    title, line = SAID[language]
    document = Document(
        title, language, "Helia", to=["Ada Lovelace", "سارا رحیمی", "李明", "נועה לוי"], facts=[("Day", "2030-01-01")],
        opening=[line], heads=[Head(title, 0.6), Head("Σ", 0.4, True)], rows=[[line, "1.234,50 €"]] * 40,
        totals=[(title, "₪ 12")], closing=[line],
    )  # fmt: skip
    paper = pdf(document)
    assert paper.startswith(b"%PDF-")
    assert paper.count(b"/Type /Page\n") == 2, "a long table goes on overleaf"
    assert scripts_of(document.texts()) == {"latin", "arabic", "hebrew", "han"}
    sides = starts(pdf(Document(title, language, title)))
    assert (min(sides) > 300) == (language in {"fa", "he"}), "what is read from the right begins on the right"


def test_letters_are_joined_as_they_are_written():
    paper = pdf(Document("ب ببب", "fa", ""))
    assert glyphs_of(paper, "ب") == 4, "alone, first, in the middle, last"


def test_a_long_table_says_its_head_on_every_page():
    heads = [Head("Ω", 0.5), Head("Sum", 0.5, True)]
    standing, lying = (
        pdf(Document("Figures", "en", "", tables=[Table(heads, [["a", "1"]] * 60, {59}, 8)], wide=wide))
        for wide in (False, True)
    )
    assert (standing.count(b"/Type /Page\n"), lying.count(b"/Type /Page\n")) == (2, 3)
    pages = [part for part in streams(lying) if b"BT" in part]
    assert all(b" 7.00 Tf" in page for page in pages), (
        "the letters of a head are a point smaller than those of its rows"
    )
