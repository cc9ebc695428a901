"""Articles: found where they help, kept in versions and languages; and what customers read and ask in the portal."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rapport_portal import Account
from rapport_portal.accounts import enter, new_link
from rapport_service import Article, Case
from rapport_service.knowledge import Version

from rapport import Customer, system
from rapport.testing import Actors, TestApp

pytestmark = pytest.mark.plugins("service", "portal")


def signed_in(app: TestApp, customer: Customer) -> Any:
    with app.site.write(system("test")) as unit:
        token = new_link(unit, unit.create(Account, {"customer_id": customer.id}))
    browser = app.flask.test_client()
    browser.set_cookie("rapport_portal", enter(app.site, token) or "", path="/portal/")
    return browser


def make(app: TestApp, entity: Any, **values: Any) -> Any:
    with app.site.write(app.admin) as unit:
        return unit.create(entity, values)


def test_articles_are_found_inserted_translated_and_brought_back(app: TestApp, actors: Actors) -> None:
    ring = make(app, Article, title="A leaking skimmer", body="Turn the ring.", status="published", audience="portal")
    french = make(app, Article, title="Un skimmer qui fuit", body="Tournez.", status="published", language="fr",
                  of_id=ring.id, audience="portal")  # fmt: skip
    make(app, Article, title="Draft about the skimmer", body="Not yet")
    make(app, Article, title="Opening hours", body="Nine to five", status="published")
    ada = app.create_customer(name="Ada", language="en")
    amelie = app.create_customer(name="Amélie", language="fr")
    agent = app.browser(actors.member)
    for customer, wanted, other in ((ada, ring, french), (amelie, french, ring)):
        case = make(app, Case, customer_id=customer.id, subject="My skimmer leaks, leaking all day")
        found = agent.get(f"/service.case/{case.id}/help").get_data(as_text=True)
        assert wanted.title in found
        assert other.title not in found
        assert "Draft about" not in found
        assert "Opening hours" not in found
        text = agent.get(f"/service.case/{case.id}/text?article={wanted.id}&text=Dear").get_data(as_text=True)
        assert f"Dear\n\n{wanted.body}" in text

    # Every text is a version, and an earlier one can be made the text again.
    with app.site.write(actors.member) as unit:
        unit.update(unit.get(Article, ring.id), {"body": "Buy a new one."})
    with app.site.read(app.admin) as reader:
        versions = reader.all(Version, Version.article_id == ring.id, order=Version.number)
    assert [(each.number, each.body) for each in versions] == [(1, "Turn the ring."), (2, "Buy a new one.")]
    assert versions[1].user_id == actors.member.id
    assert app.submit(agent, f"/service.version/{versions[0].id}/do/restore", {}).status_code == 302
    with app.site.read(app.admin) as reader:
        assert (reader.get(Article, ring.id).body, reader.get(Article, ring.id).edition) == ("Turn the ring.", 3)

    # Customers read what is for them, signed in or not, and say whether it helped: each once.
    visitor, theirs = app.flask.test_client(), signed_in(app, amelie)
    assert "A leaking skimmer" in visitor.get("/portal/service/articles?q=skimmer").get_data(as_text=True)
    listed = theirs.get("/portal/service/articles").get_data(as_text=True)
    assert "Un skimmer qui fuit" in listed
    for hidden in ("A leaking skimmer", "Opening hours", "Draft"):
        assert hidden not in listed
    for helpful in ("0", "1", "1"):
        assert theirs.post(f"/portal/service/articles/{french.id}", data={"helpful": helpful}).status_code == 302
    assert visitor.post(f"/portal/service/articles/{french.id}", data={"helpful": "0"}).status_code == 302
    assert app.submit(agent, f"/service.article/{french.id}/do/unhelpful", {}).status_code == 302
    with app.site.read(app.admin) as reader:
        french = reader.get(Article, french.id)
    assert (french.helpful, french.unhelpful) == (1, 1)


def test_a_customer_asks_follows_answers_and_closes_their_own_requests_only(app: TestApp, actors: Actors) -> None:
    ada, ben = app.create_customer(name="Ada"), app.create_customer(name="Ben")
    theirs, other = signed_in(app, ada), signed_in(app, ben)
    sent = {"subject": "It leaks", "description": "All over the floor", "kind": "problem", "priority": "urgent",
            "status": "solved", "customer_id": str(ben.id), "file.file": (io.BytesIO(b"wet"), "floor.jpg")}  # fmt: skip
    opened = theirs.post("/portal/service/", data=sent)
    assert opened.status_code == 302
    url = opened.headers["Location"]
    app.settle()
    with app.site.read(app.admin) as reader:
        (case,) = reader.all(Case)
    assert (case.customer_id, case.kind, case.priority, case.status, case.channel) == (
        ada.id, "problem", "normal", "new", "portal",
    )  # fmt: skip
    assert theirs.post("/portal/service/", data={"subject": "Only this"}).status_code == 422

    agent = app.browser(actors.member)
    assert "All over the floor" in agent.get(f"/service.case/{case.id}").get_data(as_text=True)
    app.submit(agent, f"/service.case/{case.id}/answer", {"what": "note", "text": "A difficult one"})
    app.submit(
        agent, f"/service.case/{case.id}/answer", {"what": "answer", "text": "Turn the ring.", "status": "pending"}
    )
    app.settle()
    page = theirs.get(url).get_data(as_text=True)
    assert "Turn the ring." in page
    assert "A difficult one" not in page
    assert "Waiting for you" in theirs.get("/portal/").get_data(as_text=True)
    photo = next(part for part in page.split('"') if "/file/" in part)
    with theirs.get(photo) as given:
        assert given.data == b"wet"

    # Nobody else's page has it, whichever way is tried.
    for asked in (url, photo):
        assert other.get(asked).status_code == 404
    assert other.post(url, data={"text": "Let me in"}).status_code == 404
    assert other.post(f"{url}/close").status_code == 404
    assert "It leaks" not in other.get("/portal/service/").get_data(as_text=True)

    assert theirs.post(url, data={"text": "It still leaks"}).status_code == 302
    app.settle()
    with app.site.read(app.admin) as reader:
        assert reader.get(Case, case.id).status == "open"
    assert theirs.post(f"{url}/close").status_code == 302
    with app.site.read(app.admin) as reader:
        assert reader.get(Case, case.id).status == "closed"


@pytest.mark.plugins("service")
def test_without_the_portal_the_help_desk_works_all_the_same(app: TestApp) -> None:
    assert app.flask.test_client().get("/portal/service/").status_code == 404
    assert app.client.get("/api/v1/service.case").status_code == 200
