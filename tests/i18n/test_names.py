"""Names are put together, shortened and taken apart as their language does."""

import pytest

from rapport.i18n.names import full_name, initials, script_of, split_name


@pytest.mark.parametrize(
    ("given", "family", "whole"),
    [
        ("Ada", "Lovelace", "Ada Lovelace"),
        ("小明", "王", "王小明"),
        ("娜娜", "欧阳", "欧阳娜娜"),
        ("مینا", "رضایی", "مینا رضایی"),
        ("נועה", "כהן", "נועה כהן"),
        ("Wei", "Zhang", "Wei Zhang"),
        ("지민", "박", "박지민"),
        ("Ada", "", "Ada"),
        ("", "王", "王"),
        ("  ", " Lovelace ", "Lovelace"),
        ("", "", ""),
        ("Peter", "王", "Peter 王"),
    ],
)
def test_a_name_is_written_in_the_order_of_its_script(given, family, whole):
    assert full_name(given, family) == whole


def test_a_chinese_customer_with_latin_letters_keeps_the_latin_order():
    assert full_name("Wei", "Zhang", "zh") == "Wei Zhang"


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("Ada Lovelace", "AL"),
        ("ada", "A"),
        ("Ludwig van Beethoven", "LB"),
        ("王小明", "小明"),
        ("王明", "王明"),
        ("北京数据科技有限公司", "北京"),
        ("مینا رضایی", "م\u200cر"),
        ("נועה כהן", "נכ"),
        ("Éric Zola", "ÉZ"),
        ("3M France", "3F"),
        ("", "?"),
        (" - ", "?"),
        ("Jean-Luc Picard", "JP"),
        ("💡 Ideas", "I"),
        ("ßeta", "S"),
    ],
)
def test_avatars_show_letters_of_any_script(name, letters):
    assert initials(name) == letters


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("Ada Lovelace", ("Ada", "Lovelace")),
        ("Ada King Lovelace", ("Ada King", "Lovelace")),
        ("Lovelace, Ada", ("Ada", "Lovelace")),
        ("Ludwig van Beethoven", ("Ludwig", "van Beethoven")),
        ("Simone de la Tour", ("Simone", "de la Tour")),
        ("王小明", ("小明", "王")),
        ("欧阳娜娜", ("娜娜", "欧阳")),
        ("王 小明", ("小明", "王")),
        ("王", ("", "王")),
        ("مینا رضایی", ("مینا", "رضایی")),
        ("דוד בן גוריון", ("דוד", "בן גוריון")),
        ("Ada", ("Ada", "")),
        ("", ("", "")),
        ("  Ada   Lovelace ", ("Ada", "Lovelace")),
        ("رضایی، مینا", ("مینا", "رضایی")),
    ],
)
def test_a_name_written_in_one_is_taken_apart(text, parts):
    assert split_name(text) == parts


def test_scripts_are_told_by_their_letters():
    assert [script_of(text) for text in ("Ada", "王", "מ", "م", "3")] == ["latin", "han", "hebrew", "arabic", "other"]
