"""Columns of other programs, in five languages, find their fields."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from rapport.builtin.exchange.headers import suggest_mapping


@dataclass
class Field:
    name: str
    label: str
    aliases: list[str] = field(default_factory=list)


CUSTOMER = [
    Field("name", "Name"), Field("given_name", "Given name"), Field("family_name", "Family name"),
    Field("organisation_id", "Organisation"), Field("job_title", "Job title"), Field("email", "E-mail"),
    Field("phone", "Phone"), Field("website", "Website"), Field("industry", "Industry"), Field("source", "Source"),
    Field("tags", "Tags"), Field("note", "Note"), Field("reference", "Reference"), Field("owner_id", "Owner"),
    Field("address.street", "Address: Street"), Field("address.city", "Address: City"),
    Field("address.postcode", "Address: Postcode"), Field("address.country", "Address: Country"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (["Prénom", "Nom", "Société", "Courriel"], ["given_name", "family_name", "organisation_id", "email"]),
        (["نام", "نام خانوادگی", "شركت", "تلفن"], ["name", "family_name", "organisation_id", "phone"]),
        (["שם פרטי", "שם משפחה", "חברה", "טלפון", 'דוא"ל'],
         ["given_name", "family_name", "organisation_id", "phone", "email"]),
        (["姓名", "公司", "电话", "邮箱", "备注"], ["name", "organisation_id", "phone", "email", "note"]),
        (["Vorname", "Nachname", "PLZ", "Primäre E-Mail-Adresse"],
         ["given_name", "family_name", "address.postcode", "email"]),
        (["FIRST_NAME", "lastName", "e_mail", "Job-Title*"], ["given_name", "family_name", "email", "job_title"]),
        (["E-mail 1 - Value", "Phone 1 - Value", "Organization Name"], ["email", "phone", "organisation_id"]),
        (["Orgnisation", "Adress: City", "Refrence"], ["organisation_id", "address.city", "reference"]),
    ],
)  # fmt: skip
def test_headers_find_their_fields(columns, expected):
    assert list(suggest_mapping(columns, CUSTOMER).items()) == list(zip(columns, expected, strict=True))


def test_no_field_is_given_twice_and_the_surer_guess_wins():
    assert suggest_mapping(["Work email", "E-mail", "Courriel"], CUSTOMER) == {"E-mail": "email"}


def test_a_column_nobody_knows_is_left_to_the_person():
    assert suggest_mapping(["Horoscope", "", "xyz"], CUSTOMER) == {}


def test_an_alias_of_a_plugins_field_counts():
    assert suggest_mapping(["Card no."], [Field("number", "Card number", ["card no"])]) == {"Card no.": "number"}
