"""Approvals: several people decide, from the mail or signed in; nobody twice, nobody for another, and no scanner."""

from __future__ import annotations

import dataclasses
import re
import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from rapport import Actor, Customer
from rapport.jobs import run_next
from rapport.testing.app import TestApp
from rapport.workflows import Approval

from .conftest import Workflows

VIP = """
name: vip
entity: customer
start: {event: updated, when: 'tags has "vip"'}
initial: asking
states:
  asking:
    approve:
      who: ["role:manager", "team:North"]
      need: 2
      title: "Is {name} a VIP?"
      deadline: 3 days
      escalate: {after: 1 day, to: "role:admin"}
    on: {approved: granted, rejected: refused, overdue: refused}
  granted: {entry: [{set: {tags: [vip, granted]}}], final: true}
  refused: {entry: [{set: {tags: []}}], final: true}
"""


class Mailbox(Sink):
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.mails: list[Message] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"

    def to(self, actor: Actor) -> list[str]:
        """The text of the mails somebody got."""
        mine = [mail for mail in self.mails if mail["To"] == actor.email]
        return [mail.get_payload(decode=True).decode() for mail in mine]  # type: ignore[union-attr]

    def links(self, actor: Actor) -> dict[str, str]:
        """The links of the last mail to somebody."""
        found = re.findall(r"(Approve|Reject):\s+http://localhost(/decide/\S+)", self.to(actor)[-1])
        return dict(found)


@pytest.fixture
def mailbox(app: TestApp) -> Iterator[Mailbox]:
    """A real SMTP server, to which the site of `app` sends."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = Mailbox()
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    app.site.config = dataclasses.replace(app.site.config, mail_url=f"smtp://127.0.0.1:{port}")
    try:
        yield kept
    finally:
        server.stop()


def decide_by(app: TestApp, link: str, **form: str) -> Any:
    """Follow a link as a browser does that nobody is signed in to, and press its button."""
    browser = app.flask.test_client()
    page = browser.get(link)
    if page.status_code != 200:
        return page
    token = page.get_data(as_text=True).split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    return browser.post(link, data={**form, "csrf_token": token})


def test_two_people_decide_by_the_links_of_their_mails(app: TestApp, workflows: Workflows, mailbox: Mailbox):
    people = app.actors()
    workflows.make(VIP)
    ada = app.create_customer(name="Ada")
    workflows.update(ada, tags=["vip"])
    assert workflows.states(ada) == ("asking",)
    asked = [actor for actor in (people.manager, people.member, people.viewer, people.stranger) if mailbox.to(actor)]
    assert asked == [people.manager, people.member, people.viewer]
    first, second = mailbox.links(people.manager), mailbox.links(people.member)
    assert "Is Ada a VIP?" in mailbox.to(people.manager)[0]

    # A mail scanner opens every link: that changes nothing.
    scanner = app.flask.test_client()
    for link in (*first.values(), *second.values()):
        assert scanner.get(link).status_code == 200
        assert scanner.head(link).status_code == 200
        assert scanner.post(link).status_code in {400, 403}  # without the page's token
    assert len(open_questions(app)) == 3

    assert "You have approved it." in decide_by(app, first["Approve"], comment="Yes!").get_data(as_text=True)
    assert workflows.states(ada) == ("asking",)
    for used in (first["Approve"], first["Reject"]):
        again = decide_by(app, used)
        assert again.status_code == 410
        assert "This is answered already." in again.get_data(as_text=True)
    assert decide_by(app, second["Approve"]).status_code == 200
    assert workflows.of(ada).status == "finished"
    assert workflows.get(Customer, ada.id).tags == ("vip", "granted")
    late = decide_by(app, mailbox.links(people.viewer)["Reject"])
    assert (late.status_code, "This is no longer asked." in late.get_data(as_text=True)) == (410, True)
    step = workflows.steps(workflows.of(ada))[-1]
    assert (step.event, step.actor) == ("approved", "Mo Member")


def open_questions(app: TestApp) -> list[Approval]:
    with app.site.read(app.admin) as reader:
        return reader.all(Approval, Approval.decision == "")


def test_a_link_is_worth_nothing_once_things_are_otherwise(
    app: TestApp, workflows: Workflows, mailbox: Mailbox, clock: Any
):
    people = app.actors()
    workflows.make(VIP)
    ada = app.create_customer(name="Ada")
    workflows.update(ada, tags=["vip"])
    link = mailbox.links(people.manager)["Approve"]
    assert decide_by(app, link + "x").status_code == 410
    workflows.update(ada, job_title="Boss")
    changed = decide_by(app, link)
    assert (changed.status_code, "was changed after the mail was sent" in changed.get_data(as_text=True)) == (410, True)

    # Handed over: the former person's link is dead, the new one's works.
    bob = app.create_customer(name="Bob")
    workflows.update(bob, tags=["vip"])
    browser = app.browser(people.manager)
    mine = [each for each in open_questions(app) if each.owner_id == people.manager.id and each.about_id == bob.id]
    former = mailbox.links(people.manager)["Approve"]
    handed = app.submit(browser, f"/approvals/{mine[0].id}/delegate", {"to": str(people.stranger.id)})
    assert handed.status_code in {200, 302, 303}
    while run_next(app.site):
        pass
    assert "was handed over" in decide_by(app, former).get_data(as_text=True)
    assert decide_by(app, mailbox.links(people.stranger)["Reject"]).status_code == 200
    # Somebody else cannot answer it, even signed in.
    other = app.submit(app.browser(people.member), f"/approvals/{mine[0].id}", {"decision": "approved"})
    assert other.status_code == 404


def test_a_question_escalates_and_its_deadline_decides(
    app: TestApp, workflows: Workflows, mailbox: Mailbox, clock: Any
):
    app.actors()
    workflows.make(VIP)
    ada = app.create_customer(name="Ada")
    workflows.update(ada, tags=["vip"])
    assert mailbox.to(app.admin) == []
    clock.forward(days=1)
    app.settle()
    assert len(mailbox.to(app.admin)) == 1
    clock.forward(days=2)
    app.settle()
    assert workflows.states(ada) == ("refused",)
    assert open_questions(app) == []
    assert [step.event for step in workflows.steps(workflows.of(ada))] == ["start", "escalate", "overdue"]


def test_people_see_and_answer_their_questions_on_their_pages(app: TestApp, workflows: Workflows):
    people = app.actors()
    workflows.make(VIP)
    ada = app.create_customer(name="Ada", actor=people.member)
    workflows.update(ada, tags=["vip"])
    browser = app.browser(people.manager)
    for page in ("/", "/approvals", f"/customer/{ada.id}"):
        assert "Is Ada a VIP?" in browser.get(page).get_data(as_text=True), page
    assert "Is Ada a VIP?" not in app.browser(people.stranger).get("/approvals").get_data(as_text=True)
    mine = [each for each in open_questions(app) if each.owner_id == people.manager.id]
    app.submit(browser, f"/approvals/{mine[0].id}", {"decision": "rejected", "comment": "Not yet"})
    assert workflows.states(ada) == ("asking",)  # two of the others may still agree
    page = browser.get("/approvals").get_data(as_text=True)
    assert "Not yet" in page
    run = browser.get(f"/workflow-run/{workflows.of(ada).id}").get_data(as_text=True)
    assert "Where it stands" in run
