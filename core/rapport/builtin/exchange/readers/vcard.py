"""Reading vCards: the address books of telephones and mail programs, from version 2.1 to 4."""

from __future__ import annotations

import codecs
import quopri
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from .charset import bad_text, text_blocks
from .delimited import split_lines
from .json_records import RecordTable
from .shapes import BadRow, Format, Value, shorten

LONGEST_CARD = 8 * 1024**2
MOST_LINES = 120_000
"""A picture of eight megabytes has fewer."""
MOST_PROPERTIES = 2_000
ORDER = (
    "Full name", "Prefix", "Given name", "Middle name", "Family name", "Suffix", "Nickname", "Organisation",
    "Department", "Job title", "Role", "E-mail", "Phone", "Phone (mobile)", "Phone (home)", "Fax", "Pager",
    "Street", "Address line 2", "PO box", "City", "Region", "Postal code", "Country", "Address", "Website",
    "Birthday", "Anniversary", "Gender", "Language", "Chat", "Categories", "Note", "UID",
)  # fmt: skip

_SINGLE = {
    "FN": "Full name", "NICKNAME": "Nickname", "TITLE": "Job title", "ROLE": "Role", "BDAY": "Birthday",
    "ANNIVERSARY": "Anniversary", "X-ANNIVERSARY": "Anniversary", "X-EVOLUTION-ANNIVERSARY": "Anniversary",
    "X-MS-ANNIVERSARY": "Anniversary", "X-WAB-WEDDING_ANNIVERSARY": "Anniversary", "EMAIL": "E-mail",
    "EMAIL;INTERNET": "E-mail", "URL": "Website", "NOTE": "Note", "GENDER": "Gender", "LANG": "Language",
    "UID": "UID", "IMPP": "Chat",
}  # fmt: skip
_NAMES = ("Family name", "Given name", "Middle name", "Prefix", "Suffix")
_ADDRESS = ("PO box", "Address line 2", "Street", "City", "Region", "Postal code", "Country")
_SILENT = {
    "BEGIN",
    "END",
    "VERSION",
    "PRODID",
    "REV",
    "X-ABLABEL",
    "LABEL",
    "SORT-STRING",
    "CLASS",
    "MAILER",
    "SOURCE",
    "NAME",
}
_BASE64_LINE = re.compile(r"[A-Za-z0-9+/=]+\s*")


@dataclass(slots=True)
class Property:
    """One line of a card: `TEL;TYPE=home:01234`."""

    name: str
    value: str
    kinds: set[str] = field(default_factory=set)
    charset: str | None = None
    quoted_printable: bool = False
    base64: bool = False
    preferred: bool = False


class CardTable(RecordTable):
    """A file of cards as a flat list, one row per card."""

    format: Format = "vcard"

    def _prepare(self) -> None:
        self._left_out: Counter[str] = Counter()

    def _in_order(self, columns: list[str]) -> list[str]:
        if self._left_out:
            names = ", ".join(name for name, _ in self._left_out.most_common(12))
            self.warnings.append(f"These parts of the cards have no column and are left out: {names}.")

        def place(column: str) -> tuple[int, int, int]:
            base, _, number = column.rpartition(" ")
            copy = int(number) if number.isdigit() and base in ORDER else 1
            base = base if copy > 1 else column
            further_address = copy > 1 and base in {*_ADDRESS, "Address"}
            return ORDER.index("Country" if further_address else base), copy, ORDER.index(base)

        return sorted(columns, key=place)

    def _named(self) -> Iterator[tuple[int, dict[str, Value]] | BadRow]:
        self.blank = 0
        self._left_out.clear()
        for begin, lines, whole in _cards(self._lines()):
            raw = "".join(lines)
            reason = bad_text(raw, self._charset.encoding)
            if not whole and reason is None:
                reason = "The card has no END:VCARD." if _opens(lines[0]) else "This does not belong to any card."
            if reason:
                yield BadRow(begin, reason, shorten(raw))
            else:
                yield self._flat(begin, lines)

    def _lines(self) -> Iterator[str]:
        for block in text_blocks(self._source, self._charset):
            yield from split_lines(block)

    def _flat(self, begin: int, lines: list[str]) -> tuple[int, dict[str, Value]] | BadRow:
        try:
            properties = read_properties(lines, self._charset.encoding)
        except ValueError as error:
            return BadRow(begin, str(error), shorten("".join(lines)))
        values: dict[str, Value] = {}
        # The preferred one of several comes first, and so gets the column without a number.
        for item in sorted(properties, key=lambda item: not item.preferred):
            if not _place(item, values) and item.name not in _SILENT:
                self._left_out[item.name] += 1
        if not values:
            return BadRow(begin, "The card is empty.", shorten("".join(lines)))
        if any(isinstance(value, str) and "\0" in value for value in values.values()):
            return BadRow(begin, "A NUL character stands in the text.", shorten("".join(lines)))
        return begin, values


def _cards(lines: Iterator[str]) -> Iterator[tuple[int, list[str], bool]]:
    """Cut the file into cards, and into what stands between them. A card inside another one belongs to it."""
    card: list[str] = []
    begin, depth, size = 0, 0, 0
    for number, line in enumerate(lines, 1):
        opens = _opens(line)
        if opens and depth and not _awaits_card(card):
            yield begin, card, False
            depth = 0
        if not depth and (opens or (not card and line.strip())):
            if opens and card:
                yield begin, card, False
            card, begin, size = [], number, 0
        if opens:
            depth += 1
        if not card and not line.strip():
            continue
        card.append(line)
        size += len(line)
        if depth and line.strip().upper() == "END:VCARD":
            depth -= 1
            if not depth:
                yield begin, card, True
                card = []
        elif size > LONGEST_CARD or len(card) > MOST_LINES:
            yield begin, card, False
            card, depth = [], 0
    if card:
        yield begin, card, False


def _opens(line: str) -> bool:
    return line.strip("\ufeff \t\r\n").upper() == "BEGIN:VCARD"


def _awaits_card(card: list[str]) -> bool:
    last = next((line for line in reversed(card) if line.strip()), "").strip().upper()
    return last.startswith("AGENT") and last.endswith(":")


def read_properties(lines: list[str], encoding: str) -> list[Property]:
    """The properties of one card, unfolded and decoded, without those of cards inside it."""
    version = next((line.split(":", 1)[1].strip() for line in lines if line.upper().startswith("VERSION:")), "3.0")
    joined: list[_Joined] = []
    depth = 0
    for line in lines:
        text = line.rstrip("\r\n")
        if _opens(text) or text.strip().upper() == "END:VCARD":
            depth += 1 if _opens(text) else -1
            continue
        if depth > 1:
            continue
        before = joined[-1] if joined else None
        if before is not None and "QUOTED-PRINTABLE" in before.head and before.end.endswith("="):
            # Some telephones cut =20 after its sign; then the sign is no line break but half a letter.
            halved = re.search(r"=[0-9A-F]{2}=$", before.end) and re.match(r"[0-9A-F]{2}(=|$)", text)
            before.add(text, instead_of_sign=not halved)
        elif before is not None and text[:1] in (" ", "\t") and text.strip():
            before.add(text if version.startswith("2") else text[1:])
        elif before is not None and before.is_base64 and _BASE64_LINE.fullmatch(text):
            before.add(text.strip())
        elif text.strip():
            if len(joined) == MOST_PROPERTIES:
                raise ValueError(f"The card has more than {MOST_PROPERTIES:,} lines.")
            joined.append(_Joined([text], _head(text)))
    return [_property("".join(each.pieces), version, encoding) for each in joined]


@dataclass(slots=True)
class _Joined:
    """A property that is put together from its lines, of which a picture has thousands: in pieces to the end."""

    pieces: list[str]
    head: str

    @property
    def end(self) -> str:
        """Its last letters so far."""
        return "".join(self.pieces[-8:])[-8:]

    @property
    def is_base64(self) -> bool:
        return "BASE64" in self.head or "ENCODING=B" in self.head or self.head.endswith(";B")

    def add(self, text: str, *, instead_of_sign: bool = False) -> None:
        if instead_of_sign:
            self.pieces[-1] = self.pieces[-1][:-1]
            if not self.pieces[-1] and len(self.pieces) > 1:
                self.pieces.pop()
        if text:
            self.pieces.append(text)
        if len(self.pieces) < 100:  # what the property is called may itself be cut over lines
            self.head = _head("".join(self.pieces))


def _head(text: str) -> str:
    return text[:10_000].split(":", 1)[0].upper()


def _property(text: str, version: str, encoding: str) -> Property:
    colon = _outside_quotes(text, ":")
    if text.upper().startswith("ADR") and "LABEL=" in text[:colon].upper():
        # A label with colons ought to be quoted and often is not; an address has six semicolons after the last.
        colon = max(at for at, sign in enumerate(text) if sign == ":" and (text.count(";", at) >= 6 or at == colon))
    if colon < 1:
        raise ValueError(f"The line '{text[:60]}' is no property of a card.")
    name, *parameters = _split(text[:colon], ";", quotes=True)
    item = Property(name.rsplit(".", 1)[-1].strip().upper(), text[colon + 1 :])
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        key, value = (key.strip().upper(), value.strip('" ')) if equals else ("", parameter.strip())
        for word in value.upper().split(","):
            _apply(item, key, word)
        if key == "CHARSET" or (not key and "-" in value and _is_charset(value)):
            item.charset = value
    if item.quoted_printable:
        item.value = item.value.rstrip("=")
        raw = quopri.decodestring(item.value.encode(encoding, "replace"))
        charset = item.charset if item.charset and _is_charset(item.charset) else None
        item.value = _decode(item.name, raw, [charset] if charset else ["utf-8", encoding, "cp1252"])
    return item


def _apply(item: Property, key: str, word: str) -> None:
    if key in ("ENCODING", "") and word in ("QUOTED-PRINTABLE", "Q"):
        item.quoted_printable = True
    elif key in ("ENCODING", "") and word in ("BASE64", "B"):
        item.base64 = True
    elif (key in ("TYPE", "") and word == "PREF") or (key == "PREF" and word == "1"):
        item.preferred = True
    elif key in ("TYPE", ""):
        item.kinds.add(word)


def _decode(name: str, raw: bytes, encodings: list[str]) -> str:
    for encoding in encodings:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise ValueError(f"Some bytes of {name} mean nothing in {encodings[0]}.")


def _is_charset(name: str) -> bool:
    try:
        return codecs.lookup(name).name not in {"quopri", "base64", "hex", "zlib", "bz2", "uu", "rot13"}
    except LookupError:
        return False


def _outside_quotes(text: str, sign: str) -> int:
    quoted = False
    for at, character in enumerate(text):
        if character == '"':
            quoted = not quoted
        elif character == sign and not quoted:
            return at
    return text.find(sign)


def _split(text: str, sign: str, *, quotes: bool = False) -> list[str]:
    """Parts between signs, unless a backslash, or in parameters a quotation mark, takes their meaning away."""
    if not quotes:
        return re.split(rf"(?<!\\){re.escape(sign)}", text)
    parts, part, quoted = [], "", False
    for character in text:
        if character == '"':
            quoted = not quoted
        if character == sign and not quoted:
            parts.append(part)
            part = ""
        else:
            part += character
    return [*parts, part]


def _plain(text: str) -> str:
    def letter(found: re.Match[str]) -> str:
        return "\n" if found[1] in "nN" else found[1]

    return re.sub(r'\\([nN\\,;:"])', letter, text).replace("\r\n", "\n").strip()


def _place(item: Property, values: dict[str, Value]) -> bool:
    """Put a property into its column; False when there is no column for it."""
    if item.base64:
        return False
    if item.name == "N":
        for column, part in zip(_NAMES, _split(item.value, ";"), strict=False):
            _add(values, column, _plain(part))
    elif item.name == "ORG":
        company, *units = _split(item.value, ";")
        _add(values, "Organisation", _plain(company))
        _add(values, "Department", ", ".join(filter(None, map(_plain, units))))
    elif item.name == "ADR":
        _place_address(item, values)
    elif item.name == "TEL":
        _add(values, _phone_column(item.kinds), _telephone(_plain(item.value)))
    elif item.name == "CATEGORIES":
        tags = [tag for part in _split(item.value, ",") if (tag := _plain(part))]
        before = values.get("Categories")
        if tags:
            values["Categories"] = [*(before if isinstance(before, list) else []), *tags]
    elif single := _SINGLE.get(item.name):
        _add(values, single, _tidy(single, _plain(item.value)))
    else:
        return False
    return True


def _tidy(column: str, value: str) -> str:
    if column in ("Birthday", "Anniversary"):
        return re.sub(r"^(\d{4})(0[1-9]|1[0-2])([0-3]\d)(T.*)?$", r"\1-\2-\3", value)
    return value.removeprefix("mailto:") if column == "E-mail" else value


def _place_address(item: Property, values: dict[str, Value]) -> None:
    parts = [_plain(part) for part in _split(item.value, ";")]
    if not any(parts):
        return
    if len([part for part in parts if part]) == 1 and "\n" in max(parts, key=len):
        # Google writes a whole address into one part.
        _add(values, "Address", max(parts, key=len))
        return
    copy = 1
    while any(_numbered(column, copy) in values for column in _ADDRESS):
        copy += 1
    for column, part in zip(_ADDRESS, [*parts[:6], ", ".join(filter(None, parts[6:]))], strict=False):
        if part:
            values[_numbered(column, copy)] = part


def _phone_column(kinds: set[str]) -> str:
    if "FAX" in kinds:
        return "Fax"
    if "PAGER" in kinds:
        return "Pager"
    if kinds & {"CELL", "MOBILE", "IPHONE"}:
        return "Phone (mobile)"
    return "Phone (home)" if "HOME" in kinds and "WORK" not in kinds else "Phone"


def _telephone(value: str) -> str:
    if value.lower().startswith("tel:"):
        number, _, extra = value[4:].partition(";")
        extension = re.search(r"ext=(\d+)", extra)
        return f"{number} ext. {extension[1]}" if extension else number
    return value


def _numbered(column: str, copy: int) -> str:
    return column if copy == 1 else f"{column} {copy}"


def _add(values: dict[str, Value], column: str, value: str) -> None:
    """A second value gets a column of its own; the same value again does not. Notes are put together."""
    if not value:
        return
    if column == "Note" and column in values:
        values[column] = f"{values[column]}\n{value}"
        return
    copy = 1
    while (name := _numbered(column, copy)) in values:
        if values[name] == value:
            return
        copy += 1
    values[name] = value
