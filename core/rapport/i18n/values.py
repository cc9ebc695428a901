"""Contact data: e-mail addresses, phone numbers, links and countries, each in one form so that equals are found."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit

from rapport.i18n.catalogs import LANGUAGES, _
from rapport.i18n.characters import fold_name, plain_digits, without_marks

MAX_EMAIL = 254
MAX_URL = 2000

# E-mail --------------------------------------------------------------------------------------------------------------

# What nearly every address looks like; anything else takes the long way.
_PLAIN_EMAIL = re.compile(
    r"[a-z0-9_%+-]+(?:\.[a-z0-9_%+-]+)*@(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}", re.ASCII
)
_LOCAL = re.compile(r"[\w!#$%&'*+/=?^`{|}~-]+(?:\.[\w!#$%&'*+/=?^`{|}~-]+)*")


def is_plain_email(text: str) -> bool:
    """Whether `normalise_email` would leave an address as it is, told at a glance."""
    return len(text) <= 64 and _PLAIN_EMAIL.fullmatch(text) is not None


def normalise_email(text: str) -> str:
    """An address in small letters: people type one both ways, and no server in use tells the two apart."""
    if is_plain_email(text):
        return text
    address = without_marks(text).strip()
    if address[:7].lower() == "mailto:":
        address = address[7:]
    local, at, domain = address.rpartition("@")
    local, domain = local.lower(), unicodedata.normalize("NFC", domain).lower()
    if not at or not _LOCAL.fullmatch(local) or not _is_domain(domain):
        raise ValueError(_("is not an e-mail address: write it like name@example.com."))
    if len(local) > 64 or len(local) + 1 + len(domain) > MAX_EMAIL:
        raise ValueError(_("is too long for an e-mail address."))
    return f"{local}@{domain}"


def _is_domain(domain: str) -> bool:
    """Whether a name could be that of a server on the internet. It may be in any script, and has at least one dot."""
    labels = domain.split(".")
    if len(labels) < 2 or labels[-1].isdigit():
        return False
    if not all(label and not label.startswith("-") and not label.endswith("-") for label in labels):
        return False
    try:
        return len(domain.encode("idna")) <= 253 and all(_is_label(label) for label in labels)
    except UnicodeError:
        return False


def _is_label(label: str) -> bool:
    return all(char.isalnum() or char == "-" or unicodedata.category(char) in {"Mn", "Mc"} for char in label)


# Phone ---------------------------------------------------------------------------------------------------------------

_E164 = re.compile(r"\+[1-9][0-9]{7,14}").fullmatch
_KEPT = re.compile(r"(\+[1-9][0-9]{7,14})(?:;ext=([0-9]{1,10}))?")
_region: ContextVar[str | None] = ContextVar("rapport_phone_region", default=None)


@contextmanager
def use_region(region: str | None) -> Iterator[None]:
    """Read phone numbers without a country code as those of a country, say while importing a file from there."""
    token = _region.set(region)
    try:
        yield
    finally:
        _region.reset(token)


def is_plain_phone(text: str) -> bool:
    """Whether `normalise_phone` would leave a number as it is, told at a glance."""
    return _E164(text) is not None


def normalise_phone(text: str, region: str | None = None) -> str:
    """A number in its international form: "+4930123456", with an extension "+4930123456;ext=12".

    `region` is the ISO code of the country of numbers written without one; unless given it is that of `use_region`.
    Numbers that already are international pass untouched and unchecked, so imports need no time for them.
    """
    if _E164(text):
        return text
    typed = plain_digits(without_marks(text)).strip()
    if _KEPT.fullmatch(typed):
        return typed
    import phonenumbers  # knows every country, and takes a tenth of a second to load

    region = region or _region.get()
    typed = re.sub(r"^(tel:|[+＋])\s*", lambda found: "" if found[1] == "tel:" else "+", typed)
    if region is None:
        typed = re.sub(r"^00(?=[1-9\s])", "+", typed)
        if not typed.startswith("+"):
            raise ValueError(_("needs its country code: write it like +33 1 42 68 53 00."))
    try:
        number = phonenumbers.parse(typed, region)
    except phonenumbers.NumberParseException:
        raise ValueError(_("is not a phone number: write it like +33 1 42 68 53 00.")) from None
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        raise ValueError(_("has too many or too few digits for a phone number."))
    kept = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{kept};ext={number.extension}" if number.extension else kept


@functools.lru_cache(maxsize=4096)
def format_phone(number: str, region: str | None = None) -> str:
    """A kept number as people read it: +49 30 123456, and as they dial it at home when they are in its `region`."""
    import phonenumbers

    match = _KEPT.fullmatch(number)
    if match is None:
        return number
    try:
        parsed = phonenumbers.parse(match[1])
    except phonenumbers.NumberParseException:
        return number
    at_home = region is not None and parsed.country_code == phonenumbers.country_code_for_region(region)
    style = phonenumbers.PhoneNumberFormat.NATIONAL if at_home else phonenumbers.PhoneNumberFormat.INTERNATIONAL
    shown = phonenumbers.format_number(parsed, style)
    return f"{shown} ext. {match[2]}" if match[2] else shown


# Links ---------------------------------------------------------------------------------------------------------------

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(?!\d+(?:[/?#]|$))")
_UNSAFE = re.compile(r"[\s\x00-\x20\x7f\\<>\"^`{|}]")


def normalise_url(text: str) -> str:
    """A link to a page: https unless it says http, the server's name in small letters, and nothing that runs code."""
    url = without_marks(text).strip()
    scheme = _SCHEME.match(url)
    if scheme is None:
        url = "https://" + url.removeprefix("//")
    elif scheme[1].lower() not in {"http", "https"}:
        raise ValueError(_("must be a link that starts with https:// or http://."))
    wrong = ValueError(_("is not a link: write it like https://www.example.com."))
    if _UNSAFE.search(url):
        raise wrong
    if len(url) > MAX_URL:
        raise ValueError(_("is too long for a link."))
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").lower(), parts.port
    except ValueError:
        raise wrong from None
    if "@" in parts.netloc:
        raise ValueError(_("must not contain a user name or password."))
    if not (_is_domain(host) or _is_ipv4(host)):
        raise wrong
    rest = parts.path + (f"?{parts.query}" if parts.query else "") + (f"#{parts.fragment}" if parts.fragment else "")
    return f"{parts.scheme.lower()}://{host}{f':{port}' if port else ''}{'' if rest == '/' else rest}"


def _is_ipv4(host: str) -> bool:
    numbers = host.split(".")
    return len(numbers) == 4 and all(number.isascii() and number.isdigit() and int(number) < 256 for number in numbers)


# Countries -----------------------------------------------------------------------------------------------------------

# CLDR lists more than countries.
_NO_COUNTRIES = {"AC", "CP", "CQ", "DG", "EA", "EU", "EZ", "IC", "QO", "TA", "UN", "XA", "XB", "ZZ"}
# Names in use beside the one CLDR gives. Wrong spellings are not guessed.
_ALSO_CALLED: Mapping[str, str] = {
    "america": "US", "united states of america": "US", "the united states": "US", "etats unis d amerique": "US",
    "آمریکا": "US", "امریکا": "US", "ایالات متحده آمریکا": "US", "ארהב": "US", "美利坚合众国": "US",
    "great britain": "GB", "britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB",
    "grande bretagne": "GB", "angleterre": "GB", "انگلستان": "GB", "انگلیس": "GB", "אנגליה": "GB", "英格兰": "GB",
    "russian federation": "RU", "republic of korea": "KR", "korea republic of": "KR", "czech republic": "CZ",
    "turkey": "TR", "ivory coast": "CI", "holland": "NL", "the netherlands": "NL", "hong kong": "HK", "macau": "MO",
    "macao": "MO", "burma": "MM", "myanmar": "MM", "swaziland": "SZ", "macedonia": "MK", "viet nam": "VN",
    "iran islamic republic of": "IR", "islamic republic of iran": "IR", "peoples republic of china": "CN",
    "中华人民共和国": "CN",
    "syrian arab republic": "SY", "republic of ireland": "IE", "uae": "AE", "emirats": "AE", "امارات": "AE",
    "palestine": "PS", "فلسطین": "PS", "cape verde": "CV", "east timor": "TL", "bosnia": "BA",
    "republic of moldova": "MD",
    "香港": "HK", "澳门": "MO", "台湾": "TW",
}  # fmt: skip


def normalise_country(text: str) -> str:
    """The ISO code of a country, from a code or its name in a language of ours: "Iran", "伊朗" and "IRN" are IR."""
    name = fold_name(text)
    code = countries().get(name)
    if code is None:
        raise ValueError(_("is not a country we know by this name: check the spelling, or use its code, such as FR."))
    return code


@functools.cache
def countries() -> Mapping[str, str]:
    """Every name and code of a country, folded, and the two letters it goes by."""
    from babel import Locale
    from babel.core import get_global

    known = {
        code: str(name) for code, name in Locale.parse("en").territories.items()
        if len(code) == 2 and code not in _NO_COUNTRIES
    }  # fmt: skip
    found: dict[str, str] = {fold_name(name): code for name, code in _ALSO_CALLED.items()}
    for alias, codes in get_global("territory_aliases").items():
        if alias.isalpha() and len(codes) == 1 and codes[0] in known:
            found[alias.lower()] = codes[0]
    for language in LANGUAGES.values():
        territories = Locale.parse(language.locale).territories
        found |= {fold_name(str(territories[code])): code for code in known if code in territories}
    return found | {code.lower(): code for code in known}
