"""Files and mails that are small and would become hours of work or all of the memory, by every door that takes such."""

from __future__ import annotations

import base64
import email
import email.policy
import io
import json
import os
import random
import re
import struct
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from rapport_email import Account
from rapport_email.inbox import Taken, take
from rapport_email.testing import make_account

import rapport
from rapport import files
from rapport.builtin.exchange.readers.vcard import _Joined
from rapport.plugins import discover
from rapport.testing import TestApp, make_test_site
from tests.torture import tally, tries

SECONDS = 2.0
"""Of work, each: on a busy machine the clock on the wall tells little."""
MEGABYTES = 100
SIZE = 2 << 20
"""About the size of the larger ones."""
HEAD = "From: Ada <ada@example.org>\nTo: info@shop.example\nSubject: A question\nMessage-ID: <{}@example.org>\n"


# Bombs ---------------------------------------------------------------------------------------------------------------


def event(*lines: str) -> str:
    return "\r\n".join(
        ["BEGIN:VEVENT", f"UID:{random.random()}", "SUMMARY:Boom", "DTSTART:20260505T100000Z", *lines, "END:VEVENT", ""]
    )


def calendar(body: str) -> bytes:
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n{body}END:VCALENDAR\r\n".encode()


def card(*lines: str) -> bytes:
    return "\r\n".join(["BEGIN:VCARD", "VERSION:3.0", "FN:Ada", "N:Ada;;;;", *lines, "END:VCARD", ""]).encode()


def packed(entries: Mapping[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return target.getvalue()


def workbook(sheet: bytes, strings: bytes = b"") -> bytes:
    """A workbook as Excel writes one, with this sheet."""
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    return packed({
        "[Content_Types].xml": b'<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="a" Type="{kinds}/officeDocument" Target="xl/workbook.xml"/></Relationships>'.encode(),  # noqa: E501
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{kinds}"><sheets><sheet name="A" sheetId="1" r:id="a"/></sheets></workbook>'.encode(),  # noqa: E501
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}"><Relationship Id="a" Type="{kinds}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>'.encode(),  # noqa: E501
        "xl/worksheets/sheet1.xml": sheet, "xl/sharedStrings.xml": strings,
    })  # fmt: skip


def nested(kind: str, depth: int) -> str:
    """A mail in a mail in a mail, or parts in parts."""
    text = "text"
    for number in range(depth):
        if kind == "parts":
            text = f'Content-Type: multipart/mixed; boundary="b{number}"\n\n--b{number}\n{text}\n--b{number}--\n'
        else:
            text = f"Content-Type: message/rfc822\n\nSubject: {number}\n{text}"
    return text


def image(width: int, height: int) -> bytes:
    """A picture of a few bytes that says it has thousands of millions of pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1 << 20))), (b"IEND", b"")]
    said = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(said)


def laughs(kind: str) -> str:
    """Nine times nine times nine: a thousand million words."""
    if kind == "yaml":
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
        return "\n".join([*lines, "name: laughs", "entity: customer", "initial: *a9"])
    lines = ['<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "ha">']
    lines += [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)]
    return "\n".join([*lines, "]><x>&a9;</x>"])


def calendars() -> Iterator[tuple[str, bytes]]:
    yield "components in components", b"BEGIN:VCALENDAR\r\n" + b"BEGIN:VEVENT\r\n" * (SIZE // 14)
    yield "closed and never opened", b"BEGIN:VCALENDAR\r\n" + b"END:VEVENT\r\n" * (SIZE // 12)
    yield "a line of many MB", calendar(event("DESCRIPTION:" + "x" * SIZE))
    yield "a line folded a million times", calendar(event("DESCRIPTION:x" + "\r\n y" * (SIZE // 4)))
    yield "folded tabs alone", calendar(event("X:" + "\r\n\t" * (SIZE // 3)))
    yield "many parameters", calendar(event("DTEND" + ";A=1" * (SIZE // 4) + ":20260505T110000Z"))
    yield "parameters without an end", calendar(event("DTSTART;" + ";" * (SIZE // 2)))
    yield "a quote without an end", calendar(event('ATTENDEE;CN="' + "\\" * (SIZE // 2)))
    yield "many dates", calendar(event("RRULE:FREQ=DAILY", "EXDATE:" + ",".join(["20260505T100000Z"] * (SIZE // 17))))
    yield "many lines of dates", calendar(event(*["RDATE:20260506T100000Z"] * (SIZE // 24)))
    yield "many zones", calendar("BEGIN:VTIMEZONE\r\nTZID:X\r\n" + "BEGIN:STANDARD\r\nEND:STANDARD\r\n" * (SIZE // 32)
                                 + "END:VTIMEZONE\r\n" + event())  # fmt: skip
    rules = (
        "FREQ=SECONDLY;COUNT=999999999", "FREQ=DAILY;COUNT=10000;INTERVAL=10000", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO;BYSETPOS=-366", "FREQ=DAILY;UNTIL=99991231T235959Z",
        "FREQ=MONTHLY;BYDAY=" + ",".join(f"{n}MO" for n in range(1, 54)), "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
        "FREQ=DAILY;BYHOUR=" + ",".join(map(str, range(24))), "FREQ=YEARLY;COUNT=1;" * 20_000,
    )  # fmt: skip
    yield "rules that never come true", calendar("".join(event(f"RRULE:{rule}") for rule in rules))


def cards() -> Iterator[tuple[str, bytes]]:
    yield "cards in cards", b"BEGIN:VCARD\r\n" * (SIZE // 13)
    yield "cards as agents", b"BEGIN:VCARD\r\nAGENT:\r\n" * (SIZE // 21)
    yield "many cards", card() * (SIZE // 60)
    yield "many telephones", card(*["TEL:+1 201 555 0100"] * (SIZE // 21))
    yield "a note of many MB", card("NOTE:" + "x" * SIZE)
    yield "a note folded a million times", card("NOTE:x" + "\r\n y" * (SIZE // 4))
    yield "soft line breaks", card("NOTE;ENCODING=QUOTED-PRINTABLE:" + "=\r\n" * (SIZE // 3))
    yield "a picture of many MB", card("PHOTO;ENCODING=b:" + base64.b64encode(bytes(SIZE)).decode())
    yield "parameters", card("TEL" + ";TYPE=cell" * (SIZE // 10) + ":1")
    yield "backslashes", card("ADR:" + "\\" * SIZE)


def lists() -> Iterator[tuple[str, bytes]]:
    yield "a.json: lists in lists", b"[" * SIZE
    yield "b.json: objects in objects", b'{"a":' * (SIZE // 5)
    yield "c.json: a number of many digits", b'[{"name": ' + b"9" * SIZE + b"}]"
    yield "d.json: many keys", b"[{" + b",".join(b'"k%d": 1' % n for n in range(SIZE // 12)) + b"}]"
    yield "e.csv: a cell of many MB", b"name;note\nAda;" + b"x" * SIZE
    yield "f.csv: a quote without an end", b'name;note\nAda;"' + b"x;\n" * (SIZE // 3)
    yield "g.csv: many columns", b";".join(b"c%d" % n for n in range(SIZE // 8)) + b"\n" + b"1;" * (SIZE // 8)
    yield "h.csv: nothing but separators", b";" * SIZE
    yield "i.csv: nothing but quotes", b'"' * SIZE
    rows = b"<row><c><v>1</v></c></row>" * (SIZE * 8 // 26)
    sheet = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'
    yield "j.xlsx: millions of rows", workbook(sheet + rows + b"</sheetData></worksheet>")
    yield "k.xlsx: zeros", workbook(bytes(SIZE * 16))
    yield "l.xlsx: words that laugh", workbook(laughs("xml").encode(), laughs("xml").encode())
    yield "m.xlsx: zip in zip", packed({"xl/a.zip": packed({"b.zip": packed({"c": bytes(SIZE * 8)})})})
    yield "n.xlsx: many entries", packed({f"xl/{n}": b"" for n in range(SIZE // 400)})
    yield "o.xml: words that laugh", laughs("xml").encode()


def mails() -> Iterator[tuple[str, bytes]]:
    def whole(rest: str) -> bytes:
        return (HEAD.format(random.random()) + rest).encode()

    yield "parts in parts", whole(nested("parts", 1_000))
    yield "mails in mails", whole(nested("mails", 5_000))
    mark = 'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n'
    yield "thousands of parts", whole(mark + "--b\n\nx\n" * (SIZE // 8) + "--b--\n")
    yield (
        "thousands of files",
        whole(mark + "--b\nContent-Disposition: attachment; filename=a\n\nx\n" * 450 + "--b--\n"),
    )
    yield "headers of many MB", whole("X-Long: " + "x" * SIZE + "\n\ntext")
    yield "a hundred thousand headers", whole("X-A: b\n" * (SIZE // 8) + "\ntext")
    yield "a folded header", whole("References: <a@b>" + "\n <c@d>" * (SIZE // 8) + "\n\ntext")
    yield "many recipients", whole("Cc: " + ", ".join(["Ada <ada@example.org>"] * (250_000 // 23)) + "\n\ntext")
    yield "encoded words", whole("Comments: " + "=?utf-8?q?a?= " * (250_000 // 14) + "\n\ntext")
    yield "brackets in an address", whole("Reply-To: " + "(" * 200_000 + "\n\ntext")
    kind = "MIME-Version: 1.0\nContent-Type: text/html\n\n"
    yield "tables in tables", whole(kind + "<table><tr><td>" * (SIZE // 15))
    yield "a tag without an end", whole(kind + "<a " * (SIZE // 3))
    yield "brackets", whole(kind + "<" * SIZE)
    yield "quotes in quotes", whole("\n" + "\n".join(">" * n for n in range(1_500)))
    ics = base64.b64encode(calendar(event("RRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30") * 100)).decode()
    yield (
        "an invitation",
        whole(f"{mark}--b\nContent-Type: text/calendar\nContent-Transfer-Encoding: base64\n\n{ics}\n--b--\n"),
    )
    report = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\nContent-Type: message/delivery-status\n\n"  # noqa: E501
    yield "a report of many blocks", whole(report + "Final-Recipient: rfc822; a@b\n\n" * (SIZE // 32) + "--b--\n")
    yield "base64 of nothing", whole("Content-Transfer-Encoding: base64\n\n" + "=" * SIZE)
    yield "uuencoded", whole("Content-Transfer-Encoding: x-uuencode\n\nbegin 644 a\n" + "M" * SIZE)


def uploads() -> Iterator[tuple[str, bytes]]:
    yield "flood.png", image(100_000, 100_000)
    yield "page.html", b"<script>" * (SIZE // 8)
    yield "laughs.svg", laughs("xml").encode()
    yield "scripted.svg", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)">' + b"<g>" * (SIZE // 3)
    yield "nested.zip", packed({"a.zip": packed({"b.zip": packed({"c": bytes(SIZE * 8)})})})
    yield "../../" * 3_000 + "deep.txt", b"x"


# Doors ---------------------------------------------------------------------------------------------------------------


def multipart(form: Mapping[str, str], field: str, name: str, data: bytes) -> bytes:
    """A form with a file, in one piece: a client that keeps part of it in a file would be measured too."""
    lines = [
        f'--bomb\r\nContent-Disposition: form-data; name="{each}"\r\n\r\n{said}\r\n' for each, said in form.items()
    ]
    head = f'--bomb\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n\r\n'
    return "".join([*lines, head]).encode() + data + b"\r\n--bomb--\r\n"


@dataclass
class Doors:
    """A site, and the ways in which files and mails come into it."""

    app: TestApp
    browser: Any
    api: Any
    account: Any
    customer: str
    token: str

    def sends(self, path: str, name: str, data: bytes, field: str = "file", **form: str) -> int:
        """Choose a file on a page of ours and press the button."""
        sent = multipart({"csrf_token": self.token, **form}, field, name, data)
        with self.browser.post(path, data=sent, content_type="multipart/form-data; boundary=bomb") as answer:
            return int(answer.status_code)

    def imports(self, name: str, data: bytes) -> int:
        return self.sends("/import", name, data, entity="customer")

    def gets_mail(self, _name: str, data: bytes) -> int:
        take(self.app.site, self.account, Taken(data, len(data), "INBOX", "in"))
        return 200

    def stores(self, name: str, data: bytes) -> int:
        """By the API, and fetched again: no browser may run or guess at it."""
        sent = multipart({}, "file", name, data)
        with self.api.post("/api/v1/file", data=sent, content_type="multipart/form-data; boundary=bomb") as answer:
            return int(answer.status_code)

    def logs(self, name: str, data: bytes) -> int:
        return self.sends(f"/customer/{self.customer}/log", name, data, "files", kind="note", subject="x", body="x")

    def says(self, _name: str, data: bytes) -> int:
        form = {"csrf_token": self.token, "source": data.decode()}
        return int(self.browser.post("/admin/workflows/check", data=form).status_code)


def definitions() -> Iterator[tuple[str, bytes]]:
    yield "words that laugh", laughs("yaml").encode()
    yield "lists in lists", b"[" * 100_000


Bombs = Callable[[], Iterator[tuple[str, bytes]]]
DOORS: tuple[tuple[str, Bombs, Callable[[Doors, str, bytes], int]], ...] = (
    ("calendars", calendars, lambda doors, _name, data: doors.sends("/calendar/import", "a.ics", data)),
    ("cards, into an import", cards, lambda doors, _name, data: doors.imports("a.vcf", data)),
    ("lists, into an import", lists, lambda doors, name, data: doors.imports(name.partition(":")[0], data)),
    ("mails", mails, Doors.gets_mail),
    ("files, by the API", uploads, Doors.stores),
    ("files, beside what happened", uploads, Doors.logs),
    ("definitions of workflows", definitions, Doors.says),
)
TAKING = {
    "rapport.builtin.api.files", "rapport.builtin.web.contact", "rapport.builtin.web.context",
    "rapport.builtin.web.forms", "rapport.builtin.web.imports", "rapport.builtin.web.records",
    "rapport_calendar.pages", "rapport_email.pages", "rapport_portal.customers", "rapport_service.pages",
}  # fmt: skip
"""Modules that take the files of a request. They read them as is tried here, or store them as `rapport.store` does."""


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    home = tmp_path_factory.mktemp("bombs")
    with make_test_site(home, plugins=["calendar", "email"]) as app:
        made = make_account(app.site, app.admin)
        with app.site.read(app.admin) as reader:
            account = reader.get(Account, made)
        customer = app.create_customer(name="Ada", email="ada@example.org")
        browser = app.browser()
        page = browser.get("/account").get_data(as_text=True)
        token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
        yield Doors(app, browser, app.client, account, str(customer.id), token)


def megabytes(what: str) -> float:
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def cost(do: Callable[[], int]) -> tuple[int, float, float]:
    """What came of it, the seconds of work and the megabytes at its peak; those of child processes are bounded."""
    Path("/proc/self/clear_refs").write_text("5")
    before, began = megabytes("VmRSS"), time.process_time()
    status = do()
    return status, time.process_time() - began, megabytes("VmHWM") - before


@pytest.mark.timeout(tries(600, long=3600))
def test_no_bomb_costs_more_than_moments(doors: Doors, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    wrong = []
    for what, bombs, door in DOORS:
        tried = 0
        for name, data in bombs():
            status, seconds, more = cost(partial(door, doors, name, data))
            tried += 1
            # The body itself is held here by whoever sends it, and once or twice more.
            if status >= 500 or seconds > SECONDS or more > MEGABYTES + 3 * len(data) / (1 << 20):
                wrong.append((what, name[:40], status, round(seconds, 1), round(more), round(len(data) / (1 << 20))))
        tally("B7", f"bombs: {what}", tried=tried, slow=0, large=0, failed=0, files_left=0)
    assert (wrong, os.listdir(tmp_path)) == ([], [])


def test_every_door_for_files_is_known() -> None:
    roots = [Path(rapport.__file__).parent]
    roots += [
        Path(found.__file__).parent for name in discover() if (found := import_module(f"rapport_{name}")).__file__
    ]
    taking = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for root in roots for path in root.rglob("*.py") if "request.files" in path.read_text("utf-8")
    }  # fmt: skip
    assert taking == TAKING, "a new door for files: send the bombs of this file through it"


@pytest.mark.parametrize("reader", ["cards", "rules"])
def test_the_defects_that_these_bombs_found_are_found(
    doors: Doors, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a card put together letter by letter, and a rule that is handed on as it is."""
    if reader == "cards":
        usual = _Joined.add

        def add(self: Any, text: str, *, instead_of_sign: bool = False) -> None:
            usual(self, text, instead_of_sign=instead_of_sign)
            self.pieces = ["".join(self.pieces) + " "]

        monkeypatch.setattr(_Joined, "add", add)
        data = card("NOTE:x" + "\r\n y" * 60_000)
        _status, seconds, _more = cost(partial(doors.imports, "a.vcf", data))
        assert seconds > SECONDS / 4, "for a fortieth of a bomb"
    else:
        monkeypatch.setattr("rapport_calendar.recurrence.tidy", lambda text: text)
        data = calendar(event("RRULE:FREQ=MONTHLY;BYDAY=53MO"))
        doors.app.flask.config["PROPAGATE_EXCEPTIONS"] = False
        assert doors.sends("/calendar/import", "a.ics", data) == 500
    tally("B7", "bombs: calendars" if reader == "rules" else "bombs: cards, into an import", tried=0, control=1)


def byte_by_byte(path: Path, source: Any, most: int) -> tuple[int, str]:
    data = b""
    while byte := source.read(1):
        data = data + byte
    return write(path, io.BytesIO(data), most)


def as_the_library_does(data: bytes) -> str:
    return str(email.message_from_bytes(data, policy=email.policy.default)["Reply-To"])


write = files._write
CARELESS: dict[str, tuple[str, Callable[..., Any], bytes]] = {
    "lists, into an import": ("rapport.builtin.exchange.imports.open_table",
                              lambda path, *_how: json.loads(path.read_bytes()), b"[" * SIZE),
    "mails": ("rapport_email.inbox.parse", as_the_library_does, b"Reply-To: " + b"(" * 20_000 + b"\n\ntext"),
    "files, by the API": ("rapport.files._write", byte_by_byte, bytes(300_000)),
    "files, beside what happened": ("rapport.files._write", byte_by_byte, bytes(300_000)),
    "definitions of workflows": ("rapport.workflows.checking.read_yaml", yaml.safe_load, b"[" * 100_000),
}  # fmt: skip
"""What somebody might write in place of what is there, and a bomb that finds it."""


@pytest.mark.parametrize("what", CARELESS)
def test_careless_reading_behind_a_door_is_found(doors: Doors, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of each other door: a mail, a list or a definition read as libraries do, a file kept byte by byte."""
    replaced, careless, bomb = CARELESS[what]
    monkeypatch.setattr(replaced, careless)
    monkeypatch.setitem(doors.app.flask.config, "PROPAGATE_EXCEPTIONS", False)
    door = next(each for name, _bombs, each in DOORS if name == what)
    try:
        status, seconds, _more = cost(partial(door, doors, "a.json", bomb))
    except RecursionError:  # no page answers for a mailbox: it is stuck
        status, seconds = 500, 0.0
    assert status >= 500 or seconds > SECONDS / 4, (status, seconds)
    tally("B7", f"bombs: {what}", tried=0, control=1)
