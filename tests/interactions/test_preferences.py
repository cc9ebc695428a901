"""The customer's own page: opened by a link, in their language, and no scanner of mail changes anything there."""

from __future__ import annotations

from sqlalchemy import select

from rapport import Consent
from rapport.customers.service import merge
from rapport.interactions import preferences
from rapport.records.log import change_log
from rapport.testing.paper import sent
from tests.interactions.conftest import Desk


def page_of(desk: Desk, customer) -> str:
    return preferences.link(desk.site, customer.id).removeprefix("http://localhost")


def words_of(desk: Desk, customer) -> list[tuple[str, str, str]]:
    with desk.site.read(desk.app.admin) as reader:
        said = reader.all(Consent, Consent.customer_id == customer.id, order=(Consent.at, Consent.id))
    return [(each.channel, each.state, each.given_by) for each in said]


def test_every_message_that_may_be_declined_carries_the_link_and_the_one_click(desk: Desk):
    ada = desk.person("Ada", language="fr")
    desk.write(ada, body="Hello", html="<body><p>Hello</p></body>")
    desk.write(ada, purpose="service", body="Your order is on its way.")
    desk.write(ada, body="Choose here: {preferences}")
    desk.settle()
    news, order, chosen = sorted(sent(desk.site), key=lambda slip: slip["message"])
    url = preferences.link(desk.site, ada.id)
    assert news["preferences_url"] == url
    assert news["body"].endswith(f"{url}\n")
    assert news["html"].endswith(f'<a href="{url}">{url}</a></p></body>')
    assert news["headers"] == {
        "List-Unsubscribe": f"<{url}/unsubscribe?purpose=marketing&channel=slip>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }
    assert (order["body"], order["headers"]) == ("Your order is on its way.", {})
    assert chosen["body"] == f"Choose here: {url}"


def test_one_click_unsubscribes_and_looking_changes_nothing(desk: Desk):
    ada = desk.person("Ada", agreed=False)
    desk.say(ada, "granted")
    browser, url = desk.app.flask.test_client(), page_of(desk, ada)
    with desk.site.db.read() as connection:
        before = len(connection.execute(select(change_log.c.seq)).all())
    one_click = f"{url}/unsubscribe?purpose=marketing&channel=slip"
    for address in (url, one_click, url + "?language=fa"):
        assert browser.get(address).status_code == 200
    with desk.site.db.read() as connection:
        assert len(connection.execute(select(change_log.c.seq)).all()) == before
    # As mail programs send it: no cookie, no token of a form.
    answer = browser.post(one_click, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    assert words_of(desk, ada) == [("", "granted", "in_person"), ("slip", "denied", "preferences")]
    assert browser.post(one_click, data={"List-Unsubscribe": "One-Click"}).status_code == 200
    assert len(words_of(desk, ada)) == 2, "twice is once"
    assert desk.write(ada).reason == "They declined “News and offers”."
    assert browser.post(f"{url}/unsubscribe?purpose=service&channel=slip").status_code == 200
    assert len(words_of(desk, ada)) == 2, "what they ordered cannot be declined"


def test_what_they_choose_is_kept_with_its_proof(desk: Desk):
    ada = desk.person("Ada", agreed=False, address={"street": "1 Way"})
    browser, url = desk.app.flask.test_client(), page_of(desk, ada)
    assert "checked" not in browser.get(url).get_data(as_text=True)
    page = browser.post(url, data={"wanted": ["marketing:letter"]}, headers={"User-Agent": "Ada's phone"})
    assert page.get_data(as_text=True).count("checked") == 1
    assert words_of(desk, ada) == [("letter", "granted", "preferences")]
    with desk.site.read(desk.app.admin) as reader:
        assert reader.all(Consent)[0].proof == "127.0.0.1, Ada's phone"
    browser.post(url, data={"wanted": ["marketing:letter"], "nothing": "1"})
    assert words_of(desk, ada)[-1] == ("letter", "denied", "preferences")


def test_the_page_speaks_the_customers_language(desk: Desk):
    tara = desk.person("Tara", language="fa")
    browser = desk.app.flask.test_client()
    page = browser.get(page_of(desk, tara), headers={"Accept-Language": "fr"}).get_data(as_text=True)
    assert '<html lang="fa" dir="rtl"' in page
    assert '<html lang="he"' in browser.get(page_of(desk, tara) + "?language=he").get_data(as_text=True)


def test_an_unknown_link_says_nothing_and_a_merged_customer_is_the_one_they_are_now(desk: Desk):
    ada, twin = desk.person("Ada"), desk.person("Twin", agreed=False, email="twin@example.com")
    old = page_of(desk, twin)
    forged = old.rpartition(".")[0] + "." + page_of(desk, ada).rpartition(".")[2]  # one link's signature on another
    gone = desk.person("Gone", agreed=False)
    with desk.site.write(desk.app.admin) as unit:
        unit.archive(unit.get(type(gone), gone.id))
    browser = desk.app.flask.test_client()
    unknown = [browser.get(address) for address in (forged, "/preferences/nobody", page_of(desk, gone))]
    assert [answer.status_code for answer in unknown] == [404, 404, 404]
    assert len({answer.get_data() for answer in unknown}) == 1
    assert browser.post(forged, data={"wanted": ["marketing:slip"]}).status_code == 404
    merge(desk.site, desk.app.admin, ada.id, [twin.id])
    assert "Hello Ada" in browser.get(old).get_data(as_text=True)
