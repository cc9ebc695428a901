"""A salesperson brings a list as some program wrote it; every line of it is read, or refused with a reason."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from rapport.builtin.exchange.readers import BadRow, ReadOptions, Row, Unreadable, open_table

SAMPLES = Path(__file__).parent / "samples"


def rows_of(data, name="list.csv", **options):
    table = open_table(data, name, ReadOptions(**options))
    rows = list(table.rows())
    return table, [r.values for r in rows if isinstance(r, Row)], [r for r in rows if isinstance(r, BadRow)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(separator):
    text = separator.join(["Name", "City", "Note"]) + "\n" + separator.join(["Ada", "London", '"a, b; c | d"']) + "\n"
    table, rows, bad = rows_of(text.encode())
    assert table.delimiter == separator
    assert rows == [{"Name": "Ada", "City": "London", "Note": "a, b; c | d"}]
    assert not bad


def test_decimal_commas_do_not_look_like_separators():
    table, rows, _ = rows_of(b"Produit;Prix;Stock\nChaise;12,50;3,5\nTable;99,00;1,0\n")
    assert table.delimiter == ";"
    assert rows[0]["Prix"] == "12,50"


def test_excels_own_first_line_names_the_separator():
    table, rows, _ = rows_of(b"sep=;\r\nName;City\r\nAda;London\r\n")
    assert table.columns == ["Name", "City"]
    assert table.preamble == ["sep=;"]
    assert rows == [{"Name": "Ada", "City": "London"}]


def test_spaces_after_every_comma_belong_to_no_value():
    _, rows, _ = rows_of(b"rec_id, surname, city\n1, waller, st james\n2, berry, bittern\n")
    assert rows[0] == {"rec_id": "1", "surname": "waller", "city": "st james"}


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r", "\r\r\n"])
def test_line_endings_of_every_system_are_read(ending):
    text = ending.join(["Name,Note", 'Ada,"first', 'second"', "Grace,plain", ""])
    table = open_table(text.encode(), "list.csv")
    rows = list(table.rows())
    assert [row.line for row in rows] == [2, 4]
    assert rows[0].values["Note"].split() == ["first", "second"]


def test_a_row_that_does_not_fit_is_refused_with_its_line():
    _, rows, bad = rows_of(SAMPLES / "csvkit/bad.csv", "bad.csv")
    assert rows == [{"column_a": "0", "column_b": "mixed types.... uh oh", "column_c": "17"}]
    assert bad == [
        BadRow(2, "The row has 4 values, but the header names 3.", '1,27,,"I\'m too long!"'),
        BadRow(3, "The row has 2 values, but the header names 3.", ',"I\'m too short!"'),
    ]


def test_short_rows_are_filled_when_the_file_is_full_of_them_or_when_asked():
    table, rows, bad = rows_of(b"a,b,c\n1,2,3\n4,5\n6,7\n8,9,10\n")
    assert not bad
    assert rows[1] == {"a": "4", "b": "5", "c": ""}
    assert any("read as blank" in warning for warning in table.warnings)
    assert rows_of(b"a,b,c\n1,2\n", short_rows="pad")[1] == [{"a": "1", "b": "2", "c": ""}]


def test_a_quotation_mark_that_never_closes_costs_one_row_and_not_the_rest():
    lines = ["Name,City"] + [f"Person {n},London" for n in range(5000)]
    lines[100] = 'Person 99,"London'
    _, rows, bad = rows_of("\n".join(lines).encode())
    assert len(rows) == 4999
    assert [(b.line, b.raw) for b in bad] == [(101, 'Person 99,"London')]
    assert "never closed" in bad[0].reason


def test_a_stray_quotation_mark_far_from_the_next_one_costs_no_more():
    lines = ["Name,City"] + [f"Person {n},London" for n in range(1000)]
    lines[10] = '"Person 9,London'
    lines[900] = 'Person 899,"London"'
    _, rows, bad = rows_of("\n".join(lines).encode())
    assert len(rows) + len(bad) == 1000
    assert len(bad) == 1


def test_a_value_without_end_is_refused_and_reading_goes_on():
    _, rows, bad = rows_of(b"a,b\n1," + b"x" * 200_000 + b"\n2,y\n")
    assert rows == [{"a": "2", "b": "y"}]
    assert bad[0].line == 2
    assert len(bad[0].raw) <= 500


def test_a_line_of_many_megabytes_is_refused_in_little_memory():
    _, rows, bad = rows_of(b"a,b\n1," + b"x" * 9_000_000 + b"\n2,y\n")
    assert rows == [{"a": "2", "b": "y"}]
    assert [b.line for b in bad] == [2]
    assert "longer than" in bad[0].reason


def test_blank_and_doubled_headers_get_names_that_stay():
    table, rows, _ = rows_of(b"Name,,Name,Name (2)\nAda,x,Countess,y\n")
    assert table.columns == ["Name", "column_2", "Name (3)", "Name (2)"]
    assert rows[0]["Name (3)"] == "Countess"
    assert len(table.warnings) == 2


def test_commas_at_the_end_of_the_header_make_no_columns():
    table, rows, _ = rows_of(SAMPLES / "csvkit/test_empty_columns.csv")
    assert table.columns == ["a", "b", "c"]
    assert len(rows) == 2
    assert table.blank == 1


def test_a_value_more_than_headers_in_every_row_gets_a_column():
    table, rows, bad = rows_of(b"a,b\n1,2,x\n3,4,y\n")
    assert table.columns == ["a", "b", "column_3"]
    assert not bad
    assert rows[1]["column_3"] == "y"


def test_titles_above_the_header_are_left_out_and_told():
    table, rows, _ = rows_of(
        b"Contacts of the fair\n\nExported 2026-01-05\nName,E-mail,City\nAda,ada@example.com,London\n"
    )
    assert table.header_row == 4
    assert table.preamble == ["Contacts of the fair", "Exported 2026-01-05"]
    assert rows == [{"Name": "Ada", "E-mail": "ada@example.com", "City": "London"}]


def test_a_file_without_header_gets_numbered_columns_and_a_person_may_disagree():
    table, rows, _ = rows_of(SAMPLES / "csvkit/no_header_row.csv")
    assert table.columns == ["column_1", "column_2", "column_3"]
    assert rows == [{"column_1": "1", "column_2": "2", "column_3": "3"}]
    assert rows_of(SAMPLES / "csvkit/no_header_row.csv", header_row=1)[0].columns == ["1", "2", "3"]
    assert len(rows_of(b"Ada,London\nGrace,New York\n", header_row=0)[1]) == 2


@pytest.mark.parametrize("data", [b"", b"\n", b"\xef\xbb\xbf", b"\r\n\n"])
def test_an_empty_file_says_so(data):
    table, rows, bad = rows_of(data)
    assert not rows
    assert not bad
    assert table.warnings == ["There is nothing in the file."]


def test_a_header_alone_says_so():
    table, rows, _ = rows_of(b"Name,E-mail\n")
    assert table.columns == ["Name", "E-mail"]
    assert not rows
    assert table.warnings == ["There is a header, and no row below it."]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_is_read_with_and_without_a_mark(encoding):
    text = "Name,City,Country code\nSøren Ægir,København,DK\nזהבה כהן,Haifa,IL\nFrançoise,Paris,FR\n"
    _, rows, bad = rows_of(text.encode(encoding))
    assert [row["Name"] for row in rows] == ["Søren Ægir", "זהבה כהן", "Françoise"]
    assert not bad


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1255", "שם פרטי,שם משפחה,עיר\nדוד,כהן,תל אביב\nשרה,לוי,חיפה\n"),
        ("cp1252", "Prénom,Société,Ville\nHélène,Crédit Général,Besançon\n"),
        ("cp1256", "نام,شرکت,شهر\nمريم,پارس,تهران\nاحمد,آسمان,شيراز\n"),
        ("cp1251", "Имя,Фамилия,Город\nИван,Петров,Москва\n"),
        ("cp1253", "Όνομα,Επώνυμο,Πόλη\nΓιώργος,Παπαδόπουλος,Αθήνα\n"),
        ("gb18030", "姓名,公司,电话\n张伟,北京科技有限公司,010\n"),
        ("big5", "姓名,公司,電話\n張偉,臺北科技有限公司,02\n"),
        ("shift_jis", "氏名,会社,電話\n山田太郎,東京株式会社,03\n"),
        ("mac_roman", "Prénom,Société,Ville\nHélène,Crédit Général,Besançon\n"),
    ],
)
def test_code_pages_of_many_countries_are_guessed_and_the_guess_is_told(encoding, text):
    table, rows, _ = rows_of(text.encode(encoding))
    assert list(rows[0].values()) == text.split("\n")[1].split(",")
    assert any("is a guess" in warning for warning in table.warnings)
    assert len(table.encoding_candidates) > 1
    assert table.encoding_candidates[0].encoding == table.encoding


def test_a_person_who_knows_better_chooses_the_encoding():
    data = "Name,City\nDupré,Orléans\n".encode("cp1252")
    assert rows_of(data, encoding="cp1255")[1][0]["City"] != "Orléans"
    assert rows_of(data, encoding="cp1252")[1] == [{"Name": "Dupré", "City": "Orléans"}]
    with pytest.raises(Unreadable, match="no encoding called 'klingon'"):
        rows_of(data, encoding="klingon")


def test_a_byte_that_means_nothing_costs_its_row_and_is_named():
    text = "Name,City\nSøren,Århus\nÉmile,Besançon\nJosé,Málaga\nJürgen,Köln\nMałgorzata,Łódź\n" * 3
    data = text.encode() + b"Ren\xe9,Paris\n" + "Zoë,Brüssel\n".encode()
    _, rows, bad = rows_of(data)
    assert rows[-1] == {"Name": "Zoë", "City": "Brüssel"}
    assert bad == [
        BadRow(19, "The byte 0xE9 means nothing in utf-8. Is the file written in another encoding?", "Ren\\xE9,Paris")
    ]


def test_a_nul_character_costs_its_row():
    _, rows, bad = rows_of(b"Name,City\nAda,London\nGra\0ce,New York\nAlan,Wilmslow\n" * 1)
    assert [row["Name"] for row in rows] == ["Ada", "Alan"]
    assert (bad[0].line, bad[0].raw) == (3, "Gra\\x00ce,New York")


def test_reading_goes_on_where_it_stopped():
    data = ("Name,City\n" + "".join(f"Person {n},London\n" for n in range(3000))).encode()
    table = open_table(data, "list.csv")
    whole = list(table.rows())
    assert list(table.rows(skip=1234)) == whole[1234:]
    assert table.preview(3) == whole[:3]


def test_a_stream_that_cannot_go_back_is_read_as_well():
    class Pipe(io.BytesIO):
        def seekable(self):
            return False

    assert rows_of(Pipe(b"Name,City\nAda,London\n"))[1] == [{"Name": "Ada", "City": "London"}]


def test_rows_over_the_limit_are_refused_aloud():
    from rapport.builtin.exchange.readers import Limits

    _, rows, bad = rows_of(b"a,b\n1,2\n3,4\n5,6\n", limits=Limits(rows=2))
    assert len(rows) == 2
    assert bad == [BadRow(4, "Only the first 2 rows are read; this one and the rest are not.", "")]


@pytest.mark.parametrize(
    ("data", "name", "what"),
    [
        (b"\x1f\x8b\x08\x00", "list.csv.gz", "it is packed with gzip. Unpack it and import the file inside."),
        (b"%PDF-1.7", "offer.pdf", "it is a PDF. Save it as CSV or XLSX and try again."),
        (b"<!DOCTYPE html><html>", "list.xls", "it is a web page or an XML file"),
        (bytes(range(256)) * 8, "list.csv", "it is not a text file"),
        (b"PK\x03\x04" + b"\0" * 40, "list.xlsx", "it is damaged"),
    ],
)
def test_what_is_no_list_is_refused_with_what_to_do(data, name, what):
    with pytest.raises(Unreadable) as refusal:
        open_table(data, name)
    assert str(refusal.value).startswith(f"{name} cannot be read: {what}")


def test_a_dbase_file_is_refused():
    with pytest.raises(Unreadable, match=r"testdbf\.dbf cannot be read: it is a dBASE file. Save it as CSV or XLSX"):
        open_table(SAMPLES / "csvkit/testdbf.dbf", "testdbf.dbf")


def test_json_lines_and_lists_are_read_with_their_types():
    table, rows, _ = rows_of(SAMPLES / "csvkit/testjson_multiline.json", "x.json")
    assert table.format == "ndjson"
    assert rows == [{"a": 2, "b": 3, "d": ""}, {"a": "", "b": 2, "d": 4}]
    table, rows, _ = rows_of(SAMPLES / "csvkit/testjson_nested.json", "x.json")
    assert table.format == "json"
    assert rows[0]["nested.nested.integer"] == 40


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"name": ', "This is not valid JSON"),
        (b'{"name": NaN}', "NaN is not a number"),
        (b'["Ada"]', "not an object"),
        (b'{"name": "\\ud800"}', "Half a character"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"name": "\xff"}', "means nothing in utf-8"),
    ],
)
def test_a_broken_json_line_costs_that_line(line, reason):
    data = '{"name": "Zoë"}\n'.encode() * 12 + line + b'\n{"name": "Grace"}\n'
    _, rows, bad = rows_of(data, "list.ndjson")
    assert len(rows) == 13
    assert bad[0].line == 13
    assert reason in bad[0].reason


def test_a_json_list_that_breaks_off_gives_what_came_before():
    _, rows, bad = rows_of(b'[{"name": "Ada"},\n {"name": "Grace"},\n {"name": "Al', "list.json")
    assert [row["name"] for row in rows] == ["Ada", "Grace"]
    assert bad[0].line == 3
    assert "Nothing after this can be read" in bad[0].reason


def test_the_list_inside_a_json_object_is_found():
    table, rows, _ = rows_of(b'{"total": 1, "contacts": [{"name": "Ada", "tags": ["vip", "press"]}]}', "x.json")
    assert rows == [{"name": "Ada", "tags": ["vip", "press"]}]
    assert table.warnings == ["The records are read from 'contacts'; total is left out."]
