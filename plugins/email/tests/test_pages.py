"""Writing, answering, looking at mail, and keeping accounts and templates, as people do it in the browser."""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from rapport_email import Account, Mail, Template
from rapport_email.inbox import Taken, take
from rapport_email.testing import PASSWORD, Mailboxes, MailServer, mail, make_account

from rapport import Interaction, Message
from rapport.records.log import change_log
from rapport.testing import TestApp

pytestmark = pytest.mark.plugins("email")


def everything(app: TestApp, entity: Any) -> Any:
    with app.site.read(app.admin) as reader:
        return reader.all(entity)


def came_in(app: TestApp, account: UUID, written: Any, direction: str = "in") -> Interaction:
    """A mail that was fetched."""
    with app.site.read(app.admin) as reader:
        data = written if isinstance(written, bytes) else written.as_bytes()
        found = take(app.site, reader.get(Account, account), Taken(data, len(data), "INBOX", direction))
    assert found is not None
    app.settle()
    with app.site.read(app.admin) as reader:
        return reader.get(Interaction, found)


def text(browser: Any, url: str) -> str:
    answer = browser.get(url)
    assert answer.status_code == 200, answer.get_data(as_text=True)
    said: str = answer.get_data(as_text=True)
    return said


def recipients(page: str) -> list[str]:
    return re.findall(r'name="to" value="([^"]+)"', page)


def test_a_mail_is_answered_from_the_list_of_those_that_wait(app: TestApp, mail_server: MailServer) -> None:
    mo = app.user("Mo Member")
    account = make_account(app.site, app.admin, mail_server=mail_server, signature="The shop\n1 Main Street")
    asked = came_in(app, account, mail(subject="Opening hours", text="When?\n\nOn Monday we wrote:\n> Hello"))
    browser = app.browser(mo)
    listed = text(browser, "/email/waiting")
    assert "Opening hours" in listed
    assert "On Monday" not in listed
    assert f"/email/write?reply_to={asked.id}" in listed
    form = text(browser, f"/email/write?reply_to={asked.id}")
    assert 'value="Re: Opening hours"' in form
    assert "1 Main Street" in form
    assert "Ada Lovelace wrote:" in form
    assert "&gt; When?" in form
    (to,) = recipients(form)
    sent = {"reply_to": str(asked.id), "customer_id": str(asked.customer_id), "to": to, "account": str(account),
            "purpose": "service", "subject": "Re: Opening hours", "body": "At nine.",
            "files": (BytesIO(b"the plan"), "plan.txt")}  # fmt: skip
    answer = app.submit(browser, "/email/write", sent)
    assert answer.location == f"/customer/{asked.customer_id}"
    app.settle()
    (arrived,) = mail_server.mails
    assert arrived["To"] == '"Ada Lovelace" <ada@example.org>'
    assert [part.get_filename() for part in arrived.walk() if part.get_filename()] == ["plan.txt"]
    assert "Everything is answered" in text(browser, "/email/waiting")


def test_an_answer_to_all_goes_to_each_customer_and_to_no_colleague(app: TestApp, mail_server: MailServer) -> None:
    account = make_account(app.site, app.admin, mail_server=mail_server)
    bob = app.create_customer(name="Bob", email="bob@example.org")
    mo = app.user("Mo Member")
    asked = came_in(
        app, account, mail(cc=f"bob@example.org, {mo.email}, nobody@example.net", reply_to="ada@home.example")
    )
    browser = app.browser()
    form = text(browser, f"/email/write?all=1&reply_to={asked.id}")
    offered = recipients(form)
    assert [each.partition(":")[2] for each in offered] == ["ada@home.example", "ada@example.org", "bob@example.org"]
    answer = browser.get("/").get_data(as_text=True)
    token = answer.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    browser.post("/email/write", data={
        "csrf_token": token, "reply_to": str(asked.id), "to": [offered[0], f"{bob.id}:bob@example.org"],
        "account": str(account), "purpose": "service", "subject": "Re: A question", "body": "At nine.",
    })  # fmt: skip
    app.settle()
    assert sorted(str(each["To"]) for each in mail_server.mails) == [
        '"Ada Lovelace" <ada@home.example>',
        '"Bob" <bob@example.org>',
    ]


def test_a_mail_is_passed_on_with_its_files(app: TestApp, mail_server: MailServer) -> None:
    account = make_account(app.site, app.admin, mail_server=mail_server)
    bob = app.create_customer(name="Bob", email="bob@example.org")
    written = mail(subject="The plan")
    written.add_attachment(b"the plan", maintype="application", subtype="pdf", filename="plan.pdf")
    came = came_in(app, account, written)
    browser = app.browser()
    form = text(browser, f"/email/write?forward={came.id}&customer_id={bob.id}")
    (kept,) = re.findall(r'name="kept" value="([^"]+)"', form)
    (to,) = recipients(form)
    sent = {"forward": str(came.id), "customer_id": str(bob.id), "to": to, "account": str(account),
            "purpose": "service", "subject": "Fwd: The plan", "body": "See below.", "kept": kept}  # fmt: skip
    assert app.submit(browser, "/email/write", sent).status_code == 302
    app.settle()
    (arrived,) = mail_server.mails
    (file,) = [part for part in arrived.walk() if part.get_filename()]
    assert (file.get_filename(), file.get_payload(decode=True)) == ("plan.pdf", b"the plan")


def test_what_the_gate_refuses_is_said_at_once_and_nothing_that_was_typed_is_lost(app: TestApp) -> None:
    account = make_account(app.site, app.admin)
    ada = app.create_customer(name="Ada", email="ada@example.org")
    browser = app.browser()
    (to,) = recipients(text(browser, f"/email/write?customer_id={ada.id}"))
    sent = {"customer_id": str(ada.id), "to": to, "account": str(account), "purpose": "marketing", "subject": "Offer",
            "body": "Buy <this>"}  # fmt: skip
    answer = app.submit(browser, "/email/write", sent)
    assert answer.status_code == 422
    page = answer.get_data(as_text=True)
    assert "They have not agreed to" in page
    assert "Buy &lt;this&gt;" in page
    assert app.submit(browser, "/email/write", {**sent, "to": ""}).status_code == 422


def test_a_mails_html_runs_nothing_loads_nothing_and_shows_its_own_pictures(app: TestApp) -> None:
    account = make_account(app.site, app.admin)
    written = mail()
    written.add_alternative(
        '<p onclick="x()">Hello <img src="cid:logo@x"><img src="https://spy.example/p.png"><script>x()</script>'
        '<a href="javascript:x()" hx-get="/">a</a><base href="https://evil.example"><form action="/"></form></p>',
        subtype="html",
    )
    written.get_payload()[1].add_related(b"PNG", "image", "png", cid="<logo@x>")  # type: ignore[union-attr,index]
    came = came_in(app, account, written)
    browser = app.browser()
    page = text(browser, f"/interaction/{came.id}")
    assert f'src="/email/mail/{came.id}/page"' in page
    assert "Pictures from elsewhere are not loaded" in page
    answer = browser.get(f"/email/mail/{came.id}/page")
    shown = answer.get_data(as_text=True)
    assert "data:image/png;base64,UE5H" in shown
    for bad in ("script", "onclick", "javascript", "spy.example", "hx-get", "<base", "<form"):
        assert bad not in shown
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "https:" not in policy
    assert "spy.example" in text(browser, f"/email/mail/{came.id}/page?images=1")


def test_an_account_keeps_its_passwords_to_itself(app: TestApp, mail_server: MailServer, mailboxes: Mailboxes) -> None:
    mo, ann = app.user("Mo Member"), app.user("Ann Other")
    account = make_account(app.site, app.admin, mail_server=mail_server, mailboxes=mailboxes, user=uuid4().hex,
                           shared=False, owner_id=mo.id)  # fmt: skip
    with app.site.write(app.admin) as unit:
        unit.get(Account, account).imap_secret = ""
    browser = app.browser(mo)
    own = f"/email/account/{account}/own"
    assert "Fetching: The server refused to let us in" in app.submit(
        browser, f"/email/account/{account}/try", {}
    ).get_data(as_text=True)  # fmt: skip
    assert app.submit(browser, own, {"imap_password": PASSWORD, "signature": "Mo"}).status_code == 302
    tried = app.submit(browser, f"/email/account/{account}/try", {}).get_data(as_text=True)
    assert "Sending works." in tried
    assert "Fetching works." in tried
    with app.site.db.read() as connection:
        logged = str(connection.execute(change_log.select()).all())
    (kept,) = everything(app, Account)
    assert kept.imap_secret
    everywhere = [logged, kept.imap_secret, text(browser, f"/email.account/{account}"),
                  app.client.get("/api/v1/email.account").get_data(as_text=True)]  # fmt: skip
    assert all(PASSWORD not in each for each in everywhere)
    assert kept.imap_secret not in everywhere[2] + everywhere[3] + logged
    # It is nobody else's, and its servers are for administrators to name: they may be in a network of one's own.
    stranger = app.browser(ann)
    assert stranger.get(f"/email.account/{account}").status_code == 404
    assert app.submit(stranger, own, {"imap_password": "x"}).status_code == 404
    assert app.api(mo).patch(f"/api/v1/email.account/{account}", json={"imap_host": "evil.example"}).status_code == 403
    manager = app.api(app.actors().manager)
    assert manager.patch(f"/api/v1/email.account/{account}", json={"imap_host": "10.0.0.1"}).status_code == 403
    assert (
        manager.post("/api/v1/email.account", json={"email": "m@x.example", "imap_host": "10.0.0.1"}).status_code == 403
    )


def test_a_template_is_filled_in_for_a_customer_and_faults_are_told_when_it_is_saved(app: TestApp) -> None:
    ada = app.create_customer(name="Ada <b>", given_name="", email="ada@example.org")
    api = app.client
    body = "Hi {{ customer.given_name | default: 'there' }}{% if customer.organisation %}!{% endif %}"
    values = {"name": "welcome", "language": "en", "title": "Welcome", "subject": "Hello {{ customer.name }}",
              "body": body}  # fmt: skip
    for faulty, said in (
        ("{{ customer.nam }}", "has an unknown name “customer.nam”. Known names: customer.name"),
        ("{% for x in (1..9999999999) %}x{% endfor %}", "unexpected tag 'for'"),
        ("{{ customer.name.__class__ }}", "unknown name"),
        ("{{ 'a' | append: 'b' }}", "unknown filter “append”"),
        ("{% include 'secret' %}", "unexpected tag 'include'"),
        ("{{ customer }}", "unknown name “customer”"),
        ("{% if", "cannot be read, in line 1"),
    ):
        refused = api.post("/api/v1/email.template", json={**values, "body": faulty})
        assert refused.status_code == 422, faulty
        assert said in str(refused.get_json())
    assert api.post("/api/v1/email.template", json=values).status_code == 201
    (template,) = everything(app, Template)
    browser = app.browser()
    shown = text(browser, f"/email/template/{template.id}/preview?customer_id={ada.id}")
    assert "Hello Ada &lt;b&gt;" in shown
    assert "Hi there" in shown
    filled = text(browser, f"/email/fill?template={template.id}&customer_id={ada.id}")
    assert 'value="Hello Ada &lt;b&gt;"' in filled


def test_a_mail_that_needs_no_answer_is_taken_off_the_list(app: TestApp) -> None:
    account = make_account(app.site, app.admin)
    came = came_in(app, account, mail(subject="Thanks"))
    browser = app.browser()
    assert app.submit(browser, f"/email/mail/{came.id}/settle", {}).status_code == 302
    assert [each.open for each in everything(app, Mail)] == [False]
    assert "Thanks" not in text(browser, "/email/waiting")
    assert everything(app, Message) == []


def test_the_list_of_waiting_mail_takes_as_many_queries_for_many_as_for_few(app: TestApp) -> None:
    account = make_account(app.site, app.admin)
    browser = app.browser()
    counts = []
    for number in range(1, 8):
        came_in(app, account, mail(subject=f"Question {number}", sender=f"ada{number}@example.org"))
        if number in {2, 7}:
            text(browser, "/email/waiting")
            with app.queries() as sent:
                text(browser, "/email/waiting")
            counts.append(len(sent))
    assert counts[0] == counts[1]


def test_a_thread_is_one_place_on_the_timeline_with_what_it_quotes_folded(app: TestApp) -> None:
    account = make_account(app.site, app.admin)
    first = mail(subject="The roof", text="It leaks.")
    came = came_in(app, account, first)
    came_in(app, account, mail(subject="Re: The roof", text="Still.\n\nYesterday I wrote:\n> It leaks.",
                               in_reply_to=first["Message-ID"]))  # fmt: skip
    came_in(app, account, mail(subject="The cellar", text="It is wet."))
    page = text(app.browser(), f"/customer/{came.customer_id}")
    assert "1 earlier in this thread" in page
    assert page.index("Still.") < page.index("Quoted text") < page.index("1 earlier in this thread")
    assert page.count("<time") >= 3
    answer = f"/message/new?customer_id={came.customer_id}&amp;reply_to={came.id}"
    assert answer in page
    assert app.browser().get(answer.replace("&amp;", "&")).location.startswith("/email/write?")
