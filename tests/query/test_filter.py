"""Filters: what they mean, and how they are refused."""
# ruff: noqa: E501 - one refusal a line

from __future__ import annotations

import datetime as dt
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection, select

from rapport.entities import entity_class
from rapport.errors import Invalid
from rapport.query.bind import check
from rapport.query.filter import FilterContext, parse
from rapport.query.fold import fold, folded
from rapport.query.forms import from_json, to_text
from rapport.query.memory import matches
from rapport.query.sql import compile_filter

Company: Any = entity_class("querytest.company")
Deal: Any = entity_class("querytest.deal")
ADA = UUID(int=7)
CONTEXT = FilterContext(now=dt.datetime(2026, 11, 23, 14, tzinfo=dt.UTC), today=dt.date(2026, 11, 23), user_id=ADA)


def says(text: str) -> str:
    with pytest.raises(Invalid) as refused:
        check(parse(text), Deal.meta)
    (problem,) = refused.value.problems
    assert problem.field == "filter"
    return problem.message


def holds(text: str, **record: Any) -> bool:
    return matches(parse(text), Deal.meta, record, CONTEXT)


def names(connection: Connection, text: str) -> list[str]:
    query = select(Deal.name).where(compile_filter(parse(text), Deal, CONTEXT)).order_by(Deal.name)
    return list(connection.scalars(query))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("amout > 3", "at character 1: querytest.deal has no field 'amout'. Did you mean 'amount'?"),
        ("name = 'a' and compny.name = 'b'", "at character 16: querytest.deal has no reference 'compny'. Did you mean 'company'?"),
        ("company.nme = 'b'", "at character 1: querytest.company has no field 'nme'. Did you mean 'name'?"),
        ("address.town = 'b'", "at character 1: querytest.deal address has no part 'town'. Known: city, country, postcode, region, street."),
        ("company.parent.parent.name = 'b'", "at character 1: a path leads over at most 2 references."),
        ("close_on > 'abc'", "at character 1: close_on must be a date, such as 2026-11-23."),
        ("close_on > now", "at character 1: close_on is a date. Compare it with 'today'."),
        ("called_at > '2026-11-23T10:00'", "at character 1: called_at must be a date and time with its zone, such as 2026-11-23T14:00:00Z."),
        ("tier = 'golden'", "at character 1: tier must be one of bronze, silver, gold."),
        ("amount = 'many'", "at character 1: amount must be a number, such as 1234.50."),
        ("amount > 99999999999999999999", "at character 1: amount is too large."),
        ("points = 1.5", "at character 1: points is compared with a whole number, such as 42."),
        ("points = today", "at character 1: points cannot be compared with a date."),
        ("name = 3", "at character 1: name is compared with a text in quotes."),
        ("name = ada", "at character 8: 'ada' is not a value. Write texts and dates in quotes: \"ada\"."),
        ("hot = 1", "at character 1: hot is compared with true or false."),
        ("company_id = me", "at character 1: company_id does not point at a user, so it cannot be compared with 'me'."),
        ("company_id = 'x'", "at character 1: company_id is compared with the id of a querytest.company."),
        ("tags = 'vip'", "at character 1: '=' does not suit tags (tags). Allowed: has, is empty."),
        ("amount contains '3'", "at character 1: 'contains' does not suit amount (money). Allowed: =, !=, <, <=, >, >=, in, between, is empty."),
        ("extra is empty", "at character 1: extra cannot be filtered."),
        ("name = \"a\x00\"", "at character 1: name cannot hold the characters of this text."),
        ("", "at character 1: the filter ends where the name of a field should be."),
        ("name = 'abc", "at character 8: this text in quotes is never closed."),
        ("name ~ 'abc'", "at character 6: '~' has no meaning here. Write texts and dates in quotes."),
        ("name is full", "at character 9: 'full' stands where 'empty' (as in 'is empty' or 'is not empty') should be."),
        ("(name = 'a'", "at character 12: the filter ends where ')' to close the parenthesis should be."),
        ("name = 'a' name = 'b'", "at character 12: 'name' stands where 'and', 'or' or the end should be."),
        ("close_on > today + 3 hours", "at character 20: hours can be added to 'now', not to 'today'."),
        ("close_on > today + 99999 days", "at character 20: at most 4 whole numbers up to 10,000 can be added to 'today'."),
        ("close_on = this moment", "at character 17: 'moment' stands where one of week, month, quarter, year should be."),
    ],
)  # fmt: skip
def test_a_refused_filter_says_where_and_why(text: str, message: str) -> None:
    assert says(text) == message


def test_a_secret_field_does_not_exist() -> None:
    assert "password" not in says("passwort = 'x'").split("Known")[1]
    assert says("password starts 'a'").startswith("at character 1: querytest.deal has no field 'password'.")
    assert says("company.name_key = 'a'").endswith("Did you mean 'name'?")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(" * 21 + "name = 'a'" + ")" * 21, "is nested too deeply; at most 10 levels are allowed."),
        ("not " * 11 + "name = 'a'", "is nested too deeply; at most 10 levels are allowed."),
        (" or ".join(["hot = true"] * 250), "has 251 parts; at most 200 are allowed. Use `in (…)` for a list of values."),
        (f"points in ({', '.join('1' * 201)})", "the list has 201 values; at most 200 are allowed."),
        ("name = '" + "a" * 4000 + "'", "is 4,009 characters long; at most 4,000 are allowed."),
        ("points = " + "1" * 31, "the number is too long."),
    ],
)  # fmt: skip
def test_a_filter_has_bounds(text: str, message: str) -> None:
    assert says(text).endswith(message)


def test_a_deep_filter_from_the_builder_is_refused_before_it_is_followed() -> None:
    deep: dict[str, Any] = {"field": "name", "op": "empty"}
    for _ in range(900):
        deep = {"not": deep}
    with pytest.raises(Invalid, match="nested too deeply"):
        from_json(deep)


@pytest.mark.parametrize(
    "data",
    [
        None, [], "name", {}, {"all": []}, {"all": {}}, {"any": [1]}, {"all": [], "field": "x"},
        {"field": 3, "op": "="}, {"field": "name", "op": "~", "value": 1}, {"field": "name", "op": "="},
        {"field": "name", "op": "in", "value": "a"}, {"field": "name", "op": "in", "value": []},
        {"field": "name", "op": "between", "value": [1]}, {"field": "name", "op": "=", "value": None},
        {"field": "name", "op": "=", "value": float("nan")}, {"field": "name", "op": "=", "value": {"relative": "x"}},
        {"field": "name", "op": ["="], "value": 1}, {"field": "name", "op": "=", "value": [1]},
    ],
)  # fmt: skip
def test_anything_else_from_the_builder_is_refused(data: Any) -> None:
    with pytest.raises(Invalid):
        from_json(data)


def test_and_binds_stronger_than_or_and_not_strongest() -> None:
    assert (
        to_text(parse("hot = true or hot = false and not points = 1")) == "hot = true or hot = false and not points = 1"
    )
    assert parse("hot = true or hot = false and points = 1") == parse("hot = true or (hot = false and points = 1)")
    assert parse("not hot = true and points = 1") == parse("(not hot = true) and points = 1")


def test_quotes_inside_texts_are_doubled_or_escaped() -> None:
    for text in ("name = 'O''Brien'", r"name = 'O\'Brien'", 'name = "O\'Brien"'):
        assert holds(text, name="O'Brien")
    assert holds(r'name = "a\\b\n"', name="a\\b\n")


def test_a_missing_value_meets_no_condition_and_every_opposite() -> None:
    for text in ("tier = 'gold'", "tier in ('gold')", "note contains ''", "amount < 3", "amount >= -3", "hot = false"):
        assert not holds(text, tier=None, note=None, amount=None, hot=None), text
        assert holds(f"not {text}", tier=None, note=None, amount=None, hot=None), text
    assert holds("tier != 'gold' and hot != true and tier is empty and tier not in ('gold')", tier=None, hot=None)


def test_behind_an_empty_reference_everything_is_empty() -> None:
    nobody = {"company_id": None}
    assert holds("company.name is empty and company.name != 'x' and not company.parent.name = 'x'", **nobody)
    assert not holds("company.name contains '' or company.name is not empty", **nobody)


def test_a_record_without_the_company_asked_for_is_an_error_of_the_caller() -> None:
    with pytest.raises(KeyError):
        holds("company.name = 'x'", company_id=ADA)


def test_contains_forgives_case_accents_keyboards_and_joiners(connection: Connection, add: Any) -> None:
    add(Deal, {"name": "Éric Œuvre"}, {"name": "علی‌رضا كریمي"}, {"name": "שָׁלוֹם"}, {"name": "100% _sure_ 50"},
        {"name": "O’Brien"}, {"name": "۱۲۳"})  # fmt: skip
    for part, found in {
        "eric œ": "Éric Œuvre", "کریمی": "علی‌رضا كریمي", "علیرضا": "علی‌رضا كریمي", "שלום": "שָׁלוֹם", "0% _": "100% _sure_ 50",
        "o'b": "O’Brien", "123": "۱۲۳", "٢": "۱۲۳",
    }.items():  # fmt: skip
        assert names(connection, f'name contains "{part}"') == [found], part
    assert names(connection, 'name contains "%r"') == []
    assert names(connection, 'name starts with "ERIC" or name ends with "BRIEN"') == ["O’Brien", "Éric Œuvre"]
    assert names(connection, 'name = "eric œuvre"') == []


def test_folding_is_the_same_in_python_and_in_the_database(connection: Connection, add: Any) -> None:
    letters = [chr(code) for code in (*range(1, 0xD800), *range(0xF900, 0x10000))]
    texts = ["".join(letters[start : start + 500]) for start in range(0, len(letters), 500)]
    texts += ["Éa Zł Œ’x", "كي ۳ Ab\u200cc", "שָׁלוֹם Ab", "ЁЖ abC", "小明 Ab　ー", "Éа小 Ab", "İıǍ ẞ", "a\nB"]
    add(Deal, *({"name": text} for text in texts))
    shown = {row[0]: row[1] for row in connection.execute(select(Deal.name, folded(Deal.name)))}
    assert all(shown[text] == fold(text) for text in texts)


def test_a_tag_is_found_whole(connection: Connection, add: Any) -> None:
    add(Deal, {"name": "a", "tags": ("VIP", "new lead")}, {"name": "b", "tags": ("vipera",)}, {"name": "c", "tags": ()})
    assert names(connection, "tags has 'vip'") == ["a"]
    assert names(connection, "tags has ' new  lead '") == ["a"]
    assert names(connection, "tags has 'v_p'") == names(connection, "tags has '%'") == []
    assert names(connection, "tags has 'lead'") == []
    assert names(connection, "tags is empty") == ["c"]


def test_days_begin_where_the_person_is(connection: Connection, add: Any) -> None:
    tehran = dt.timezone(dt.timedelta(hours=3, minutes=30))
    context = FilterContext(now=CONTEXT.now, today=CONTEXT.today, zone=tehran)
    add(Deal, {"name": "late", "called_at": dt.datetime(2026, 11, 23, 20, 31, tzinfo=dt.UTC)},
        {"name": "early", "called_at": dt.datetime(2026, 11, 22, 20, 30, tzinfo=dt.UTC)})  # fmt: skip
    query = select(Deal.name).where(compile_filter(parse("called_at = today"), Deal, context))
    assert list(connection.scalars(query)) == ["early"]


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("today", "2026-11-23", "2026-11-23"),
        ("today + 1 month - 1 day", "2026-12-22", "2026-12-22"),
        ("this week", "2026-11-23", "2026-11-29"),
        ("last month", "2026-10-01", "2026-10-31"),
        ("next quarter", "2027-01-01", "2027-03-31"),
        ("last year", "2025-01-01", "2025-12-31"),
    ],
)
def test_words_for_time_mean_whole_days(text: str, first: str, last: str) -> None:
    low, high = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    day = dt.timedelta(days=1)
    assert [holds(f"close_on = {text}", close_on=d) for d in (low - day, low, high, high + day)] == [
        False,
        True,
        True,
        False,
    ]
    assert holds(f"close_on < {text}", close_on=low - day)
    assert not holds(f"close_on > {text}", close_on=high)
    assert holds(f"close_on >= {text} and close_on <= {text}", close_on=high)


def test_a_month_later_than_the_31st_is_the_last_day_there_is() -> None:
    context = FilterContext(now=CONTEXT.now, today=dt.date(2027, 1, 31))
    assert matches(parse("close_on = today + 1 month"), Deal.meta, {"close_on": dt.date(2027, 2, 28)}, context)


def test_me_is_the_person_who_asks_and_without_one_nobody() -> None:
    owned = parse("owner_id = me")
    customer = entity_class("customer")
    nobody = FilterContext(now=CONTEXT.now, today=CONTEXT.today)
    assert matches(owned, customer.meta, {"owner_id": ADA}, CONTEXT)
    assert not matches(owned, customer.meta, {"owner_id": None}, nobody)
    assert not matches(parse("owner_id in (me)"), customer.meta, {"owner_id": ADA}, nobody)


def test_no_value_reaches_the_sql_text(connection: Connection) -> None:
    canary = "zqx'); DROP TABLE customer; --"
    text = canary.replace("'", "''")
    filter = parse(f"name = '{text}' or note contains '{text}' or tags has '{text}' or address.city in ('{text}')")
    statement = select(Deal.id).where(compile_filter(filter, Deal, CONTEXT))
    assert "zqx" not in str(statement.compile(connection))
    assert list(connection.scalars(statement)) == []
