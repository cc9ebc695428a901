"""From the opportunity to the quote, to the customer's answer, to the order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from rapport_products import Product
from rapport_sales import Line, Opportunity, Order, OrderLine, Quote, QuoteLine, papers

from rapport import Invalid, Message, Task
from rapport.workflows import Approval
from rapport.workflows.links import decision_links

PAGE = re.compile(r"/sales/quote/[\w.-]+")


def press(app: Any, record: Any, action: str, **values: Any) -> Any:
    """Press a button of a record's page, as the administrator."""
    known = app.site.actions[f"{record.meta.name}:{action}"]
    with app.site.write(app.admin) as unit:
        return known.run(unit, [unit.get(type(record), record.id)], values)


def fresh(app: Any, record: Any) -> Any:
    with app.site.read(app.admin) as reader:
        return reader.get(type(record), record.id)


def test_a_quote_is_made_of_an_opportunity_sent_accepted_by_its_link_and_becomes_an_order(sales: Any):
    app = sales.app
    panel = sales.make(Product, name="Panel", price="100", cost="60")
    ada = app.create_customer(name="آدا", email="ada@example.com", language="fa", address={"city": "Tehran"})
    deal = sales.deal(customer_id=ada.id, campaign="SPRING")
    sales.make(Line, opportunity_id=deal.id, product_id=panel.id, quantity=5, discount=10)
    press(app, deal, "quote")
    with app.site.read(app.admin) as reader:
        (quote,) = reader.all(Quote)
        (line,) = reader.all(QuoteLine)
    assert re.fullmatch(r"Q-\d{4}-0001", quote.name)
    assert (quote.total, quote.regular, quote.discount, quote.cost) == (450, 500, 10, 300)
    assert (quote.campaign, quote.language, quote.subject) == ("SPRING", "fa", "Roof")
    assert line.unit_cost == 60
    assert quote.valid_until is not None
    browser, stranger = app.browser(app.admin), app.flask.test_client()
    link = PAGE.search(papers.link(app.site, quote))[0]  # type: ignore[index]
    assert stranger.get(link).status_code == 404, "a draft is nobody's business"
    assert browser.get(f"/sales/quotes/{quote.id}/pdf").data[:5] == b"%PDF-"
    assert stranger.get(f"/sales/quotes/{quote.id}/pdf").status_code in {302, 401}

    press(app, quote, "send")
    app.settle()
    assert fresh(app, quote).file is not None
    seen = stranger.get(link)
    page = seen.get_data(as_text=True)
    assert 'dir="rtl"' in page
    assert "۴۵۰" in page
    assert "۳۰۰" not in page, "what it costs us is not told"
    assert stranger.get(f"{link}/pdf").data[:5] == b"%PDF-"
    assert fresh(app, quote).status == "sent", "looking changes nothing"
    assert stranger.get(f"{link[:-3]}xyz").status_code == 404
    assert stranger.post(link, data={"answer": "accept", "by": ""}).status_code == 422
    done = stranger.post(link, data={"answer": "accept", "by": "Ada L."})
    assert done.status_code == 200
    assert stranger.post(link, data={"answer": "decline", "by": "Eve"}).status_code == 422
    quote = fresh(app, quote)
    assert (quote.status, quote.answered_by, quote.answered_from) == ("accepted", "Ada L.", "127.0.0.1")
    with app.site.read(app.admin) as reader:
        assert any("accepted" in task.title for task in reader.all(Task))

    press(app, quote, "order")
    press(app, quote, "order")
    with app.site.read(app.admin) as reader:
        (order,) = reader.all(Order)
        (ordered,) = reader.all(OrderLine)
        won = reader.get(Opportunity, deal.id)
    assert (order.total, order.cost, order.campaign, order.quote_id) == (450, 300, "SPRING", quote.id)
    assert (ordered.quantity, ordered.total) == (5, 450)
    assert (won.amount, won.closed_on is not None) == (450, True)
    shown = browser.get(f"/customer/{ada.id}").get_data(as_text=True)
    assert "Quote sent" in shown
    assert "Quote accepted" in shown


def test_a_revision_takes_the_place_of_what_was_sent_and_numbers_go_on_without_gaps(sales: Any, clock: Any):
    app = sales.app
    ada = app.create_customer(name="Ada", email="ada@example.com")
    first = sales.make(Quote, customer_id=ada.id, subject="Roof")
    with pytest.raises(Invalid):
        sales.make(Quote, customer_id=ada.id, currency="nonsense")
    sales.make(QuoteLine, quote_id=first.id, description="Work", price="100")
    press(app, first, "send")
    app.settle()
    with pytest.raises(Invalid, match="is not a draft any more"):
        sales.make(QuoteLine, quote_id=first.id, description="More", price="1")
    with pytest.raises(Invalid, match="Revise it"):
        sales.change(fresh(app, first), terms="Pay at once")
    press(app, first, "revise")
    with app.site.read(app.admin) as reader:
        second = next(each for each in reader.all(Quote) if each.revision == 2)
    assert (second.name, second.total, second.status) == (f"{first.number}/2", 100, "draft")
    second_quote = sales.make(Quote, customer_id=ada.id)
    assert second_quote.number.endswith("-0002")

    old, new = (PAGE.search(papers.link(app.site, each))[0] for each in (first, second))  # type: ignore[index]
    visitor = app.flask.test_client()
    assert "newer version" in visitor.get(old).get_data(as_text=True)
    assert visitor.post(old, data={"answer": "accept", "by": "Ada"}).status_code == 422
    press(app, second, "send")
    assert 'value="accept"' in visitor.get(new).get_data(as_text=True)
    clock.forward(days=31)
    assert 'value="accept"' not in visitor.get(new).get_data(as_text=True)
    assert visitor.post(new, data={"answer": "accept", "by": "Ada"}).status_code == 422
    assert fresh(app, second).status == "sent"


def test_a_large_discount_goes_out_only_after_a_manager_has_approved_it_from_the_mail(sales: Any):
    app = sales.app
    boss = app.user("Boss", roles=["manager"])
    ada = app.create_customer(name="Ada")
    quote = sales.make(Quote, customer_id=ada.id)
    panel = sales.make(Product, name="Panel", price="100")
    sales.make(QuoteLine, quote_id=quote.id, product_id=panel.id, price="70")  # a lower price is a discount, too
    assert fresh(app, quote).discount == 30
    with pytest.raises(Invalid, match="ask for approval before it is sent"):
        press(app, quote, "send")
    press(app, quote, "ask_approval")
    app.settle()
    with app.site.read(app.admin) as reader:
        question = next(each for each in reader.all(Approval) if each.owner_id == boss.id)
        link = decision_links(app.site, question, reader.get(Quote, quote.id).version)["approved"]
    assert "30.00 % discount?" in question.title
    assert fresh(app, quote).status == "approval"
    stranger = app.flask.test_client()
    page = stranger.get(link).get_data(as_text=True)  # the link stands in the mail to the manager
    token = page.split('name="csrf_token" value="', 1)[1].split('"', 1)[0]
    stranger.post(link, data={"csrf_token": token})
    app.settle()
    assert fresh(app, quote).status == "approved"
    press(app, quote, "send")
    assert fresh(app, quote).status == "sent"


@pytest.mark.plugins("email", "sales")
def test_the_quote_is_mailed_with_its_paper(app: Any):
    with app.site.write(app.admin) as unit:
        ada = unit.create(type(app.create_customer(name="Eve")), {"name": "Ada", "email": "ada@example.com"})
        quote = unit.create(Quote, {"customer_id": ada.id, "subject": "Roof"})
        unit.create(QuoteLine, {"quote_id": quote.id, "description": "Work", "price": "100"})
    press(app, quote, "send")
    app.settle()
    with app.site.read(app.admin) as reader:
        (message,) = reader.all(Message)
    assert message.subject == f"Quote {quote.name}: Roof"
    assert PAGE.search(message.body)
    assert message.about_id == quote.id
