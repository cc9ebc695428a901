"""Texts: what Rapport says, in the language of the one who reads it."""

from __future__ import annotations

import functools
import importlib.resources
import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any, Literal

from rapport.i18n.characters import persian_digits

Catalog = Mapping[str, tuple[str, ...]]
"""Translations by message; a message with a context is filed under both."""


@dataclass(frozen=True, slots=True)
class Language:
    """A language people can choose. `plural` says which of a message's forms a count takes."""

    code: str
    name: str
    """What its speakers call it."""
    locale: str
    """The Babel locale whose formats it uses."""
    plural_forms: str
    """The same as `plural`, in the words of a .po header."""
    plural: Callable[[int], int]
    direction: Literal["ltr", "rtl"] = "ltr"
    calendar: Literal["gregorian", "persian", "hebrew"] = "gregorian"


_NOT_ONE = "nplurals=2; plural=(n != 1);"
_MORE_THAN_ONE = "nplurals=2; plural=(n > 1);"

LANGUAGES: Mapping[str, Language] = MappingProxyType({
    language.code: language
    for language in (
        Language("en", "English", "en", _NOT_ONE, lambda n: n != 1),
        Language("fr", "Français", "fr_FR", _MORE_THAN_ONE, lambda n: n > 1),
        Language("fa", "فارسی", "fa_IR", _MORE_THAN_ONE, lambda n: n > 1, "rtl", "persian"),
        Language("he", "עברית", "he_IL", _NOT_ONE, lambda n: n != 1, "rtl"),
        Language("zh", "简体中文", "zh_Hans_CN", "nplurals=1; plural=0;", lambda n: 0),
    )
})  # fmt: skip
"""The languages Rapport speaks, by code. English is what the code is written in and needs no catalogue."""

# Browsers' other names for the same: old codes, and relatives whose readers understand ours better than English.
_ALSO = {"iw": "he", "prs": "fa", "cmn": "zh", "yue": "zh"}


def direction(lang: str) -> Literal["ltr", "rtl"]:
    """Which way a page in this language runs."""
    return LANGUAGES[lang].direction


@functools.lru_cache(maxsize=256)
def negotiate(accept_header: str | None, preferred: str | None = None) -> str:
    """The language to answer in: what the person has chosen, else what their browser asks for, else English."""
    if preferred in LANGUAGES:
        return str(preferred)
    wishes: list[tuple[float, str]] = []
    for part in (accept_header or "")[:1000].split(","):
        tag, _, quality = part.partition(";")
        code = tag.strip().lower().replace("_", "-").partition("-")[0]
        code = _ALSO.get(code, code)
        try:
            weight = float(quality.partition("=")[2]) if quality else 1.0
        except ValueError:
            continue
        if code in LANGUAGES and weight > 0:
            wishes.append((weight, code))
    return max(wishes, key=lambda wish: wish[0])[1] if wishes else "en"


class Texts:
    """The texts of one language: `Texts("fr", [catalog]).gettext("Save")`. Of several catalogues the first one wins."""

    __slots__ = ("_messages", "lang")

    def __init__(self, lang: str, catalogs: Sequence[Catalog] = ()) -> None:
        self.lang = lang
        self._messages: Catalog = {key: forms for one in reversed(catalogs) for key, forms in one.items()}

    def gettext(self, message: str, /, **values: Any) -> str:
        """A message in this language; named values fill its `%(name)s`."""
        return _filled(self._messages.get(message, (message,))[0], values)

    def pgettext(self, context: str, message: str, /, **values: Any) -> str:
        """The same for a message that means two things: `pgettext("of a deal", "Close")`."""
        return _filled(self._messages.get(f"{context}\x04{message}", (message,))[0], values)

    def ngettext(self, singular: str, plural: str, n: int, /, **values: Any) -> str:
        """The form that fits a count, which is also the value `num`: `ngettext("%(num)s deal", "%(num)s deals", 3)`."""
        return self._counted(singular, singular, plural, n, values)

    def npgettext(self, context: str, singular: str, plural: str, n: int, /, **values: Any) -> str:
        """`ngettext` with a context."""
        return self._counted(f"{context}\x04{singular}", singular, plural, n, values)

    def _counted(self, key: str, singular: str, plural: str, n: int, values: dict[str, Any]) -> str:
        forms = self._messages.get(key)
        values = {"num": persian_digits(str(n)) if self.lang == "fa" else n, **values}
        if forms is None:
            return _filled(singular if n == 1 else plural, values)
        which = int(LANGUAGES[self.lang].plural(abs(n)))
        return _filled(forms[min(which, len(forms) - 1)], values)


def _filled(text: str, values: Mapping[str, Any]) -> str:
    return text % values if values else text


@functools.cache
def texts_for(lang: str, packages: tuple[str, ...] = (), terms: tuple[tuple[str, str], ...] = ()) -> Texts:
    """The core's texts and those of plugins, given as import names in the order they are loaded.

    What the core already says is said the same way everywhere: a plugin's catalogue only adds its own messages. Only
    the business itself has another word for things: `terms`, English text and what is said instead.
    """
    if lang not in LANGUAGES:
        raise ValueError(f"Rapport does not speak '{lang}'. It speaks {', '.join(LANGUAGES)}.")
    own: Catalog = {text: (said,) for text, said in terms}
    return Texts(lang, [own, *(catalog_of(package, lang) for package in ("rapport", *packages))])


@functools.cache
def catalog_of(package: str, lang: str) -> Catalog:
    """What a package brings along in `translations/<lang>.po`; nothing when it has no such file."""
    if importlib.util.find_spec(package).submodule_search_locations is None:  # type: ignore[union-attr]  # it is loaded
        return {}  # a plugin of one file
    return read_catalog(importlib.resources.files(package) / "translations" / f"{lang}.po")


def read_catalog(file: Traversable) -> Catalog:
    """The translations of one .po file. Doubtful (fuzzy) and missing ones are left out, so English shows instead."""
    if not file.is_file():
        return {}
    from babel.messages.pofile import read_po

    with file.open("rb") as stream:
        messages = read_po(stream)
    found: dict[str, tuple[str, ...]] = {}
    for message in messages:
        forms = tuple(map(str, message.string if isinstance(message.string, list | tuple) else (message.string,)))
        if message.id and all(forms) and not message.fuzzy:
            first = str(message.id[0] if isinstance(message.id, list | tuple) else message.id)
            found[f"{message.context}\x04{first}" if message.context else first] = forms
    return found


# The language of whoever is being answered right now ------------------------------------------------------------------

_current: ContextVar[Texts] = ContextVar("rapport_texts", default=Texts("en"))  # noqa: B039 - Texts never change


def current_texts() -> Texts:
    """The texts in use in this request or job."""
    return _current.get()


@contextmanager
def use_language(lang: str, packages: Sequence[str] = (), terms: Sequence[tuple[str, str]] = ()) -> Iterator[Texts]:
    """Speak a language for a while: around a request, a job, a letter to one customer."""
    texts = texts_for(lang, tuple(packages), tuple(terms))
    token = _current.set(texts)
    try:
        yield texts
    finally:
        _current.reset(token)


def gettext(message: str, /, **values: Any) -> str:
    """A message in the current language. Imported as `_` it is what code says to people with."""
    return _current.get().gettext(message, **values)


def ngettext(singular: str, plural: str, n: int, /, **values: Any) -> str:
    """A message that counts something, in the current language."""
    return _current.get().ngettext(singular, plural, n, **values)


def pgettext(context: str, message: str, /, **values: Any) -> str:
    """A message that needs its context to be understood, in the current language."""
    return _current.get().pgettext(context, message, **values)


def npgettext(context: str, singular: str, plural: str, n: int, /, **values: Any) -> str:
    """A message with context that counts something, in the current language."""
    return _current.get().npgettext(context, singular, plural, n, **values)


_ = gettext


def N_(message: str) -> str:
    """Mark a text of a table or constant for translators; it is translated with `_()` when it is shown."""
    return message
