"""The forms of a page as a browser fills them in and sends them, whatever they are for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from io import BytesIO
from urllib.parse import parse_qsl, urlencode

from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.test import encode_multipart

WORDS = {
    "name": "Twice", "title": "Twice", "subject": "Twice", "body": "Twice", "text": "Twice", "description": "Twice",
    "email": "twice@example.com", "url": "https://example.com/twice", "list": "Twice", "key": "twice",
    "label": "Twice", "plural": "Twices",
}  # fmt: skip
"""What is typed into a control that must be filled in, by its name."""
FILES = {
    ".ics": ("twice.ics", b"BEGIN:VCALENDAR\nBEGIN:VEVENT\nUID:twice\nDTSTART:20260505T100000Z\nSUMMARY:Twice\n"
                          b"END:VEVENT\nEND:VCALENDAR\n"),
    "": ("twice.csv", b"name\nTwice\n"),
}  # fmt: skip
"""What is chosen for a control that takes a file, by the kinds of file that it asks for; the last one takes any."""


@dataclass
class Sheet(HTMLParser):
    """One form of a page: where it goes, and what a browser would send of it."""

    action: str = ""
    values: list[tuple[str, str]] = field(default_factory=list)
    needed: dict[str, str] = field(default_factory=dict)
    """The controls that are empty and must be filled in, with their type."""
    files: dict[str, str] = field(default_factory=dict)
    """The controls that take a file, with the kinds of file that they ask for."""
    multipart: bool = False
    asks: bool = False
    _select: str = ""
    _area: str = ""

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name, kind = given.get("name", ""), given.get("type", "text")
        if tag == "form":
            self.action = given.get("action") or given.get("hx-post", "")
            self.multipart = "multipart/form-data" in {given.get("enctype"), given.get("hx-encoding")}
        elif "disabled" in given:
            return
        elif tag == "select" and name:
            self._select, self.asks = name, True
        elif tag == "option" and self._select:
            known = dict(self.values)
            if self._select not in known or "selected" in given or not known[self._select]:
                self.values = [each for each in self.values if each[0] != self._select]
                self.values.append((self._select, given.get("value", "")))
        elif tag == "textarea" and name:
            self._area, self.asks = name, True
            self.values.append((name, ""))
            self.needed |= {name: "text"} if "required" in given else {}
        elif tag == "input" and name and kind == "file":
            self.asks = True
            self.files[name] = given.get("accept", "")
        elif tag == "input" and name and kind not in {"submit", "button"}:
            self.asks |= kind != "hidden"
            if kind == "radio" and (name not in dict(self.values) or "checked" in given):  # somebody chooses one
                self.values = [each for each in self.values if each[0] != name]
                self.values.append((name, given.get("value", "on")))
            elif kind not in {"checkbox", "radio"} or (kind == "checkbox" and "checked" in given):
                self.values.append((name, given.get("value", "on" if kind == "checkbox" else "")))
            if "required" in given and not given.get("value") and kind not in {"checkbox", "radio"}:
                self.needed[name] = kind

    def handle_data(self, data: str) -> None:
        if self._area:
            self.values[-1] = (self._area, self.values[-1][1] + data)

    def handle_endtag(self, tag: str) -> None:
        self._area = "" if tag == "textarea" else self._area
        self._select = "" if tag == "select" else self._select

    def sent(self, **typed: str) -> tuple[bytes, str]:
        """The body that a browser sends, with some values typed in and a file chosen for each control, and its type."""
        if not self.multipart:
            return self.body(**typed).encode(), "application/x-www-form-urlencoded"
        texts = MultiDict(parse_qsl(self.body(**typed), keep_blank_values=True))
        files = {
            name: next((file for kind, file in FILES.items() if kind in accepts), FILES[""])
            for name, accepts in self.files.items()
        }
        boundary, body = encode_multipart(MultiDict([
            *texts.items(multi=True),
            *((name, FileStorage(BytesIO(content), file_name)) for name, (file_name, content) in files.items()),
        ]))  # fmt: skip
        return body, f"multipart/form-data; boundary={boundary}"

    def body(self, **typed: str) -> str:
        """What a browser sends of a form that takes no files, with some values typed in."""
        usual = {
            "date": "2026-05-05",
            "datetime-local": "2026-05-05T10:00",
            "number": "1",
            "email": "twice@example.com",
        }
        typed |= {
            name: WORDS.get(name, usual.get(kind, "2")) for name, kind in self.needed.items() if name not in typed
        }
        kept = [(name, value.strip("\n")) for name, value in self.values if name not in typed]
        return urlencode([*kept, *typed.items()])


def sheets(page: str, path: str, *, bare: bool = False) -> Iterator[Sheet]:
    """The forms of a page that send something somebody typed; with `bare` also those that are a button alone."""
    for text in re.findall(r"<form\b.*?</form>", page, re.DOTALL):
        if 'method="post"' in text or "hx-post=" in text:
            sheet = Sheet()
            sheet.feed(text)
            sheet.action = sheet.action or path
            if sheet.asks or bare:
                yield sheet
