"""Saved reports by mail: each gets what they may see, in its rhythm, once; and whoever sends it hears what is wrong."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import io
import socket
from email import message_from_bytes, policy
from types import SimpleNamespace

import pytest
from aiosmtpd.controller import Controller
from rapport_warehouse import refresh
from rapport_warehouse.entities import Delivery, Recipient, Report
from sqlalchemy import func, select

from rapport import Customer, Invalid, User, deactivate, enqueue_mail, store, system
from rapport.access import Role
from rapport.documents import can_draw
from rapport.files import stored_file
from rapport.jobs import job_table

pytestmark = pytest.mark.plugins("warehouse", "sales")
NARROW = {
    "customer.read": "own", "user.read": "all", "warehouse.report.read": "own", "warehouse.delivery.read": "own",
    "warehouse.delivery.update": "own", "warehouse.recipient.read": "all",
}  # fmt: skip
QUERY = "measure=core.new_customers&at.core.country=rows&at.core.customer_owner=filter"


class Mailbox:
    """A mail server that keeps what it gets, and now and then says that it has no time."""

    def __init__(self):
        self.mails, self.busy = [], False

    async def handle_DATA(self, _server, _session, envelope):
        if self.busy:
            return "451 Not now"
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"

    def take(self):
        """What came since the last time: to whom, and the mail."""
        came, self.mails = self.mails, []
        return sorted(((str(mail["To"]).partition("@")[0], mail) for mail in came), key=lambda pair: pair[0])


@pytest.fixture
def mailbox(app):
    """A real SMTP server, to which the site of `app` sends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = Mailbox()
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    app.site.config = dataclasses.replace(app.site.config, mail_url=f"smtp://127.0.0.1:{port}")
    yield kept
    server.stop()


@pytest.fixture
def people(app):
    """A manager, who sees every customer, and two who see their own: one in France, one in Germany."""
    with app.site.write(system("test")) as unit:
        unit.create(Role, {"name": "narrow", "title": "Narrow", "grants": NARROW})
    found = SimpleNamespace(manager=app.user("Mona Manager", roles=["manager"]),
                            member=app.user("Mo Member", roles=["narrow"]),
                            stranger=app.user("Sam Stranger", roles=["narrow"]))  # fmt: skip
    with app.site.write(app.admin) as unit:
        for name, country, owner in (("Ada", "FR", found.member), ("Bob", "DE", found.stranger)):
            unit.create(Customer, {"name": name, "owner_id": owner.id, "address": {"country": country}})
    refresh(app.site)
    return found


def send_to(app, owner, *recipients, name="Week", **values):
    """A saved report of somebody's, sent to these people."""
    with app.site.write(owner) as unit:
        report = unit.create(Report, {"name": name, "query": QUERY})
        wanted = {"report_id": str(report.id), "name": name, "format": "csv", "zone": "Europe/Berlin", **values}
        delivery = unit.create(Delivery, wanted)
        for each in recipients:
            unit.create(Recipient, {"delivery_id": str(delivery.id), "user_id": str(each.id)})
    return delivery


def now(app, delivery):
    """Its owner presses the button."""
    answer = app.submit(app.browser(app.admin), f"/warehouse/deliveries/{delivery.id}/now", {})
    assert answer.status_code == 302
    app.settle()


def file_in(mail):
    (part,) = mail.iter_attachments()
    return part.get_filename(), part.get_content_type(), part.get_payload(decode=True)


def countries(mail):
    rows = csv.reader(io.StringIO(file_in(mail)[2].decode("utf-8-sig")))
    return sorted(row[0] for row in list(rows)[1:])


def of(app, delivery):
    with app.site.read(system("test")) as reader:
        return reader.get(Delivery, delivery.id)


def test_a_report_comes_in_its_rhythm_and_each_gets_what_they_may_see(app, people, mailbox, clock):
    browser = app.browser(people.manager)
    saved = app.submit(browser, f"/warehouse/reports?{QUERY}", {"name": "Week", "shared": "me"})
    page = browser.get(browser.get(saved.location).location).get_data(as_text=True)
    address = saved.location.replace("/warehouse/reports/", "/warehouse/deliveries/new?report=")
    assert address in page
    form = {"name": "The week", "format": "csv", "often": "week", "weekday": "monday", "day": "1", "hour": "8",
            "zone": "Europe/Berlin"}  # fmt: skip
    assert "who gets it?" in app.submit(browser, address, form).get_data(as_text=True)
    chosen = [str(people.manager.id), str(people.member.id)]
    assert app.submit(browser, address, {**form, "user": chosen}).location == "/warehouse/deliveries"
    with app.site.read(system("test")) as reader:
        (delivery,) = reader.all(Delivery)
    local = delivery.due_at.astimezone(dt.timezone(dt.timedelta(hours=1)))
    assert (local.weekday(), delivery.due_at > clock.now) == (0, True)
    assert "each week on Monday at 8:00" in browser.get("/warehouse/deliveries").get_data(as_text=True)
    app.settle()
    assert mailbox.take() == []

    clock.now = delivery.due_at + dt.timedelta(minutes=1)
    app.settle()
    (first, mine), (second, theirs) = mailbox.take()
    assert (first, countries(mine), second, countries(theirs)) == (
        "mo.member", ["France"], "mona.manager", ["France", "Germany"],
    )  # fmt: skip
    assert (theirs["Subject"], file_in(theirs)[0]) == ("The week", f"The week-{clock.now:%Y-%m-%d}.csv")
    assert "Mona Manager has it sent to you" in mine.get_body().get_content()
    with app.site.db.read() as connection:
        assert connection.scalar(select(func.count()).select_from(stored_file)) == 0, "what was sent is not kept"

    # Whoever wants it no more leaves; a week later the others get it again.
    theirs = app.browser(people.member)
    assert "from Mona Manager" in theirs.get("/warehouse/deliveries").get_data(as_text=True)
    assert app.submit(theirs, f"/warehouse/deliveries/{delivery.id}/switch", {}).status_code in {403, 404}
    app.submit(theirs, f"/warehouse/deliveries/{delivery.id}/leave", {})
    assert theirs.get(f"/warehouse/deliveries/{delivery.id}").status_code == 404
    clock.forward(days=7)
    app.settle()
    assert [to for to, _mail in mailbox.take()] == ["mona.manager"]
    app.submit(browser, f"/warehouse/deliveries/{delivery.id}/switch", {})
    clock.forward(days=7)
    app.settle()
    assert (mailbox.take(), of(app, delivery).due_at) == ([], None)


def test_whoever_sends_it_hears_what_is_wrong_once(app, people, mailbox):
    delivery = send_to(app, people.manager, people.member, people.stranger)
    with app.site.write(system("test")) as unit:
        deactivate(unit, unit.get(User, people.stranger.id))
    app.site.forget_actors()
    now(app, delivery)
    (_one, mail), (to, told) = mailbox.take()
    assert countries(mail) == ["France"]
    assert (to, told["Subject"]) == ("mona.manager", "“Week” was not sent to Sam Stranger")
    assert told.get_body().get_content().startswith("This person is no longer active.")
    now(app, delivery)
    assert [to for to, _mail in mailbox.take()] == ["mo.member"]
    page = app.browser(people.manager).get("/warehouse/deliveries").get_data(as_text=True)
    assert "This person is no longer active." in page

    # A question that the recipient may not ask is not answered with less.
    with app.site.write(people.manager) as unit:
        unit.update(unit.get(Report, delivery.report_id), {"query": "measure=nothing.there"})
    now(app, delivery)
    ((to, told),) = mailbox.take()
    assert (to, told.get_body().get_content().partition(".")[0]) == (
        "mona.manager", "This person may not see what it counts",
    )  # fmt: skip

    with app.site.write(people.manager) as unit:
        unit.delete(unit.get(Report, delivery.report_id))
    now(app, delivery)
    ((to, told),) = mailbox.take()
    assert (to, told["Subject"], of(app, delivery).active) == ("mona.manager", "“Week” is no longer sent", False)


def test_a_mail_that_the_server_does_not_take_goes_out_later_once_with_its_file(app, people, mailbox, clock):
    delivery = send_to(app, people.manager, people.manager, format="pdf" if can_draw() else "xlsx")
    mailbox.busy = True
    now(app, delivery)
    with app.site.db.read() as connection:
        waiting = select(job_table.c.arguments).where(job_table.c.name == "core.mail", job_table.c.state == "waiting")
        (arguments,) = connection.scalars(waiting)
    mailbox.busy = False
    app.settle()
    assert mailbox.take() == []
    clock.forward(minutes=2)
    app.settle()
    ((_to, mail),) = mailbox.take()
    assert mail["Message-ID"] == arguments["message_id"]
    assert file_in(mail)[2][:4] in {b"%PDF", b"PK\x03\x04"}
    clock.forward(days=1)
    app.settle()
    assert mailbox.take() == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_mail_carries_no_more_than_mail_servers_take(app, mailbox):
    big = store(app.site, io.BytesIO(b"x" * (11 << 20)), "big.pdf", app.admin)
    with pytest.raises(Invalid, match="at most 10 MB"), app.site.db.write() as connection:
        enqueue_mail(app.site, connection, to="ada@example.com", subject="Big", text="", files=[big])
