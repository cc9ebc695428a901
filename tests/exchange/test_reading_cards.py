"""The address book of a telephone becomes a list of contacts, one row per card."""

from __future__ import annotations

from pathlib import Path

from rapport.builtin.exchange.readers import BadRow, open_table

SAMPLES = Path(__file__).parent / "samples/ez-vcard"


def cards(data, name="contacts.vcf"):
    if isinstance(data, str):
        data = data.encode()
    table = open_table(data, name)
    return table, list(table.rows())


def card(*lines, version="3.0", ending="\r\n"):
    return ending.join(["BEGIN:VCARD", f"VERSION:{version}", *lines, "END:VCARD", ""])


def test_names_telephones_and_addresses_get_columns_of_their_own():
    table, [ada] = cards(
        card(
            "N:Lovelace;Ada;King;Countess;", "FN:Ada Lovelace", "ORG:Analytical Engines;Research",
            "EMAIL;TYPE=HOME:ada@home.example", "EMAIL;TYPE=PREF:ada@work.example", "TEL;TYPE=CELL:+44 1",
            "TEL;TYPE=WORK:+44 2", "TEL;TYPE=HOME:+44 3", "ADR;TYPE=WORK:;;12 St James's Sq\\, 2nd;London;;SW1;UK",
            "BDAY:18151210", "CATEGORIES:vip,press\\, foreign", "NOTE:one\\ntwo", "PHOTO;ENCODING=b:AAAA",
        )
    )  # fmt: skip
    assert table.columns[:4] == ["Full name", "Prefix", "Given name", "Middle name"]
    assert {name: value for name, value in ada.values.items() if value} == {
        "Full name": "Ada Lovelace", "Prefix": "Countess", "Given name": "Ada", "Middle name": "King",
        "Family name": "Lovelace", "Organisation": "Analytical Engines", "Department": "Research",
        "E-mail": "ada@work.example", "E-mail 2": "ada@home.example", "Phone": "+44 2", "Phone (mobile)": "+44 1",
        "Phone (home)": "+44 3", "Street": "12 St James's Sq, 2nd", "City": "London", "Postal code": "SW1",
        "Country": "UK", "Birthday": "1815-12-10", "Categories": ["vip", "press, foreign"], "Note": "one\ntwo",
    }  # fmt: skip
    assert table.warnings == ["These parts of the cards have no column and are left out: PHOTO."]


def test_quoted_printable_in_another_alphabet_is_decoded():
    _, [row] = cards(
        card(
            "FN;CHARSET=Windows-1253;QUOTED-PRINTABLE:=C1=E8=DE=ED=E1",
            "N;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=D8=B9=D9=84=D9=8A;=D8=A3=D8=AD=D9=",
            "=85=D8=AF;;;",
            version="2.1",
        )
    )
    assert (row.values["Full name"], row.values["Given name"]) == ("Αθήνα", "أحمد")


def test_a_telephone_that_cuts_letters_in_half_is_understood():
    _, [row] = cards(card("FN;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:=E4=B8=B8=", "20=31", version="2.1"))
    assert row.values["Full name"] == "丸 1"


def test_lines_that_end_twice_and_folded_lines_are_joined():
    _, [row] = cards(card("FN:Ada", " Lovelace", "NOTE:long", "  text", ending="\r\r\n"))
    assert (row.values["Full name"], row.values["Note"]) == ("AdaLovelace", "long text")


def test_what_is_no_whole_card_is_refused_with_its_line():
    _, rows = cards("hello\n" + card("FN:Ada", ending="\n") + "BEGIN:VCARD\nVERSION:3.0\nFN:Grace\n", "x.vcf")
    assert [row.line for row in rows] == [1, 2, 6]
    assert [row.reason for row in rows if isinstance(row, BadRow)] == [
        "This does not belong to any card.",
        "The card has no END:VCARD.",
    ]


def test_a_card_inside_a_card_does_not_become_a_contact():
    inner = card("FN:The Secretary", version="2.1", ending="\n")
    _, rows = cards(card("FN:Ada", "AGENT:", *inner.splitlines(), "TITLE:Countess", version="2.1", ending="\n"))
    assert [row.values["Full name"] for row in rows] == ["Ada"]
    assert rows[0].values["Job title"] == "Countess"


def test_undeclared_code_pages_are_guessed():
    table, rows = cards(card("FN:Ralf Müller", "ADR:;;Lämmerweg 12;Kleindorf;;98765;Deutschland").encode("cp1252"))
    assert rows[0].values["Street"] == "Lämmerweg 12"
    assert table.encoding == "cp1252"


def test_the_samples_of_a_vcard_library_are_read():
    _, [simon] = cards(SAMPLES / "rfc6350-example.vcf")
    assert simon.values["Phone"] == "+1-418-656-9254 ext. 102"
    _, [dummy] = cards(SAMPLES / "issue114.vcf")
    assert dummy.values["Street"] == "Dummy-Dummy-Strasse 1"
    _, [john] = cards(SAMPLES / "outlook-2003.vcf")
    assert john.values["E-mail"] == "jdoe@hotmail.com"
    assert john.values["Note"].startswith("This is the note field!!\nSecond line\n\nThird line")
