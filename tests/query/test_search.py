"""Search finds names as people type them, and the same ones on both databases."""
# ruff: noqa: E501 - the ways to type one name stand together

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
from sqlalchemy import Connection, func, select

from rapport.query.search import (
    CANDIDATES,
    forget_documents,
    forget_entities,
    index_documents,
    search_document,
    search_ids,
)
from rapport.query.words import tokens

Find = Callable[[str], list[str]]
NAMES = [
    "Ada Lovelace\nada.lovelace@analytical-engine.example\n+33612345678",
    "Seán O’Brien\nsean@obrien.example\n+15551234567",
    "Hélène Œuvrard-Façade",
    "Jean-Pierre Dupont",
    "علی‌رضا كريمي",
    "محمد رضا شاه‌حسینی",
    "میرزاده",
    "שָׁלוֹם כֹּהֵן",
    "北京小明科技有限公司",
    "山田太郎 Tokyo支店",
    "Straße & Söhne GmbH",
    "Łukasz Żółć",
    "Müller\u0308 100%_sure",
    "McDonald Farm\n020 7946 0958",
    "हिन्दी प्रकाशन",
]


@pytest.fixture
def find(connection: Connection) -> Find:
    index_documents(connection, [("customer", UUID(int=n), name) for n, name in enumerate(NAMES)])

    def ask(query: str) -> list[str]:
        return [NAMES[record_id.int].split("\n")[0] for _, record_id in search_ids(connection, query)]

    return ask


@pytest.mark.parametrize(
    ("query", "name"),
    [
        *((q, "Ada Lovelace") for q in (
            "ada", "ADA lovel", "lovelace ada", "ada.lovelace@analytical-engine.example", "analytical-eng", "engine.ex",
            "+33 6 12 34 56 78", "0612345678", "06 12 34 56 78", "0033612345678", "2345678", "45678", "33612", "ada 06 12",
            "+۳۳ ۶۱۲ ۳۴۵ ۶۷۸",
        )),
        *((q, "Seán O’Brien") for q in (
            "O'Brien", "o’brien", "obrien", "o brien", "sean obri", "O'Bri", "(555) 123-4567", "1 555 123 4567", "1234567",
        )),
        *((q, "Hélène Œuvrard-Façade") for q in ("helene", "HÉLÈNE", "oeuvrard", "œuvr", "facade", "He\u0301le\u0300ne", "oeuvrardfac")),
        *((q, "Jean-Pierre Dupont") for q in ("jean pierre", "jean-pi", "jeanpierre", "Jean‐Pierre dupont", "pierre")),
        *((q, "علی‌رضا كريمي") for q in (
            "علی‌رضا", "علی رضا", "علیرضا", "علي رضا", "عليرض", "علی‌ر", "کریمی", "كريمي", "کریمی علیرضا", "رضا کری", "عَلی‌رِضا کریمی",
        )),
        *((q, "محمد رضا شاه‌حسینی") for q in ("محمدرضا", "محمد‌رضا", "محمد رضا شاه", "شاهحسینی", "شاه حسینی", "محمدرضا شاه‌حسینی")),
        *((q, "میرزاده") for q in ("میر‌زاده", "میر زاده", "ميرزاده")),
        *((q, "שָׁלוֹם כֹּהֵן") for q in ("שלום", "כהן", "שלום כה", "שָׁלוֹם")),
        *((q, "北京小明科技有限公司") for q in ("小明", "北京", "公司", "北京小明科技有限公司", "小明 科技", "明")),
        *((q, "山田太郎 Tokyo支店") for q in ("太郎", "tokyo支店", "ＴＯＫＹＯ", "支店")),
        *((q, "Straße & Söhne GmbH") for q in ("strasse", "straße", "sohne", "STRASSE gmbh")),
        *((q, "Łukasz Żółć") for q in ("lukasz", "zolc", "Łuk")),
        *((q, "Müller\u0308 100%_sure") for q in ("muller", "100%", "sure")),
        *((q, "McDonald Farm") for q in ("mcdonald", "02079460958", "7946 0958", "farm 020")),
        *((q, "हिन्दी प्रकाशन") for q in ("हिन्दी", "प्रका")),
    ],
)  # fmt: skip
def test_a_name_is_found_as_typed(find: Find, query: str, name: str) -> None:
    assert name in find(query), tokens(query)


@pytest.mark.parametrize(
    "query",
    ["adam", "ovelace", "ada dupont", "明小", "小科", "京明", "", "   ", "'", "%", "\"", "*", "?!", "\x00", "😀", "ad lovelace",
     "(", "a AND b OR", "NEAR(ada)", "words:ada", "-ada lovelace x", "'; --", ":*", "\\", "6000000", "ا" * 5000],
)  # fmt: skip
def test_what_is_not_there_is_not_found(find: Find, query: str) -> None:
    assert find(query) == []


def test_titles_that_begin_with_the_query_come_first(connection: Connection) -> None:
    texts = ["Zoe\nada@example.com", "Ada Zulu", "Mary Ada", "Ada Byron", "ADA"]
    index_documents(connection, [("customer", UUID(int=n), text) for n, text in enumerate(texts)])
    ordered = ["ADA", "Ada Byron", "Ada Zulu", "Mary Ada", "Zoe\nada@example.com"]
    for limit in (5, 4, 3, 2):
        assert [texts[found.int] for _, found in search_ids(connection, "ada", limit=limit)] == ordered[:limit]


def test_only_the_kinds_of_record_asked_for_are_found(connection: Connection) -> None:
    key = UUID(int=1)
    index_documents(connection, [("customer", key, "Ada"), ("sales.opportunity", key, "Ada's engine")])
    assert search_ids(connection, "ada") == [("customer", key), ("sales.opportunity", key)]
    assert search_ids(connection, "ada", entities=["sales.opportunity"]) == [("sales.opportunity", key)]
    assert search_ids(connection, "ada", entities=[]) == []
    assert search_ids(connection, "ada", limit=1) == [("customer", key)]


def test_a_changed_record_is_found_by_its_new_words_only(connection: Connection) -> None:
    key = UUID(int=1)
    index_documents(connection, [("customer", key, "Ada Byron"), ("customer", UUID(int=2), "Bob")])
    index_documents(connection, [("customer", key, "Ada Lovelace")])
    assert search_ids(connection, "byron") == []
    assert search_ids(connection, "lovelace") == [("customer", key)]
    assert connection.scalar(select(func.count()).select_from(search_document)) == 2


def test_a_forgotten_record_is_not_found(connection: Connection) -> None:
    documents = [("customer", UUID(int=n), "Ada") for n in range(450)]
    index_documents(connection, documents)
    forget_documents(connection, [(entity, record_id) for entity, record_id, _ in documents[1:]])
    forget_documents(connection, [("sales.opportunity", UUID(int=0))])
    assert search_ids(connection, "ada") == [("customer", UUID(int=0))]
    forget_entities(connection, ["customer"])
    assert search_ids(connection, "ada") == []


def test_of_a_very_common_word_the_newest_are_found(connection: Connection) -> None:
    index_documents(connection, [("customer", UUID(int=n), f"Mrs {n:04}\nvip") for n in range(1200)])
    found = search_ids(connection, "vip", limit=3)
    assert [record_id.int for _, record_id in found] == [1200 - CANDIDATES + n for n in range(3)]


def test_a_very_long_text_is_indexed_as_far_as_its_beginning(connection: Connection) -> None:
    key = UUID(int=1)
    index_documents(connection, [("customer", key, "first " + "x" * 3000 + " 小" * 40_000 + "last\x00")])
    assert search_ids(connection, "first") == [("customer", key)]
    assert search_ids(connection, "last") == []
