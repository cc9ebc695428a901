"""Reading mails: any bytes become a `Mail`, repaired as far as can be, in bounded time and without an exception.

Mails are written by strangers. So nothing here believes a mail's own word on its size, depth or charset, and what is
too large or too deep is `Unreadable`: it is kept as a file then, and the mailbox goes on.
"""

from __future__ import annotations

import datetime as dt
import email
import hashlib
import html
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value, getaddresses, parsedate_to_datetime
from typing import Any

from rapport import utcnow
from rapport_email.charsets import codec, decode

MAX_BYTES = 40 << 20
MAX_PARTS = 500
MAX_DEPTH = 30
MAX_COMPARISONS = 10_000_000
MAX_DELIMITERS = 20_000
MAX_BLOCKS = 5_000
MAX_HEADER_BYTES = 256 << 10
MAX_VALUE = 20_000
"""Of one header; longer ones, such as the recipients of a whole school, are cut."""
MAX_PARAMETERS = 4_000
MAX_TEXT = 90_000
MAX_HTML = 2 << 20
MAX_REFERENCES = 100
_MESSAGE_ID = re.compile(r"<([^<>\s]{1,400})>")
_BOUNDARY = re.compile(rb"boundary\s*=", re.IGNORECASE)
_SPACED_NAME = re.compile(rb"(?m)^([A-Za-z][A-Za-z0-9-]{0,60})[ \t]{1,20}:")
_LONG_TYPE = re.compile(rb"(?im)^content-type:(?:[^\n]|\n[ \t]){4000}")
_TAG = re.compile(r"<[^<>]{0,2000}>")
_BREAK = re.compile(r"<(?:br|/p|/div|/tr|/h[1-6]|/li|hr)\b[^<>]{0,200}>", re.IGNORECASE)
_HIDDEN = ("script", "style", "title", "head")


class Unreadable(ValueError):
    """A mail that is not read, and why. It is kept as it came."""


@dataclass(frozen=True, slots=True)
class Address:
    """Somebody's address, and what they call themselves."""

    email: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A file in a mail."""

    name: str
    media_type: str
    content: bytes
    content_id: str = ""
    inline: bool = False


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as we understand it. `message` has what else it says."""

    message: Message
    message_id: str
    """Without its angle brackets; empty where the mail has none."""
    sender: Address
    to: tuple[Address, ...]
    cc: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    subject: str
    at: dt.datetime
    in_reply_to: tuple[str, ...]
    references: tuple[str, ...]
    text: str
    html: str
    files: tuple[Part, ...]
    digest: str
    """Equal for the same mail in another folder or mailbox, whatever servers added on the way."""
    notes: tuple[str, ...] = field(default=())
    """What had to be repaired, for the log."""

    @property
    def recipients(self) -> tuple[Address, ...]:
        """Everybody it was openly addressed to."""
        return (*self.to, *self.cc)

    @property
    def ancestors(self) -> tuple[str, ...]:
        """The mails it answers, the nearest first."""
        return tuple(dict.fromkeys((*self.in_reply_to, *reversed(self.references))))

    def header(self, name: str) -> str:
        """The first header of that name, decoded; empty where there is none."""
        return header(self.message, name)


def parse(data: bytes) -> Mail:
    """Read one mail. Unreadable when it is too large, too deep, or has nothing of a mail."""
    message, notes = structure(data)
    parts = list(_leaves(message))
    text, page, files = _contents(parts, notes)
    sender = (addresses(message, "From") or addresses(message, "Sender") or (Address(""),))[0]
    at = _date(message, notes)
    subject = header(message, "Subject")
    if not text and page:
        text = text_of(page)
    ids = message_ids(header(message, "Message-ID")) or _bare_id(header(message, "Message-ID"))
    seed = "\n".join([sender.email, header(message, "Date"), subject, text]).encode("utf-8", "replace")
    return Mail(
        message=message, message_id=ids[0] if ids else "", sender=sender, to=addresses(message, "To"),
        cc=addresses(message, "Cc"), reply_to=addresses(message, "Reply-To"), subject=subject, at=at,
        in_reply_to=message_ids(header(message, "In-Reply-To"))[:MAX_REFERENCES],
        references=message_ids(header(message, "References"))[-MAX_REFERENCES:],
        text=text, html=page, files=tuple(files), digest=hashlib.sha256(seed).hexdigest(), notes=tuple(notes),
    )  # fmt: skip


def structure(data: bytes) -> tuple[Message, list[str]]:
    """The parts of a mail, none of them read yet, and what had to be repaired."""
    notes: list[str] = []
    if len(data) > MAX_BYTES:
        raise Unreadable(f"it has {len(data) >> 20} MB, and at most {MAX_BYTES >> 20} are read")
    if data.count(b"\r") > 2 * data.count(b"\n"):
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        notes.append("its lines ended in CR alone")
    if data.startswith(b"From "):  # as some programs store mails
        data = data.partition(b"\n")[2]
    head = min((at for at in (data.find(b"\n\n"), data.find(b"\n\r\n")) if at >= 0), default=len(data))
    if head > MAX_HEADER_BYTES:
        raise Unreadable(f"its headers have {head >> 10} KB")
    data = _SPACED_NAME.sub(rb"\1:", data[:head]) + data[head:]
    boundaries = len(_BOUNDARY.findall(data))
    # Each line is compared with every delimiter that is open: for a real mail this product is small.
    if (boundaries + 5) * data.count(b"\n") > MAX_COMPARISONS or data.count(b"\n--") > MAX_DELIMITERS:
        raise Unreadable("it is made of too many parts")
    if _LONG_TYPE.search(data) or (b"delivery-status" in data.lower() and data.count(b"\n\n") > MAX_BLOCKS):
        raise Unreadable("one of its parts has more to say of itself than any real one")
    try:
        message = email.message_from_bytes(data)
    except (RecursionError, ValueError, LookupError, TypeError, AssertionError) as error:
        raise Unreadable(f"its parts cannot be told apart ({type(error).__name__})") from error
    if not message.keys():
        raise Unreadable("it has no headers")
    for part, _depth in walk(message):
        _mend_headers(part)
    return message, notes


def _mend_headers(part: Message) -> None:
    """Bytes that stand bare in headers become what they most likely mean."""
    for name, value in list(part.raw_items()):
        most = MAX_PARAMETERS if name.lower().startswith("content-") else MAX_VALUE
        raw = str(value)[:most].encode("utf-8", "surrogateescape")
        if (not raw.isascii() or len(value) > most) and len(part.get_all(name, [])) == 1:
            part.replace_header(name, decode(raw))


def walk(message: Message, depth: int = 0) -> Iterator[tuple[Message, int]]:
    """Every part of a mail with how deep it lies, those of forwarded mails too."""
    seen = 0
    waiting = [(message, depth)]
    while waiting:
        part, depth = waiting.pop()
        seen += 1
        if seen > MAX_PARTS or depth > MAX_DEPTH:
            raise Unreadable("it is made of too many parts")
        yield part, depth
        payload = payload_of(part)
        if isinstance(payload, list):
            waiting += [(each, depth + 1) for each in reversed(payload) if isinstance(each, Message)]


def _leaves(message: Message) -> Iterator[Message]:
    """What a reader is shown: the parts of the mail itself; a mail within it is one file."""
    inside: set[int] = set()
    for part, _depth in walk(message):
        if id(part) in inside or (part.get_content_maintype() == "message" and part is not message):
            payload = payload_of(part)
            inside |= {id(each) for each in payload} if isinstance(payload, list) else set()
            if id(part) in inside:
                continue
            yield part
        elif not part.is_multipart():
            yield part


def _contents(parts: Sequence[Message], notes: list[str]) -> tuple[str, str, list[Part]]:
    texts: list[str] = []
    pages: list[str] = []
    files: list[Part] = []
    for part in parts:
        kind, name = part.get_content_type(), file_name(part)
        if kind.startswith("multipart/"):  # its parts are not where it says
            kind, name = "text/plain", ""
        attached = part.get_content_disposition() == "attachment"
        if kind in {"text/plain", "text/html"} and not attached and not name:
            if "Content-Type" not in part and part.get_content_disposition() is None and texts:
                notes.append("a part did not say what it is")
            data = content(part)
            found = decode(data[: (MAX_HTML if kind == "text/html" else MAX_TEXT) * 4], charset_of(part))
            if kind == "text/html":
                pages.append(found[:MAX_HTML])
            else:
                texts.append(tidy(found))
        else:
            files.append(_file(part, kind, name))
    return "\n\n".join(each for each in texts if each)[:MAX_TEXT], "\n<hr>\n".join(pages)[:MAX_HTML], files


def _file(part: Message, kind: str, name: str) -> Part:
    if part.get_content_maintype() == "message":
        payload = payload_of(part)
        inner = payload[0] if isinstance(payload, list) and payload else part
        data = as_bytes(inner) if isinstance(inner, Message) else content(part)
        subject = header(inner, "Subject")[:80] if isinstance(inner, Message) else ""
        name = name or f"{subject or 'message'}.eml"
    else:
        data = content(part)
    content_id = (_MESSAGE_ID.findall(header(part, "Content-ID")) or [header(part, "Content-ID").strip()])[0]
    ending = "" if name else {"text/calendar": ".ics", "text/html": ".html", "text/plain": ".txt"}.get(kind, "")
    inline = part.get_content_disposition() == "inline" or bool(content_id)
    return Part(name or f"file{ending}", kind, data, content_id, inline)


def payload_of(part: Message) -> Any:
    """What a part holds: its text, or a list of parts; whatever charset it claims to be in."""
    try:
        return part.get_payload()
    except (ValueError, LookupError):  # such as idna, which decodes nothing but names of hosts
        part.del_param("charset")
        return part.get_payload()


def as_bytes(message: Message) -> bytes:
    """A mail within a mail, as a file of its own."""
    try:
        return message.as_bytes()
    except (LookupError, ValueError, TypeError, AttributeError, RecursionError):
        text = "".join(f"{name}: {value}\n" for name, value in message.items()) + "\n" + str(payload_of(message))
        return text.encode("utf-8", "replace")


def content(part: Message) -> bytes:
    """The bytes of a part, out of whatever encoding it is in; misnamed encodings are read as what they are."""
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().strip(";").lower()
    if encoding in {"quoted-printable", "quoted printable", "qp"} and encoding != part.get("Content-Transfer-Encoding"):
        part.replace_header("Content-Transfer-Encoding", "quoted-printable")
    try:
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, AssertionError):
        data = None
    if isinstance(data, bytes):
        return data
    raw = payload_of(part)
    return raw.encode("utf-8", "surrogateescape") if isinstance(raw, str) else b""


def charset_of(part: Message) -> str:
    """The charset a part claims."""
    try:
        return str(part.get_content_charset() or "")
    except (ValueError, LookupError, TypeError, AssertionError):
        return ""


def file_name(part: Message) -> str:
    """What a part's file is called, in whichever of the four ways mail programs write that."""
    try:
        value = part.get_param("filename", None, "content-disposition") or part.get_param("name", None)
    except (ValueError, LookupError, TypeError, AssertionError):
        return ""
    if value is None:
        return ""
    try:
        said = collapse_rfc2231_value(value)
    except (LookupError, ValueError, TypeError):
        said = value[2] if isinstance(value, tuple) else str(value)
    return decoded(str(said))


# Headers -------------------------------------------------------------------------------------------------------------


def header(message: Message, name: str) -> str:
    """The first header of a name as text; empty where there is none."""
    value = message.get(name)
    return "" if value is None else decoded(str(value))


def decoded(value: str) -> str:
    """A header's value as people read it: encoded words decoded, raw bytes guessed at, no line breaks."""
    value = value[:MAX_VALUE]
    if "=?" in value:
        try:
            pieces = decode_header(value)
        except (ValueError, LookupError, TypeError):  # an encoded word that is cut off
            pieces = [(value, None)]
        joined = ""
        for piece, charset in _together(pieces):
            joined += decode(piece, charset or "") if isinstance(piece, bytes) else piece
        value = joined
    value = "".join(sign for sign in value if sign in "\t\n" or unicodedata.category(sign) not in {"Cc", "Cs"})
    return " ".join(value.split())


def _together(pieces: Sequence[tuple[bytes | str, str | None]]) -> Iterator[tuple[bytes | str, str | None]]:
    """Neighbours in one charset as one: many programs cut a character in two between encoded words."""
    held: tuple[bytes, str] | None = None
    for piece, charset in pieces:
        if isinstance(piece, bytes) and charset:
            if held is not None and codec(held[1]) == codec(charset):
                held = (held[0] + piece, charset)
                continue
            if held is not None:
                yield held
            held = (piece, charset)
            continue
        if held is not None:
            yield held
            held = None
        yield piece, charset
    if held is not None:
        yield held


def addresses(message: Message, name: str) -> tuple[Address, ...]:
    """The addresses in all headers of a name."""
    found: dict[str, Address] = {}
    for value in message.get_all(name, []):
        text = " ".join(str(value)[:MAX_VALUE].split())
        try:
            pairs = getaddresses([text]) if text else []
        except (ValueError, IndexError, AttributeError, TypeError, RecursionError):
            pairs = []
        if not any("@" in address for _name, address in pairs):  # what the strict reader refuses
            pairs = [("", each) for each in _PLAIN_ADDRESS.findall(text[:2000])]
        for said, address in pairs:
            plain = decoded(address).strip(" <>'\".,;").lower()
            if plain.find("@") > 0 and len(plain) <= 320 and " " not in plain and plain not in found:
                found[plain] = Address(plain, decoded(said)[:200].strip("'\" "))
    return tuple(found.values())


_PLAIN_ADDRESS = re.compile(r"[\w.+\-/=&']{1,64}@[\w\-]{1,63}(?:\.[\w\-]{1,63}){0,8}")


def message_ids(value: str) -> tuple[str, ...]:
    """The ids in a header such as References, in order."""
    return tuple(dict.fromkeys(_MESSAGE_ID.findall(value)))


def _bare_id(value: str) -> tuple[str, ...]:
    word = value.strip().strip("<>")
    return (word,) if word and " " not in word and len(word) <= 400 else ()


def _date(message: Message, notes: list[str]) -> dt.datetime:
    """When it was sent; what cannot be read, or lies in the future, is now."""
    now = utcnow()
    for value in (header(message, "Date"), header(message, "Received").rpartition(";")[2]):
        try:
            at = parsedate_to_datetime(value)
            at = at.replace(tzinfo=dt.UTC) if at.tzinfo is None else at.astimezone(dt.UTC)
        except (ValueError, TypeError, IndexError, OverflowError):
            continue
        if dt.datetime(1971, 1, 1, tzinfo=dt.UTC) < at < now + dt.timedelta(days=1):
            return min(at, now)
    notes.append("its date cannot be read")
    return now


# Text ----------------------------------------------------------------------------------------------------------------


def tidy(text: str) -> str:
    """A text without signs that no field keeps, and with plain line ends."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")
    kept = (sign for sign in text if sign in "\t\n" or unicodedata.category(sign) not in {"Cc", "Cs"})
    lines = [line.rstrip() for line in "".join(kept).split("\n")]
    return "\n".join(lines).strip("\n")


def text_of(page: str) -> str:
    """The words of an HTML mail that came without its text: for search and lists, not for showing."""
    for name in _HIDDEN:
        page = _without(page, name)
    page = _BREAK.sub("\n", " ".join(page.split()))
    text = html.unescape(_TAG.sub("", page))
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", tidy("\n".join(lines)))[:MAX_TEXT]


def _without(page: str, name: str) -> str:
    """The page without what stands between an opening and the next closing tag of a name."""
    kept, at, low = [], 0, page.lower()
    while (begins := low.find(f"<{name}", at)) >= 0 and (ends := low.find(f"</{name}", begins)) >= 0:
        if low[begins + len(name) + 1 : begins + len(name) + 2].isalpha():  # <header> is no <head>
            kept.append(page[at : begins + 1])
            at = begins + 1
            continue
        kept.append(page[at:begins])
        at = (low.find(">", ends) + 1) or len(page)
    return "".join([*kept, page[at:]])
