"""What is taken out comes back unaltered, and no spreadsheet finds a formula in it."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import zipfile
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.builtin.exchange import formulas
from rapport.builtin.exchange.readers import open_table
from rapport.builtin.exchange.writers import CsvWriter, NdjsonWriter, XlsxWriter

NASTY = [
    "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "＝1+1", "＠x", "=cmd|' /C calc'!A0", '=HYPERLINK("http://evil")',
    "'=1+1", "''=x", "'plain", "'-5", "-", "+", "-5", "-5.50", "+49 170 1234567", "+49 (170) 12", "+49-170-1234", "1e5",
    "Smith; Jones", 'say "hi"', "two\nlines", "two\r\nlines", "  spaces  ", "0012", "true", "_x0041_", "ʤ שלום 中文",
    "a,b", "-", "https://example.com/?a=1&b=2", "x" * 5000,
]  # fmt: skip


def csv_back(values, **options):
    file = io.BytesIO()
    with CsvWriter(file, ["id", "value"], **options) as writer:
        writer.write_all((f"r{n}", value) for n, value in enumerate(values))
    table = open_table(file.getvalue(), "export.csv")
    return file.getvalue(), [row.values["value"] for row in table.rows()]


def xlsx_back(values):
    file = io.BytesIO()
    with XlsxWriter(file, ["id", "value"]) as writer:
        writer.write_all((f"r{n}", value) for n, value in enumerate(values))
    return file.getvalue(), [row.values["value"] for row in open_table(file.getvalue(), "export.xlsx").rows()]


def test_csv_holds_no_formula_and_comes_back_unaltered():
    data, back = csv_back(NASTY)
    assert back == NASTY
    for _, cell in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")):
        if cell[:1] in tuple("=+-@\t\r＝＋－＠"):
            assert re.fullmatch(r"[+-]?\d[\d., ()]*|[+-]", cell), cell


def test_xlsx_holds_no_formula_and_comes_back_unaltered():
    data, back = xlsx_back(NASTY)
    assert back == NASTY
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml")
    assert b"<f>" not in sheet
    assert b"<hyperlink" not in sheet


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1), max_size=5))
def test_whatever_text_comes_back_from_csv(values):
    assert csv_back(values)[1] == values


@given(st.text("'=+-@\t1 "))
def test_guarding_can_always_be_taken_back(text):
    assert formulas.bare(formulas.guard(text)) == text


def test_values_are_written_as_people_and_machines_expect():
    moment = dt.datetime(2026, 3, 1, 12, 30, tzinfo=dt.timezone(dt.timedelta(hours=3, minutes=30)))
    data, back = csv_back(
        [Decimal("1234.50"), moment, dt.date(2026, 3, 1), True, ["vip", "press"], UUID(int=1), 7, {"city": "Haifa"}]
    )
    assert back == [
        "1234.50", "2026-03-01T09:00:00Z", "2026-03-01", "true", "vip; press", str(UUID(int=1)), "7", "Haifa",
    ]  # fmt: skip
    assert data.startswith(b"\xef\xbb\xbfid,value\r\n")
    assert not csv_back(["x"], bom=False)[0].startswith(b"\xef\xbb\xbf")


def test_numbers_and_dates_stay_numbers_and_dates_in_excel():
    values = [Decimal("1234.50"), 7, -5, 2.5, True, dt.date(2026, 3, 1), dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)]
    assert xlsx_back(values)[1] == [1234.5, 7, -5, 2.5, True, dt.date(2026, 3, 1), values[-1].replace(tzinfo=None)]


def test_what_excel_would_round_or_cannot_date_is_written_as_text():
    values = [1234567890123456789, Decimal("0.12345678901234567"), dt.date(1815, 12, 10)]
    assert xlsx_back(values)[1] == ["1234567890123456789", "0.12345678901234567", "1815-12-10"]


def test_a_text_too_long_for_excel_is_cut_aloud(tmp_path):
    with XlsxWriter(tmp_path / "x.xlsx", ["note"]) as writer:
        writer.write(["x" * 40_000])
    assert writer.warnings == ["Row 2, note: cut to 32,767 characters."]


def test_json_lines_come_back_with_their_digits():
    file = io.BytesIO()
    with NdjsonWriter(file, ["name", "amount", "tags", "since"]) as writer:
        writer.write(["Zoë", Decimal("1234.50"), ["vip"], dt.date(2026, 3, 1)])
    assert json.loads(file.getvalue()) == {"name": "Zoë", "amount": "1234.50", "tags": ["vip"], "since": "2026-03-01"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_other_separators_are_written_and_found_again(delimiter):
    assert csv_back(NASTY, delimiter=delimiter)[1] == NASTY
