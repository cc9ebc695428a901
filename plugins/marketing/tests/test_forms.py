"""Web forms: filled in by strangers, confirmed by a mail, of no use to robots."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from rapport_marketing import CustomerList, Form, ListMember, Response, Submission
from sqlalchemy import select

from rapport import Consent, Customer
from rapport.jobs import job_table

from .conftest import Marketing

PAGE = "/marketing/form/pool-check"


def mails(marketing: Any) -> list[str]:
    """What was mailed, the oldest first."""
    with marketing.app.site.db.reading.connect() as connection:
        rows = connection.scalars(select(job_table.c.arguments).order_by(job_table.c.id))
        return [row["text"] for row in rows if "text" in row]


def word_in(page: Any) -> str:
    """The signed word that a page carries."""
    found = re.search(r'name="page" value="([^"]+)"', page.get_data(as_text=True))
    assert found is not None
    return found[1]


def test_a_stranger_becomes_a_customer_by_pressing_the_button_that_a_mail_leads_to(marketing: Any):
    app = marketing.app
    app.site.config = dataclasses.replace(app.site.config, mail_url="smtp://127.0.0.1:9")
    marketing.setting("marketing.form_seconds", 0)
    campaign, wanted = marketing.campaign(), marketing.make(CustomerList, name="From the web")
    bad = {"title": "x", "fields": ["email", "owner_id"]}
    assert app.client.post("/api/v1/marketing.form", json=bad).status_code == 422
    form = marketing.make(
        Form, title="Pool check!", fields=["name", "email", "city", "message"], consent_text="Yes, write to me.",
        campaign_id=campaign.id, list_id=wanted.id, tags=["web"], embedded_at="https://pools.example",
    )  # fmt: skip
    web = app.flask.test_client()
    page = web.get(PAGE)
    assert "frame-ancestors https://pools.example" in page.headers["Content-Security-Policy"]

    def token() -> str:
        return word_in(web.get(PAGE))

    known = app.create_customer(name="Bob", email="bob@example.com")
    typed = {"name": "Ada", "email": "Ada@Example.com", "city": "Ulm", "message": "Hello", "tags": "vip", "agree": "1"}
    assert "Please tick it" in web.post(PAGE, data={**typed, "agree": "", "page": token()}).get_data(as_text=True)
    assert web.post(PAGE, data={**typed, "email": "no", "page": token()}).status_code == 422
    assert web.post(PAGE, data={**typed, "page": "made up"}).status_code == 422
    web.post(PAGE, data={**typed, "website": "http://spam", "page": token()})
    marketing.setting("marketing.form_seconds", 30)
    web.post(PAGE, data={**typed, "page": token()})  # no person is that quick
    marketing.setting("marketing.form_seconds", 0)
    assert marketing.all(Submission) == []
    once = token()
    for _again in range(2):
        assert "One step more" in web.post(PAGE, data={**typed, "page": once}).get_data(as_text=True)
    web.post(PAGE, data={**typed, "name": "Mallory", "email": "bob@example.com", "page": token()})
    assert len(marketing.all(Submission)) == 2
    assert len(marketing.all(Customer)) == 1  # nobody is a customer before they confirm

    links = re.findall(r"http://localhost(/marketing/form/confirm/\S+)", "\n".join(mails(marketing)))
    assert len(links) == 2
    for link in links:
        assert "Was it you" in web.get(link).get_data(as_text=True)
        assert web.get(link + "x").status_code == 404
    assert {each.state for each in marketing.all(Submission)} == {"waiting"}
    for link in (*links, links[0]):
        assert "It is confirmed" in web.post(link).get_data(as_text=True)
    (ada,) = marketing.all(Customer, Customer.email == "ada@example.com")
    assert (ada.name, ada.address, ada.tags, ada.source) == ("Ada", {"city": "Ulm"}, ("web",), "Pool check!")
    assert marketing.again(known).name == "Bob"
    assert len(marketing.all(Customer)) == len(marketing.all(ListMember)) == len(marketing.all(Response)) == 2
    for consent in marketing.all(Consent):
        assert (consent.state, consent.given_by, consent.source) == ("granted", "form", "Pool check!")
        assert consent.proof.startswith("Yes, write to me.\nFilled in ")
        assert "Confirmed " in consent.proof
    side = app.browser().get(f"/marketing.form/{form.id}").get_data(as_text=True)
    assert "could not show this" not in side
    assert "iframe" in side


def test_what_nobody_confirms_is_forgotten(marketing: Any, clock: Any):
    marketing.setting("marketing.form_seconds", 0)
    marketing.make(Form, title="News", asks_consent=False)
    web = marketing.app.flask.test_client()
    token = word_in(web.get("/marketing/form/news"))
    web.post("/marketing/form/news", data={"email": "ada@example.com", "page": token})
    assert len(marketing.all(Submission)) == 1
    clock.forward(days=15)
    marketing.run("marketing.forget")
    assert marketing.all(Submission) == []


def test_beside_sales_whoever_confirms_a_form_is_a_lead_of_the_campaign(make_app: Any):
    with make_app(plugins=["marketing", "sales"]) as app:
        story = Marketing(app)
        story.setting("marketing.form_seconds", 0)
        campaign = story.campaign()
        story.make(Form, title="Call me", double_opt_in=False, consent_text="Call me.", campaign_id=campaign.id,
                   fields=["name", "email", "message"])  # fmt: skip
        web = app.flask.test_client()
        typed = {"name": "Ada", "email": "ada@example.com", "message": "At noon", "agree": "1"}
        web.post("/marketing/form/call-me", data={**typed, "page": word_in(web.get("/marketing/form/call-me"))})
        (lead,) = app.client.get("/api/v1/sales.lead").get_json()["items"]
        assert (lead["name"], lead["campaign"], lead["note"], lead["source"]) == (
            "Ada",
            "SKIMMER",
            "At noon",
            "Call me",
        )
        assert lead["customer_id"]
