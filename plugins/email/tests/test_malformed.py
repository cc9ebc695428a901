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

from rapport import Customer, Message, Suppression, send, split_quoted
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


# Reports on mails that were sent, and on such that never were ---------------------------------------------------------


def report(recipient: str, original_id: str = "", *, form: str = "standard", to: str = "info@shop.example") -> bytes:
    """A mail that says that a mail could not be delivered, as mail servers write it, or whoever pretends to be one."""
    head = (
        f"Return-Path: <>\nFrom: MAILER-DAEMON@mx.example.org\nTo: {to}\nSubject: Undelivered Mail Returned to Sender\n"
        f"Message-ID: <{random.random()}@mx.example.org>\nAuto-Submitted: auto-replied\nMIME-Version: 1.0\n"
    )
    about = f"Message-ID: <{original_id}>\n" if original_id else ""
    back = f"From: {to}\nTo: {recipient}\nSubject: News\n{about}\nHello.\n"
    if form == "words":
        return f"{head}\n550 5.1.1 <{recipient}>: user unknown\n\n--- Below is the original message.\n\n{back}".encode()
    kind, said = {
        "standard": ("delivery-status", "Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; {0}\nAction: failed\n"
                                        "Status: 5.1.1\nDiagnostic-Code: smtp; 550 5.1.1 No such user\n"),
        "complaint": ("feedback-report", "Feedback-Type: abuse\nVersion: 1\nUser-Agent: x\nOriginal-Rcpt-To: {0}\n"),
    }[form]  # fmt: skip
    return (
        f'{head}Content-Type: multipart/report; report-type={kind}; boundary="b"\n\n--b\n\nIt failed.\n'
        f"--b\nContent-Type: message/{kind}\n\n{said.format(recipient)}\n"
        f"--b\nContent-Type: message/rfc822\n\n{back}\n--b--\n"
    ).encode()


def garbled(data: bytes, number: int) -> bytes:
    """The same, broken in a few places, the same for the same number."""
    dice, made = random.Random(number), bytearray(data)
    for _ in range(dice.randrange(1, 6)):
        at = dice.randrange(len(made))
        made[at : at + dice.randrange(8)] = dice.choice((*ODD, dice.randbytes(3), made[at : at + 200] * 3))
    return bytes(made)


class Mailed:
    """A site that has written to Ada, and knows Ben and Cleo, to whom it never wrote; all mail is answered at once."""

    def __init__(self, house: House) -> None:
        self.house, self.app = house, house.app
        self.ada = self.app.create_customer(name="Ada", email="ada@example.org")
        for name in ("Ben", "Cleo"):
            self.app.create_customer(name=name, email=f"{name.lower()}@example.org")
        with self.app.site.write(self.app.admin) as unit:
            sent = send(unit, channel="email", customer=self.ada, purpose="service", subject="News", body="Hello.")
            self.sent = sent.id
        self.app.settle()
        self.house.wrote()
        with self.app.site.write(self.app.admin) as unit:
            place = place_for(unit, house.account.id, "INBOX", unit.reader.today())
            self.place, self.number = place.id, 0

    def gets(self, data: bytes) -> None:
        self.number += 1
        taken = Taken(data, len(data), "INBOX", "in")
        take(self.app.site, self.house.account, taken, Bookmark(self.place, 1, self.number))

    def stopped(self) -> list[str]:
        """The addresses that are not used any more."""
        with self.app.site.read(self.app.admin) as reader:
            return [each.address for each in reader.all(Suppression, limit=1_000)]

    def believed(self) -> list[Notice]:
        """What was noted of mails of ours, as a report told it."""
        with self.app.site.read(self.app.admin) as reader:
            return list(reader.all(Notice, Notice.message_id.is_not(None)))


def forged(ours: str) -> Iterator[bytes]:
    """Reports about people who were never written to: with no number, one made up, that of Ada's mail, and odd ones."""
    ids = ("", "made-up@shop.example", ours, ours.upper(), f"{ours}> <{ours}", "%", "' or 1=1 --", "0" * 390)
    for recipient in ("ben@example.org", "cleo@example.org", "BEN@EXAMPLE.ORG", "", "nobody@example.org", "%"):
        for original_id in ids:
            for form in ("standard", "words", "complaint"):
                yield report(recipient, original_id, form=form)


def test_no_report_stops_a_mailbox_or_an_address_but_that_to_which_the_very_mail_went(
    houses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    mailed = Mailed(houses[0])
    app = mailed.app
    with app.site.read(app.admin) as reader:
        ours = str(reader.get(Message, mailed.sent).external_id)
    assert ours
    tried = 0
    for data in forged(ours):
        mailed.gets(data)
        tried += 1
    for number in range(tries(60, long=5_000)):
        mailed.gets(garbled(report("ben@example.org", ours if number % 2 else ""), number))
        tried += 1
    app.settle()
    assert (mailed.stopped(), mailed.believed()) == ([], [])
    with app.site.read(app.admin) as reader:
        assert reader.get(Place, mailed.place).uid == mailed.number  # none of them is tried again and again
        assert reader.get(Message, mailed.sent).state == "sent"
        kept = reader.all(Notice, Notice.kind == "unreadable", limit=10_000)
    why = "it names ben@example.org, and the mail that it is about went to another address"
    assert why in {each.reason for each in kept if each.file is not None}
    # A report on a report, from ourselves and from a server that answers whatever comes: nobody answers it.
    for number in range(tries(5, long=500)):
        for to in (houses[0].address, "MAILER-DAEMON@mx.example.org", "ben@example.org"):
            mailed.gets(report(houses[0].address, f"{number}@mx.example.org", to=to))
            tried += 1
    app.settle()
    looping = len([each for each in mailed.house.wrote() if b"To: ada" not in each and b"Ben" not in each])
    assert looping == 0

    # The defects: whoever is named is believed to have been written to, and whoever knows the id of a mail is believed.
    def believing_the_name(unit: Any, found: Any) -> None:
        unit.session.add(Suppression(
            customer_id=mailed.ada.id, address=found.recipient, channel="email", reason="bounced", note="It says so.",
        ))  # fmt: skip

    def believing_the_id(unit: Any, found: Any) -> Any:
        return unit.get(Message, mailed.sent)

    for defect in (believing_the_name, believing_the_id):
        monkeypatch.setattr("rapport_email.inbox._message_of", defect)
        mailed.gets(report("ben@example.org", ours))
    assert sorted(mailed.stopped()) == ["ada@example.org", "ben@example.org"]
    caught = len(mailed.stopped())
    tally("B12", "reports: forged, malformed and going round", tried=tried, stuck=0, wrongly_stopped=0, answered=0,
          control=caught)  # fmt: skip
