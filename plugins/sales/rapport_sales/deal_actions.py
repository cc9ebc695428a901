"""Buttons of quotes and orders: from the opportunity to the quote, to the answer, to the order, to delivery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rapport import Action, ActionResult, Customer, Unit, gettext, ngettext
from rapport_sales import orders, papers, quotes
from rapport_sales.entities import Opportunity
from rapport_sales.orders import Order
from rapport_sales.quotes import Quote

Values = Mapping[str, Any]


def deal_actions() -> list[Action]:
    """Quote, ask for approval, send, revise, answer; order, place, fulfil, cancel."""
    change = "sales.quote.update"
    said = [replace(Quote.meta.fields["answered_by"], readonly=False, label="Who said so", help=""),
            replace(Quote.meta.fields["answer_note"], readonly=False, help="")]  # fmt: skip
    return [
        Action("sales.opportunity", "quote", "Make a quote", "file-text", "sales.quote.create", _quote,
               applies=lambda opportunity: opportunity.closed_on is None),
        Action("sales.quote", "send", "Send", "send", change, _send, primary=True,
               applies=lambda quote: quote.status in {"draft", "approved"}),
        Action("sales.quote", "ask_approval", "Ask for approval", "rubber-stamp", change, _ask,
               applies=lambda quote: quote.status == "draft" and quote.discount > 0),
        Action("sales.quote", "order", "Make the order", "shopping-cart", "sales.order.create", _order, primary=True,
               applies=lambda quote: quote.status == "accepted"),
        Action("sales.quote", "accept", "Accepted", "circle-check", change, _accept, fields=said,
               applies=lambda quote: quote.status == "sent"),
        Action("sales.quote", "decline", "Declined", "circle-x", change, _decline, fields=said,
               applies=lambda quote: quote.status == "sent"),
        Action("sales.quote", "revise", "Revise", "versions", change, _revise,
               applies=lambda quote: quote.status in {"approval", "approved", "sent", "declined"}),
        Action("sales.order", "place", "Place the order", "circle-check", "sales.order.update", _place, primary=True,
               applies=lambda order: order.status == "draft"),
        Action("sales.order", "fulfil", "Fulfilled", "truck-delivery", "sales.order.update", _fulfil, bulk=True,
               primary=True, applies=lambda order: order.status == "placed"),
        Action("sales.order", "cancel", "Cancel the order", "circle-x", "sales.order.update", _cancel,
               applies=lambda order: order.status in {"draft", "placed"}),
    ]  # fmt: skip


def _quote(unit: Unit, records: Sequence[Opportunity], values: Values) -> ActionResult:
    made = [quotes.quote_for(unit, opportunity) for opportunity in records]
    return ActionResult(gettext("%(name)s is made: look it through, then send it.", name=made[-1].name), made[-1])


def _ask(unit: Unit, records: Sequence[Quote], values: Values) -> str:
    for quote in records:
        quotes.ask_approval(unit, quote)
    return gettext("Approval is asked for. You get a mail when it is decided.")


def _send(unit: Unit, records: Sequence[Quote], values: Values) -> str:
    for quote in records:
        papers.send_quote(unit, quote)
    if "email" in unit.site.channels:
        return gettext("The quote is on its way.")
    return gettext("The quote counts as sent. Hand the customer the PDF, or the link beside.")


def _revise(unit: Unit, records: Sequence[Quote], values: Values) -> ActionResult:
    made = [quotes.revise(unit, quote) for quote in records]
    return ActionResult(gettext("This is the next version. The one before cannot be accepted any more."), made[-1])


def _accept(unit: Unit, records: Sequence[Quote], values: Values) -> str:
    return _answer(unit, records, values, accepted=True)


def _decline(unit: Unit, records: Sequence[Quote], values: Values) -> str:
    return _answer(unit, records, values, accepted=False)


def _answer(unit: Unit, records: Sequence[Quote], values: Values, *, accepted: bool) -> str:
    for quote in records:
        unit.update(quote, {})
        by = str(values.get("answered_by") or "") or str(unit.session.get(Customer, quote.customer_id) or "")
        quotes.answer(unit, quote, accepted=accepted, by=by, note=str(values.get("answer_note") or ""), task=False)
    return gettext("Accepted: make the order now.") if accepted else gettext("Declined.")


def _order(unit: Unit, records: Sequence[Quote], values: Values) -> ActionResult:
    made = [quotes.order_of(unit, quote) for quote in records]
    return ActionResult(gettext("%(number)s is made. Place it when it is complete.", number=made[-1].number), made[-1])


def _place(unit: Unit, records: Sequence[Order], values: Values) -> str:
    stopped = [problem for order in records for problem in orders.place(unit, order)]
    if not stopped:
        return ngettext("The order is placed.", "%(num)s orders are placed.", len(records))
    reasons = " ".join(orders.said(records[0], problem) for problem in stopped)
    return gettext("Not placed: %(reasons)s", reasons=reasons)


def _fulfil(unit: Unit, records: Sequence[Order], values: Values) -> str:
    todo = [order for order in records if order.status == "placed"]
    for order in todo:
        orders.fulfil(unit, order)
    return ngettext("%(num)s order is fulfilled.", "%(num)s orders are fulfilled.", len(todo))


def _cancel(unit: Unit, records: Sequence[Order], values: Values) -> str:
    for order in records:
        orders.cancel(unit, order)
    return gettext("The order is cancelled.")
