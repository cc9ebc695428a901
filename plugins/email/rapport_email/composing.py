"""Writing mails as MIME: text and HTML, files with names in any script, and the headers that keep a thread together."""

from __future__ import annotations

import re
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from html import escape

from rapport import Outgoing, utcnow

_LINK = re.compile(r"https?://[^\s<>\"']{1,2000}[^\s<>\"'.,;:!?)\]}]")
_METHOD = re.compile(rb"^METHOD:(\w{1,20})\r?$", re.MULTILINE)
_QUOTE = re.compile(r"^(?:&gt; ?)+")


def message_id(outgoing: Outgoing, sender: str) -> str:
    """Made from the message's own id: the same at every attempt, so that nobody takes it for two mails."""
    return f"{outgoing.message_id.hex}@{sender.rpartition('@')[2] or 'localhost'}"


def compose(outgoing: Outgoing, *, sender: str, sender_name: str, files: list[tuple[str, str, bytes]]) -> EmailMessage:
    """The mail of a message. `files` are name, media type and bytes."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = formataddr((_plain(sender_name), sender)) if sender_name.isascii() else _named(sender_name, sender)
    mail["To"] = _named(outgoing.name, outgoing.address)
    mail["Subject"] = _plain(outgoing.subject)
    mail["Date"] = format_datetime(utcnow())
    mail["Message-ID"] = f"<{message_id(outgoing, sender)}>"
    if outgoing.in_reply_to:
        mail["In-Reply-To"] = f"<{_plain(outgoing.in_reply_to)}>"
    references = [*outgoing.references, outgoing.in_reply_to]
    if ids := [f"<{_plain(each)}>" for each in dict.fromkeys(references) if each]:
        mail["References"] = " ".join(ids)
    if outgoing.sender_id is None:
        mail["Auto-Submitted"] = "auto-generated"
    for name, value in outgoing.headers.items():
        mail[name] = _plain(value)
    text, page = outgoing.body, outgoing.html or page_of(outgoing.body)
    mail.set_content(text + "\n", cte="base64" if not text.isascii() else None)
    mail.add_alternative(_document(page), subtype="html", cte="base64")
    for name, media_type, data in files:
        main, _slash, sub = media_type.partition("/")
        if main in {"message", "multipart"} or not sub:
            main, sub = "application", "octet-stream"
        mail.add_attachment(data, maintype=main, subtype=sub, filename=_plain(name), params=_method(media_type, data))
    return mail


def _method(media_type: str, data: bytes) -> dict[str, str]:
    """What calendars do with an invitation is said outside of it as well, by RFC 6047: otherwise it is a mere file."""
    found = _METHOD.search(data) if media_type == "text/calendar" else None
    return {"method": found[1].decode(), "charset": "utf-8"} if found else {}


def quoted(text: str, attribution: str) -> str:
    """A text as it stands below an answer to it."""
    return "\n".join([attribution, *(f"> {line}".rstrip() for line in text.split("\n"))])


def page_of(text: str) -> str:
    """A text as HTML: paragraphs that run in their own direction, links, and quotes set off."""
    out: list[str] = []
    for block in re.split(r"\n{2,}", escape(text, quote=False).strip("\n")):
        lines = block.split("\n")
        quoted = all(line.startswith("&gt;") for line in lines)
        if quoted:
            lines = [_QUOTE.sub("", line) for line in lines]
        body = _LINK.sub(
            lambda found: f'<a href="{found[0].replace(chr(34), "")}">{found[0]}</a>', "<br>\n".join(lines)
        )
        out.append(f'<blockquote dir="auto">{body}</blockquote>' if quoted else f'<p dir="auto">{body}</p>')
    return "\n".join(out)


def _document(page: str) -> str:
    return f'<!doctype html>\n<html><head><meta charset="utf-8"></head><body>\n{page}\n</body></html>\n'


def _named(name: str, address: str) -> str:
    """A name and an address as a header; a name that is the address says nothing."""
    name = _plain(name)
    if not name or name == address:
        return address
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>'


def _plain(text: str) -> str:
    """No line ends in headers: what follows one would be a header of somebody else's."""
    return " ".join(text.split())
