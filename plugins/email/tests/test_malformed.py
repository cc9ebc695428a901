"""Mails that are broken in every way a generator thinks of, reports, and two sites that answer each other."""

from __future__ import annotations

import base64
import email
import email.policy
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from rapport_email import Account, Mail, Notice
from rapport_email.entities import Place
from rapport_email.inbox import Bookmark, Taken, place_for, take
from rapport_email.kinds import kind_of, reports
from rapport_email.parsing import Unreadable, parse
from rapport_email.testing import MailServer, mail, make_account, running_mail_server

from rapport import Customer, split_quoted
from rapport.testing import TestApp, make_test_site
from rapport.workflows import Workflow
from tests.torture import tally, tries

SAMPLES = [path.read_bytes() for path in sorted((Path(__file__).parent / "samples").rglob("*.eml"))]
ODD = (
    b"\x00", b"\r", b"\n\n", b"\r\n\r\n", b"--", b"=?", b"?=", b"=?utf-8?q?=FF?=", b"=?x?b?%%%?=", b"\xff\xfe",
    b"\xed\xa0\x80", b"<", b">", b"@", b",", b";", b'"', b"\\", b"(", b")", b":", b"=", b"=\n", b"boundary=",
    b"charset=\x00", b"filename*0*=", b"filename*=utf-8''%", b"Content-Type: multipart/mixed; boundary=\"\"\n",
    b"Content-Type: message/rfc822\n", b"Content-Type: message/delivery-status\n", b"Content-Type: /;=\n",
    b"Content-Transfer-Encoding: base64\n", b"Content-Transfer-Encoding: uuencode\n",
    b"Date: 99 Foo 99999 99:99:99 +9999\n", b"Message-ID: <>\n", b"From: \n", b"To: undisclosed:;\n",
    b"Subject: =?utf-7?q?+AGE-?=\n", b"References: " + b"<a@b> " * 50 + b"\n", b"A" * 3000, b"\n.\n", b"\nFrom x\n",
    b"begin 644 a\n", b"X-\xe9: \xe9\n", b"Return-Path: <>\n", b"Auto-Submitted: \x00\n",
)  # fmt: skip


def broken(number: int) -> bytes:
    """A broken mail, the same for the same number: cut, doubled, shuffled, sown with oddities."""
    dice = random.Random(number)
    data = bytearray(dice.choice(SAMPLES) if dice.random() < 0.6 else made_of_parts(dice))
    for _ in range(dice.choice((1, 2, 3, 5, 8, 20))):
        at = dice.randrange(len(data) + 1)
        size = min(len(data) - at, int(dice.expovariate(1 / 60)) + 1)
        what = dice.randrange(8)
        if what == 0:
            del data[at : at + size]
        elif what == 1:
            data[at:at] = data[at : at + size] * dice.choice((2, 3, 30))
        elif what == 2:
            data[at:at] = dice.choice(ODD)
        elif what == 3:
            data[at : at + size] = dice.randbytes(size)
        elif what == 4:
            del data[at:]
        elif what == 5:
            lines = bytes(data).split(b"\n")
            dice.shuffle(lines)
            data = bytearray(b"\n".join(lines))
        elif what == 6:
            head, _gap, body = bytes(data).partition(b"\n\n")
            data = bytearray(head + b"\n" + dice.choice(ODD) + b"\n\n" + body)
        else:
            data = bytearray(bytes(data).replace(b"\n", dice.choice((b"\r", b"\r\n", b"\n\r", b"\n \n"))))
        data = data[:200_000]
    return bytes(data)


def made_of_parts(dice: random.Random, depth: int = 0) -> bytes:
    """A mail of parts within parts, each of which may lie about itself."""
    kinds = ("text/plain", "text/html", "image/png", "text/calendar", "message/rfc822", "application/x", "te xt/")
    charsets = ("utf-8", "utf-16", "x-unknown", "iso-2022-jp", "us-ascii", "gb18030", "rot13", "idna", "")
    codings = ("7bit", "8bit", "base64", "quoted-printable", "x-uuencode", "BASE64 ", "nonsense")
    head = b"" if depth else b"From: Ada <ada@example.org>\nTo: info@shop.example\nSubject: Broken\n"
    if depth < 6 and dice.random() < 0.6:
        mark = dice.choice(("b", "=_x", "a b", "", "-" * 80)).encode()
        head += b'Content-Type: multipart/%s; boundary="%s"\n\n' % (
            dice.choice((b"mixed", b"related", b"report", b"x")),
            mark,
        )
        parts = [made_of_parts(dice, depth + 1) for _ in range(dice.randrange(4))]
        return (
            head
            + b"".join(b"--" + mark + b"\n" + part + b"\n" for part in parts)
            + dice.choice((b"", b"--" + mark + b"--"))
        )
    content = dice.randbytes(dice.randrange(200))
    body = base64.b64encode(content) if dice.random() < 0.5 else content
    kind, charset, coding = dice.choice(kinds), dice.choice(charsets), dice.choice(codings)
    said = f"Content-Type: {kind}; charset={charset}\nContent-Transfer-Encoding: {coding}\n"
    name = dice.choice(
        ("", "Content-Disposition: attachment; filename*0*=utf-8''a%; filename*1=b\n", "Content-ID: <a\n")
    )
    return head + said.encode() + name.encode() + b"\n" + body


def read_through(data: bytes) -> str:
    """All that is ever read of a mail; what became of it."""
    try:
        found = parse(data)
    except Unreadable:
        return "unreadable"
    split_quoted(found.text)
    reports(found)
    return kind_of(found)


def read_carelessly(data: bytes) -> str:
    """As one does who trusts the library and the mail."""
    message: Any = email.message_from_bytes(data, policy=email.policy.default)
    for part in message.walk():
        if not part.is_multipart():
            part.get_content()
    return f"{message['From']} {message['Date']}"


def test_of_broken_mails_each_is_read_or_refused() -> None:
    many = tries(400, long=10_000)
    became = Counter(read_through(broken(number)) for number in range(many))
    assert became.total() == many
    assert len(became) >= 3, became
    caught = 0
    for number in range(tries(150, long=1_000)):
        try:
            read_carelessly(broken(number))
        except Exception:  # whatever it is, a mailbox would be stuck
            caught += 1
    assert caught > 0
    unreadable = became["unreadable"]
    tally("B12", "malformed mails, read", tried=many, unreadable=unreadable, failed=0, control=caught)


@pytest.fixture
def account(app: TestApp) -> Account:
    made = make_account(app.site, app.admin)
    with app.site.read(app.admin) as reader:
        return reader.get(Account, made)


@pytest.mark.plugins("email")
def test_no_broken_mail_stops_a_mailbox(app: TestApp, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    with app.site.write(app.admin) as unit:
        place = place_for(unit, account.id, "INBOX", unit.reader.today()).id
    many = tries(40, long=5_000)

    def taken_in(first: int, last: int) -> int:
        """How many of these could not be dealt with, so that the mailbox would begin with them again and again."""
        stuck = 0
        for number in range(first, last):
            data = broken(number)
            try:
                take(app.site, account, Taken(data, len(data), "INBOX", "in"), Bookmark(place, 1, number + 1))
            except Exception:  # whatever it is, the mailbox is stuck
                stuck += 1
        return stuck

    assert taken_in(0, many) == 0
    app.settle()
    with app.site.read(app.admin) as reader:
        assert reader.get(Place, place).uid == many
        kept, notices = len(reader.all(Mail, limit=10_000)), len(reader.all(Notice, limit=10_000))
    assert kept + notices > 0
    # The defect: nobody refuses a mail that cannot be read.
    monkeypatch.setattr("rapport_email.inbox.parse", read_carelessly)
    caught = taken_in(many, many + 20)
    assert caught > 0
    tally("B12", "malformed mails, taken in", tried=many, kept=kept, noticed=notices, stuck=0, control=caught)


# Two sites that answer -----------------------------------------------------------------------------------------------

ANSWER = """name: answer_at_once
entity: interaction
start: {event: created, when: 'direction = "in"'}
initial: answering
states:
  answering:
    entry: [{send: {channel: email, purpose: service, subject: "We have it", body: "We write to you soon."}}]
    final: true
"""


class House:
    """A site with a mailbox that answers whatever comes in."""

    def __init__(self, app: TestApp, server: MailServer, address: str, other: str) -> None:
        self.app, self.server, self.address = app, server, address
        account = make_account(app.site, app.admin, address=address, mail_server=server)
        with app.site.write(app.admin) as unit:
            self.account = unit.get(Account, account)
            unit.create(Customer, {"name": "The other house", "email": other})
            unit.create(Workflow, {"source": ANSWER})
        self.seen = 0

    def gets(self, data: bytes) -> None:
        take(self.app.site, self.account, Taken(data, len(data), "INBOX", "in"))
        self.app.settle()

    def wrote(self) -> list[bytes]:
        """What it has sent since it was last asked."""
        new, self.seen = self.server.raw[self.seen :], len(self.server.raw)
        return new


@pytest.fixture
def houses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[House, House]]:
    monkeypatch.setattr("rapport.workflows.charts.SECONDS", 0.0)
    with ExitStack() as stack:
        made = []
        for name, other in (("north", "south"), ("south", "north")):
            server = stack.enter_context(running_mail_server())
            app = stack.enter_context(make_test_site(tmp_path / name, plugins=["email"]))
            made.append(House(app, server, f"info@{name}.example", f"info@{other}.example"))
        yield made[0], made[1]


def exchanged(houses: tuple[House, House], first: bytes, most: int = 12) -> int:
    """How many mails two houses that answer at once write to each other, until they fall silent or are past hope."""
    north, south = houses
    waiting, count = [(south, first)], 0
    while waiting and count < most:
        house, data = waiting.pop(0)
        house.gets(data)
        other = north if house is south else south
        for each in house.wrote():
            count += 1
            waiting.append((other, each))
    return count


def test_two_sites_that_answer_each_other_at_once_fall_silent(houses: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    north, south = houses
    most, many = 0, tries(2, long=30)

    def conversation(subject: str) -> int:
        first = mail(sender=f"The other house <{north.address}>", to=south.address, subject=subject)
        return exchanged(houses, first.as_bytes())

    for number in range(many):
        most = max(most, conversation(f"Question {number}"))
    assert 1 <= most <= 2
    # The defect: nobody asks whether a machine wrote what a machine answers.
    monkeypatch.setattr("rapport_email.channel.refusals", lambda message, session: [])
    caught = conversation("A question without end")
    assert caught > 2
    tally("B12", "conversations of two sites that answer at once", tried=many, loops=0, control=caught)
