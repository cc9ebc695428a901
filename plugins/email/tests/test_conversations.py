"""Mail comes in and goes out on real servers, becomes threads on the right timelines, and nothing is there twice."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner
from rapport_email import Account, Mail, Notice
from rapport_email.commands import health
from rapport_email.entities import Place
from rapport_email.inbox import ask_for
from rapport_email.parsing import parse
from rapport_email.testing import Mailboxes, MailServer, mail, make_account

from rapport import Attachment, Consent, Customer, Interaction, Message, Purpose, send, store
from rapport.testing import TestApp

pytestmark = pytest.mark.plugins("email")


def fetch(app: TestApp, *accounts: UUID) -> None:
    """Look into mailboxes now."""
    with app.site.write(app.admin) as unit:
        for each in accounts:
            ask_for(unit, each)
    app.settle()


def mails(app: TestApp) -> Sequence[Interaction]:
    """Every mail on a timeline, the oldest first."""
    with app.site.read(app.admin) as reader:
        return reader.all(Interaction, Interaction.channel == "email", order=(Interaction.at, Interaction.id))


def everything(app: TestApp, entity: Any) -> Sequence[Any]:
    with app.site.read(app.admin) as reader:
        return reader.all(entity)


def test_a_question_its_answer_and_the_answer_that_comes_back_are_one_conversation(
    app: TestApp, mail_server: MailServer, mailboxes: Mailboxes
) -> None:
    box = uuid4().hex
    account = make_account(app.site, app.admin, mail_server=mail_server, mailboxes=mailboxes, user=box)
    ada = app.create_customer(name="Ada", email="ada@example.org")
    question = mail(subject="Opening hours")
    question.add_attachment("Monday?", filename="frage-für-Sie.txt")
    mailboxes.add(box, question)
    fetch(app, account)
    (asked,) = mails(app)
    assert (asked.customer_id, asked.direction, asked.subject) == (ada.id, "in", "Opening hours")
    assert asked.body == "When do you open?"
    assert [each.name for each in everything(app, Attachment)] == ["frage-für-Sie.txt"]
    assert [each.open for each in everything(app, Mail)] == [True]

    with app.site.write(app.admin) as unit:
        answer = send(unit, channel="email", customer=ada, purpose="service", subject="Re: Opening hours",
                      body="At nine.", reply_to=unit.get(Interaction, asked.id))  # fmt: skip
    assert answer.state == "waiting", answer.reason
    app.settle()
    (sent,) = mail_server.to("ada@example.org")
    assert sent["In-Reply-To"] == question["Message-ID"]
    assert sent["Message-ID"] == f"<{answer.id.hex}@shop.example>"
    assert [each.open for each in everything(app, Mail)] == [False]

    thanks = mail(subject="Re: Opening hours", text="Thank you!\n\nOn Monday we wrote:\n> At nine.",
                  in_reply_to=sent["Message-ID"])  # fmt: skip
    mailboxes.add(box, thanks)
    fetch(app, account)
    assert len({each.thread_id for each in mails(app)}) == 1
    assert [each.direction for each in mails(app)] == ["in", "out", "in"]


def test_its_bounce_closes_the_loop(app: TestApp, mail_server: MailServer, mailboxes: Mailboxes) -> None:
    box = uuid4().hex
    account = make_account(app.site, app.admin, mail_server=mail_server, mailboxes=mailboxes, user=box)
    ada = app.create_customer(name="Ada", email="ada@example.org")

    def write() -> Message:
        with app.site.write(app.admin) as unit:
            return send(unit, channel="email", customer=ada, purpose="service", subject="News", body="Hello.")

    first = write()
    app.settle()
    (sent,) = mail_server.mails
    mailboxes.add(box, bounce_of(sent))
    fetch(app, account)
    with app.site.read(app.admin) as reader:
        message = reader.get(Message, first.id)
    assert (message.state, message.reason) == ("bounced", "550 5.1.1 No such user here")
    assert [(each.kind, each.address, each.message_id) for each in everything(app, Notice)] == [
        ("bounce", "ada@example.org", first.id)
    ]
    assert write().state == "refused"  # the address is used no more
    assert [each.name for each in everything(app, Customer)] == ["Ada"]  # a mail server is no customer


def bounce_of(sent: Any) -> bytes:
    """What a mail server writes that cannot deliver a mail."""
    return (
        b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mx.example.org\r\nTo: info@shop.example\r\n"
        b"Subject: Undelivered Mail Returned to Sender\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        b"--b\r\n\r\nYour mail could not be delivered.\r\n"
        b"--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
        b"Final-Recipient: rfc822; ada@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n"
        b"Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\n" + sent.as_bytes() + b"\r\n--b--\r\n"
    )


def test_somebody_new_becomes_a_customer_but_no_machine_and_no_colleague(app: TestApp, mailboxes: Mailboxes) -> None:
    box = uuid4().hex
    account = make_account(app.site, app.admin, mailboxes=mailboxes, user=box)
    mo = app.user("Mo Member")
    mailboxes.add(box, mail(sender="Grace Hopper <grace@navy.example>", subject="Ships"))
    mailboxes.add(box, mail(sender="news@shop.example", subject="Our news", list_id="<news.shop.example>"))
    mailboxes.add(box, mail(sender="bob@example.org", subject="Out of office", auto_submitted="auto-replied"))
    mailboxes.add(box, mail(sender=f"Mo <{mo.email}>", subject="Lunch?"))
    mailboxes.add(box, mail(sender="MAILER-DAEMON@mx.example", subject="Undelivered: 550 5.1.1 nobody@nowhere.example"))
    fetch(app, account)
    assert [each.subject for each in mails(app)] == ["Ships"]
    assert [(each.name, each.email) for each in everything(app, Customer)] == [("Grace Hopper", "grace@navy.example")]
    # The same from people who are customers is kept, and waits for nobody.
    app.create_customer(name="Bob", email="bob@example.org")
    mailboxes.add(box, mail(sender="bob@example.org", subject="Out of office again", auto_submitted="auto-replied"))
    fetch(app, account)
    assert {each.kind: each.open for each in everything(app, Mail)} == {"personal": True, "automatic": False}


def test_a_mail_is_there_once_wherever_the_server_keeps_it(app: TestApp, mailboxes: Mailboxes) -> None:
    first, second = uuid4().hex, uuid4().hex
    account = make_account(app.site, app.admin, mailboxes=mailboxes, user=first, folders=["INBOX", "Done"])
    other = make_account(app.site, app.admin, address="sales@shop.example", mailboxes=mailboxes, user=second)
    both = mail(subject="To both", to="info@shop.example, sales@shop.example")
    for box in (first, second):
        mailboxes.add(box, both)
    mailboxes.add(first, mail(subject="Without an id", message_id=" "))
    mailboxes.add(first, mail(subject="Later"), "Done")
    fetch(app, account, other)
    assert sorted(each.subject for each in mails(app)) == ["Later", "To both", "Without an id"]
    mailboxes.renumber(first)
    mailboxes.add(first, mail(subject="After the change"))
    fetch(app, account)
    mailboxes.move(first, "INBOX", "Done")
    fetch(app, account)
    subjects = ["After the change", "Later", "To both", "Without an id"]
    assert sorted(each.subject for each in mails(app)) == subjects
    assert all("Seen" not in each for each in mailboxes.flags(first, "Done"))
    # Another mail that bears the same id, by mistake or on purpose, is another mail.
    mailboxes.add(first, mail(sender="eve@example.net", subject="Not the same", message_id=str(both["Message-ID"])))
    fetch(app, account)
    assert sorted(each.subject for each in mails(app)) == sorted([*subjects, "Not the same"])


def test_what_was_written_in_another_program_is_on_the_timeline_too(app: TestApp, mailboxes: Mailboxes) -> None:
    box = uuid4().hex
    account = make_account(app.site, app.admin, mailboxes=mailboxes, user=box, sent_folders=["Sent"])
    ada = app.create_customer(name="Ada", email="ada@example.org")
    question = mail(subject="A question")
    mailboxes.add(box, question)
    mailboxes.add(box, mail(sender="info@shop.example", to="ada@example.org", subject="Re: A question",
                            in_reply_to=question["Message-ID"]), "Sent")  # fmt: skip
    mailboxes.add(box, mail(sender="info@shop.example", to="mother@example.net", subject="Sunday"), "Sent")
    fetch(app, account)
    found = [(each.direction, each.customer_id, each.subject) for each in mails(app)]
    assert found == [("in", ada.id, "A question"), ("out", ada.id, "Re: A question")]
    assert [each.open for each in everything(app, Mail) if each.kind == "personal"].count(True) == 0
    assert len(everything(app, Customer)) == 1


def test_a_thread_is_told_by_its_subject_where_ids_are_missing(app: TestApp, mailboxes: Mailboxes) -> None:
    box = uuid4().hex
    account = make_account(app.site, app.admin, mailboxes=mailboxes, user=box)
    for subject in ("The roof", "AW: The roof", "Re: Fwd: the  roof", "Re: The cellar", "The roof"):
        mailboxes.add(box, mail(subject=subject))
        fetch(app, account)
    threads = [each.thread_id for each in mails(app)]
    assert len(set(threads[:3])) == 1
    assert len(set(threads)) == 3  # another subject, and the same subject written anew


def test_a_mail_that_cannot_be_read_is_kept_and_the_next_one_is_read(app: TestApp, mailboxes: Mailboxes) -> None:
    box = uuid4().hex
    account = make_account(app.site, app.admin, mailboxes=mailboxes, user=box)
    mailboxes.add(box, b"From: eve@example.net\r\n" + b"Content-Type: message/rfc822\r\n\r\n" * 3000)
    mailboxes.add(box, b"Subject: From nobody\r\n\r\nBoo.\r\n")
    mailboxes.add(box, mail(subject="Well"))
    fetch(app, account)
    fetch(app, account)
    assert [each.subject for each in mails(app)] == ["Well"]
    notices = everything(app, Notice)
    assert [(each.kind, each.file is not None) for each in notices] == [("unreadable", True), ("unreadable", True)]
    assert notices[1].reason == "it does not say who sent it"
    (place,) = everything(app, Place)
    assert (place.uid, place.waiting, place.error) == (3, 0, "")


def test_a_mailbox_that_cannot_be_reached_says_so_and_goes_on_when_it_can(app: TestApp, mailboxes: Mailboxes) -> None:
    box = uuid4().hex
    account = make_account(app.site, app.admin, mailboxes=mailboxes, user=box)
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Account, account), {"imap_port": 1})
    fetch(app, account)
    (place,) = everything(app, Place)
    assert place.error == "Nothing answers at that server and port."
    assert place.failing_since is not None
    assert "Nothing answers" in app.browser().get("/").get_data(as_text=True)
    said = CliRunner().invoke(health, obj=app.site)
    assert (said.exit_code, said.output) == (1, "info@shop.example: Nothing answers at that server and port.\n")
    with app.site.write(app.admin) as unit:
        unit.update(unit.get(Account, account), {"imap_port": mailboxes.port})
    mailboxes.add(box, mail())
    fetch(app, account)
    (place,) = everything(app, Place)
    assert (place.error, place.failing_since, place.taken) == ("", None, 1)
    assert CliRunner().invoke(health, obj=app.site).exit_code == 0
    assert "Nothing answers" not in app.browser().get("/").get_data(as_text=True)


def test_mail_with_whom_one_named_is_left_alone(app: TestApp, mailboxes: Mailboxes) -> None:
    box = uuid4().hex
    account = make_account(app.site, app.admin, mailboxes=mailboxes, user=box)
    answer = app.submit(app.browser(), "/admin/settings", {"email.ignored": "bank.example\nmother@example.net"})
    assert answer.status_code == 302
    for sender in ("statements@bank.example", "mother@example.net", "ada@example.org"):
        mailboxes.add(box, mail(sender=sender))
    fetch(app, account)
    assert [each.email for each in everything(app, Customer)] == ["ada@example.org"]


@pytest.mark.parametrize(
    ("fate", "state", "arrived", "reason", "again"),
    [
        ("gone", "failed", 0, "550 5.1.1 User unknown", "refused"),
        ("full", "failed", 0, "552 5.2.2 Mailbox full", "waiting"),
        ("busy", "waiting", 0, "451 4.3.0 Try again later", "waiting"),
        ("drop", "doubtful", 1, "Nobody knows whether it went out: ", "waiting"),
        ("lost", "doubtful", 0, "Nobody knows whether it went out: ", "waiting"),
    ],
)
def test_what_the_server_says_is_what_becomes_of_a_message(
    app: TestApp, mail_server: MailServer, fate: str, state: str, arrived: int, reason: str, again: str
) -> None:
    make_account(app.site, app.admin, mail_server=mail_server)
    somebody = app.create_customer(name="Somebody", email=f"{fate}@example.org")
    written = write(app, somebody)
    app.settle()
    with app.site.read(app.admin) as reader:
        message = reader.get(Message, written.id)
    assert (message.state, len(mail_server.mails)) == (state, arrived)
    assert message.reason.startswith(reason)
    assert write(app, somebody).state == again


def write(app: TestApp, customer: Customer, **values: Any) -> Message:
    with app.site.write(app.admin) as unit:
        said = {"channel": "email", "purpose": "service", "subject": "News", "body": "Hello.", **values}
        return send(unit, customer=customer, **said)


def test_each_sends_by_their_own_account_else_by_a_shared_one(app: TestApp, mail_server: MailServer) -> None:
    mo, ann = app.user("Mo Member"), app.user("Ann Other")
    ada = app.create_customer(name="Ada", email="ada@example.org")
    make_account(app.site, app.admin, mail_server=mail_server, purposes=["service"], name="The shop")
    make_account(app.site, app.admin, address="mo@shop.example", mail_server=mail_server, shared=False, owner_id=mo.id)
    for actor, account in ((mo, ""), (ann, ""), (ann, "mo@shop.example")):
        with app.site.write(actor) as unit:
            send(unit, channel="email", customer=ada, purpose="service", subject="Hi", body="Hello", account=account)
    app.settle()
    senders = [str(each["From"]) for each in mail_server.mails]
    assert senders == ["Rapport <mo@shop.example>", "The shop <info@shop.example>"]
    failed = [each for each in everything(app, Message) if each.state == "failed"]
    assert len(failed) == 1
    assert failed[0].reason.startswith("No e-mail account may send this (purpose “service”).")


def test_a_mail_in_any_script_arrives_as_it_was_written(app: TestApp, mail_server: MailServer) -> None:
    make_account(app.site, app.admin, mail_server=mail_server, name="فروشگاه «آفتاب»")
    ada = app.create_customer(name="李小龙", email="li@example.org")
    name = "פירוט הזמנה – " + "很长的名字" * 12 + ".txt"
    subject, body = "سلام دوست من " + "خیلی " * 40, "سلام\n\n.\n.. dots\n> quoted\nhttps://example.org/a?b=1."
    file = store(app.site, BytesIO(b"content"), name, app.admin)
    write(app, ada, subject=subject, body=body, attachments=[file.id])
    app.settle()
    arrived = parse(mail_server.raw[0])
    assert arrived.sender.name == "فروشگاه «آفتاب»"
    assert arrived.to[0].name == "李小龙"
    assert arrived.subject == " ".join(subject.split())
    assert arrived.text == body
    assert [(each.name, each.content) for each in arrived.files] == [(name, b"content")]
    assert '<a href="https://example.org/a?b=1">' in arrived.html


def test_an_invitation_says_outside_of_it_what_it_asks_for(app: TestApp, mail_server: MailServer) -> None:
    make_account(app.site, app.admin, mail_server=mail_server)
    ada = app.create_customer(name="Ada", email="ada@example.org")
    event = b"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n"
    file = store(app.site, BytesIO(event), "invite.ics", app.admin)
    write(app, ada, subject="Visit", body="Will you come?", attachments=[file.id])
    app.settle()
    (part,) = [each for each in mail_server.mails[0].walk() if each.get_content_type() == "text/calendar"]
    assert (part.get_param("method"), part.get_payload(decode=True)) == ("REQUEST", event)


def test_who_is_erased_is_gone_from_the_reports_too(app: TestApp, mailboxes: Mailboxes) -> None:
    box = uuid4().hex
    account = make_account(app.site, app.admin, mailboxes=mailboxes, user=box)
    ada = app.create_customer(name="Ada", email="ada@example.org")
    mailboxes.add(box, mail())
    mailboxes.add(box, bounce_of(mail(to="ada@example.org")))
    fetch(app, account)
    assert len(everything(app, Notice)) == len(everything(app, Mail)) == 1
    answer = app.submit(app.browser(), f"/customer/{ada.id}/erase", {"name": "Ada", "confirm": "Ada"})
    assert answer.status_code < 400, answer.get_data(as_text=True)
    assert everything(app, Notice) == everything(app, Mail) == []


def test_what_may_be_declined_can_be_declined_with_one_click(app: TestApp, mail_server: MailServer) -> None:
    make_account(app.site, app.admin, mail_server=mail_server)
    ada = app.create_customer(name="Ada", email="ada@example.org", time_zone="UTC")
    with app.site.write(app.admin) as unit:
        (purpose,) = unit.reader.all(Purpose, Purpose.name == "marketing")
        unit.create(Consent, {"customer_id": ada.id, "purpose_id": purpose.id, "state": "granted"})
        unit.update(purpose, {"quiet": False})
    write(app, ada, purpose="marketing")
    app.settle()
    (arrived,) = mail_server.mails
    assert arrived["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "/unsubscribe?purpose=marketing" in parse(mail_server.raw[0]).header("List-Unsubscribe")
    assert parse(mail_server.raw[0]).text.count("/preferences/") == 1
