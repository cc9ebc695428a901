"""Spreadsheets are opened by a process of their own; one that wants too much is refused, and quickly."""

from __future__ import annotations

import datetime as dt
import io
import time
import zipfile
from pathlib import Path

import pytest
import xlsxwriter

from rapport.builtin.exchange.readers import BadRow, Limits, ReadOptions, Unreadable, open_table

SAMPLES = Path(__file__).parent / "samples/csvkit"


def workbook(sheets):
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for line, row in rows:
                sheet.write_row(line - 1, 1, row)
    return file.getvalue()


@pytest.mark.parametrize("name", ["test.xlsx", "test.xls"])
def test_cells_keep_their_types(name):
    table = open_table(SAMPLES / name, name)
    first = next(table.rows())
    assert first.line == 2
    assert first.values["date"] == dt.date(1971, 1, 1)
    assert first.values["datetime"] == dt.datetime.fromisoformat("1971-01-01T04:14")
    assert first.values["integer"] == 40
    assert first.values["boolean"] is True


def test_the_first_sheet_with_something_in_it_is_read_unless_another_is_chosen():
    data = workbook({"Cover": [], "People": [(4, ["Name", "City"]), (6, ["Ada", "London"])], "More": [(1, ["a"])]})
    table = open_table(data, "list.xlsx")
    assert (table.sheets, table.sheet, table.header_row) == (["Cover", "People", "More"], "People", 4)
    assert list(table.rows()) == [(6, {"Name": "Ada", "City": "London"})]
    assert table.blank == 1
    assert open_table(data, "list.xlsx", ReadOptions(sheet="More")).columns == ["a"]
    with pytest.raises(Unreadable, match=r"there is no sheet called 'X'\. Choose one of: Cover, People, More\."):
        open_table(data, "list.xlsx", ReadOptions(sheet="X"))


def test_a_value_beside_the_header_gets_a_column():
    rows = [(1, ["Name", "City"]), (2, ["Ada", "London"]), (3, ["Grace", "New York", "?"])]
    table = open_table(workbook({"A": rows}), "list.xlsx")
    assert table.columns == ["Name", "City", "column_3"]
    assert table.warnings == ["Column 3 has no name; it is called column_3."]
    assert [row.values["column_3"] for row in table.rows()] == ["", "?"]


def test_a_value_beside_the_header_far_below_is_refused():
    rows = [(1, ["Name", "City"]), *((n, ["Ada", "London"]) for n in range(2, 300)), (300, ["Grace", "New York", "?"])]
    bad = [row for row in open_table(workbook({"A": rows}), "list.xlsx").rows() if isinstance(row, BadRow)]
    assert bad == [BadRow(300, "The row has 3 values, but the header names 2.", "Grace | New York | ?")]


def bomb(rows):
    """A workbook of two million empty rows: 183 MB when unpacked, and well under a megabyte before."""
    plain = workbook({"A": [(1, ["Name"])]})
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(plain)) as old, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.namelist():
            data = old.read(entry)
            if entry == "xl/worksheets/sheet1.xml":
                body = (
                    b'<row r="1"><c r="A1" t="inlineStr"><is><t>aaaaaaaaaaaaaaaaaaaaaaaaaaaaa</t></is></c></row>' * rows
                )
                data = data[: data.index(b"<sheetData>") + 11] + body + data[data.index(b"</sheetData>") :]
            new.writestr(entry, data)
    return file.getvalue()


def test_a_bomb_is_refused_quickly():
    data = bomb(2_000_000)
    assert len(data) < 1_500_000
    begin = time.process_time()
    with pytest.raises(Unreadable, match=r"more than 1,048,576 rows\. Save the sheet as CSV"):
        open_table(data, "bomb.xlsx")
    assert time.process_time() - begin < 1


def test_a_bomb_that_lies_about_its_size_is_refused():
    data = bytearray(bomb(1_200_000))
    entry = next(e for e in zipfile.ZipFile(io.BytesIO(bytes(data))).infolist() if e.filename.endswith("sheet1.xml"))
    true_size = entry.file_size.to_bytes(4, "little")
    assert data.count(true_size) >= 2
    lying = bytes(data).replace(true_size, (1000).to_bytes(4, "little"))
    with pytest.raises(Unreadable, match="more than 1,048,576 rows"):
        open_table(lying, "bomb.xlsx")


def test_two_cells_in_far_corners_do_not_fill_the_memory():
    file = io.BytesIO()
    with xlsxwriter.Workbook(file) as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "Name")
        sheet.write(1_048_575, 16_383, "far away")
    with pytest.raises(Unreadable, match=r"list\.xlsx cannot be read"):
        open_table(file.getvalue(), "list.xlsx")


def test_a_workbook_over_the_limits_is_refused():
    data = workbook({"A": [(n, ["x"] * 50) for n in range(1, 100)]})
    with pytest.raises(Unreadable, match="more than 1,000 cells"):
        open_table(data, "list.xlsx", ReadOptions(limits=Limits(cells=1000)))
    with pytest.raises(Unreadable, match="50 columns, and 20 is the limit"):
        open_table(data, "list.xlsx", ReadOptions(limits=Limits(columns=20)))
