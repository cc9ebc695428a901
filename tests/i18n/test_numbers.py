"""Numbers and money are written in each language's way, read back the same, and refused when they could be two."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rapport.i18n.catalogs import LANGUAGES
from rapport.i18n.formats import Formats
from rapport.i18n.reading import parse_money, parse_number

AMOUNTS = st.decimals(-(10**11), 10**11, allow_nan=False, allow_infinity=False, places=2)
LANGS = st.sampled_from(sorted(LANGUAGES))


@pytest.mark.parametrize(
    ("lang", "number", "money", "percent"),
    [
        ("en", "-1,234,567.5", "€1,234.50", "13%"),
        ("fr", "-1\u202f234\u202f567,5", "1\u202f234,50\xa0€", "13\u202f%"),
        ("fa", "\u200e−۱٬۲۳۴٬۵۶۷٫۵", "\u200e€\xa0۱٬۲۳۴٫۵۰", "۱۳٪"),
        ("he", "\u200e-1,234,567.5", "\u200f1,234.50\xa0\u200f€", "13%"),
        ("zh", "-1,234,567.5", "€1,234.50", "13%"),
    ],
)
def test_numbers_look_as_their_reader_expects(lang, number, money, percent):
    formats = Formats(lang)
    assert formats.number(Decimal("-1234567.5")) == number
    assert formats.money(Decimal("1234.5"), "EUR") == money
    assert formats.percent(Decimal("0.126")) == percent


def test_large_amounts_have_a_short_form_for_headings():
    written = {lang: Formats(lang).money(Decimal(1234567), "EUR", compact=True) for lang in LANGUAGES}
    assert written == {
        "en": "€1.2M",
        "fr": "1,2\xa0M\xa0€",
        "fa": "۱٫۲\xa0میلیون\xa0€",
        "he": "€1.2M",
        "zh": "€123.5万",
    }
    assert Formats("en").money(999, "EUR", compact=True) == "€999.00"


def test_currencies_keep_their_own_digits_and_stand_off_from_their_codes():
    formats = Formats("en")
    assert formats.money(1234, "JPY") == "¥1,234"
    assert formats.money(1234, "IRR") == "IRR\xa01,234"
    assert formats.money(Decimal("12.5"), "") == "12.50"
    assert (formats.currency_places("EUR"), formats.currency_places("JPY")) == (2, 0)


def test_sizes_and_lists_read_naturally():
    assert [Formats("en").size(count) for count in (0, 999, 3_500_000, 999_960)] == [
        "0 byte",
        "999 byte",
        "3.5 MB",
        "1 MB",
    ]
    assert Formats("fr").size(3_500_000) == "3,5\u202fMo"
    assert Formats("fa").size(12) == "۱۲ بایت"
    assert Formats("en").listing(["calls", "notes", "tasks"]) == "calls, notes, and tasks"
    assert Formats("zh").listing(["电话", "备注"]) == "电话和备注"


def test_things_with_international_codes_have_names():
    assert Formats("fr").country("IR") == "Iran"
    assert Formats("zh").country("FR") == "法国"
    assert Formats("he").language("fa") == "פרסית"
    assert Formats("en").currency("IRR") == "Iranian Rial"


@given(AMOUNTS, LANGS)
def test_every_number_we_write_we_can_read(amount, lang):
    assert parse_number(Formats(lang).decimal(amount), lang) == amount


@given(AMOUNTS, LANGS, st.sampled_from(["EUR", "USD", "ILS", "CNY", "CAD", "CHF", "AED"]))
def test_every_amount_we_write_we_can_read(amount, lang, currency):
    assert parse_money(Formats(lang).money(amount, currency), lang) == (amount, currency)


@pytest.mark.parametrize(
    ("lang", "typed", "meant"),
    [
        ("fa", "۱٬۲۳۴٫۵", "1234.5"),
        ("fa", "١٬٢٣٤٫٥", "1234.5"),
        ("fa", "1,234.5", "1234.5"),
        ("fa", "۱،۲۳۴", "1234"),
        ("fr", "1 234,5", "1234.5"),
        ("fr", "1\u202f234,5", "1234.5"),
        ("fr", "1\xa0234\xa0567", "1234567"),
        ("fr", "1.234,5", "1234.5"),
        ("fr", "1,234.5", "1234.5"),
        ("fr", "1.5", "1.5"),
        ("fr", "1,234", "1.234"),
        ("fr", "12,", "12"),
        ("en", "1,234.5", "1234.5"),
        ("en", "1,234", "1234"),
        ("en", "1.234", "1.234"),
        ("en", "1,234,567", "1234567"),
        ("en", "1.234,5", "1234.5"),
        ("en", "1.234.567", "1234567"),
        ("en", "-5", "-5"),
        ("en", "− 5", "-5"),
        ("en", ".5", "0.5"),
        ("en", "+7", "7"),
        ("en", "1'234.50", "1234.50"),
        ("zh", "１２３．５", "123.5"),
        ("he", "\u200e-1,234.5", "-1234.5"),
        ("en", "007", "7"),
    ],
)
def test_numbers_are_read_as_they_are_typed(lang, typed, meant):
    assert parse_number(typed, lang) == Decimal(meant)


@pytest.mark.parametrize(
    ("lang", "typed"),
    [
        ("en", "1,5"),
        ("en", "12,34"),
        ("en", "1,23,456"),
        ("en", "1 2"),
        ("en", "abc"),
        ("en", ""),
        ("en", "1e5"),
        ("en", "--5"),
        ("en", "1.2.3"),
        ("en", "NaN"),
        ("en", "Infinity"),
        ("en", "0x10"),
        ("fr", "1 23,5"),
        ("fa", "۱٬۲۳۴٫۵٫۶"),
        ("en", "٫"),
        ("en", "1_000"),
        ("en", "9" * 500),
        ("en", "½"),
        ("en", "²"),
    ],
)
def test_what_is_no_number_in_the_language_is_refused(lang, typed):
    with pytest.raises(ValueError, match="is not a number: write it like"):
        parse_number(typed, lang)


def test_a_point_that_could_be_a_comma_is_refused_with_both_readings():
    with pytest.raises(ValueError, match=r"could be 1234 or 1,234. Write the one you mean without a point."):
        parse_number("1.234", "fr")


@pytest.mark.parametrize(
    ("lang", "typed", "default", "meant"),
    [
        ("fr", "1 200 €", None, ("1200", "EUR")),
        ("en", "€1,200.50", None, ("1200.50", "EUR")),
        ("en", "EUR 5", None, ("5", "EUR")),
        ("en", "-€5", None, ("-5", "EUR")),
        ("en", "5 chf", None, ("5", "CHF")),
        ("fa", "۱٬۲۰۰٬۰۰۰ ریال", None, ("1200000", "IRR")),
        ("fa", "۱۲۰۰ ﷼", None, ("1200", "IRR")),
        ("he", "₪ 1,200", None, ("1200", "ILS")),
        ("he", '50 ש"ח', None, ("50", "ILS")),
        ("zh", "￥1,200", None, ("1200", "CNY")),
        ("zh", "1200元", None, ("1200", "CNY")),
        ("en", "$5", None, ("5", "USD")),
        ("en", "$5", "CAD", ("5", "CAD")),
        ("en", "CA$5", "USD", ("5", "CAD")),
        ("en", "1,200", "EUR", ("1200", "EUR")),
        ("en", "1,200", None, ("1200", None)),
    ],
)
def test_amounts_are_read_with_the_currency_they_name(lang, typed, default, meant):
    assert parse_money(typed, lang, default) == (Decimal(meant[0]), meant[1])


@pytest.mark.parametrize(
    ("lang", "typed", "message"),
    [
        ("fr", "5 $", "names the currency '$', which could be more than one"),
        ("en", "5 pounds", "names the currency 'pounds', which could be more than one"),
        ("fa", "۱۰۰۰ تومان", "is in toman: write it in rials"),
        ("en", "five euros", "is not a number"),
        ("en", "5 € 6", "is not a number"),
        ("en", "1,5 €", "is not a number"),
    ],
)
def test_amounts_that_could_be_something_else_are_refused(lang, typed, message):
    with pytest.raises(ValueError) as refusal:
        parse_money(typed, lang)
    assert str(refusal.value).startswith(message)


@given(st.text(max_size=30), LANGS)
def test_nothing_typed_can_break_the_reading_of_numbers(typed, lang):
    for read in (parse_number, parse_money):
        try:
            read(typed, lang)
        except ValueError as refusal:
            assert str(refusal).endswith(".")  # noqa: PT017 - either is fine, a crash is not
