"""What customers do for themselves in the portal: register a product, ask for a return, answer a survey, suggest.

The bridge `with_portal.py` brings these pages. Each takes the fields it names from a form, whatever else is sent, and
makes records of the customer who is signed in alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import redirect, render_template, request
from rapport_products import Product
from werkzeug.wrappers import Response

from rapport import Actor, Conflict, Customer, Entity, Field, Invalid, Reader, system
from rapport import gettext as _
from rapport.http import current_actor, current_site
from rapport_service import surveys
from rapport_service.registration import Registration
from rapport_service.returns import STATUSES as RETURN_STATUSES
from rapport_service.returns import Return
from rapport_service.suggestions import STATUSES as SUGGESTION_STATUSES
from rapport_service.suggestions import Suggestion
from rapport_service.surveys import Invitation

HOME = "/portal/service/"
REGISTERED = ("product_id", "serial", "purchased_on", "bought_at", "order_reference")
RETURNED = ("reason", "wish", "note")
SUGGESTED = ("title", "text", "about")
MOST_PRODUCTS = 500
Answer = Response | str | tuple[str, int]
Errors = Mapping[str, Sequence[str]]


def products() -> Answer:
    """The customer's products with their warranty, and the form that registers another."""
    errors: Errors = {}
    if request.method == "POST":
        errors = _make(Registration, REGISTERED, {"source": "portal"})
        if not errors:
            return redirect(f"{HOME}products?done=1")
    with current_site().read(current_actor()) as reader:
        mine = (Registration.customer_id == current_actor().customer_id, Registration.archived_at.is_(None))
        found = reader.all(Registration, *mine, order=Registration.purchased_on.desc(), limit=100)
        today = reader.today()
    with current_site().read(_ours()) as reader:
        sold = reader.all(Product, Product.active.is_(True), Product.archived_at.is_(None), order=Product.name,
                          limit=MOST_PRODUCTS)  # fmt: skip
    rows = [{"it": each, "covered": each.covered(today)} for each in found]
    return _page("products", Registration, REGISTERED, errors, rows=rows,
                 products=[(str(each.id), each.name) for each in sold])  # fmt: skip


def returns() -> Answer:
    """What the customer has sent back or wants to, and how far it is."""
    with current_site().read(current_actor()) as reader:
        mine = (Return.customer_id == current_actor().customer_id, Return.archived_at.is_(None))
        found = reader.all(Return, *mine, order=Return.id.desc(), limit=50)
    with current_site().read(_ours()) as reader:
        names = reader.titles(Product, [each.product_id for each in found])
    labels = {choice.value: choice for choice in RETURN_STATUSES}
    rows = [{"it": each, "product": names.get(each.product_id, ""), "status": labels[each.status]} for each in found]
    return _page("returns", Return, (), {}, rows=rows)


def ask_return(registration_id: UUID) -> Answer:
    """Ask to send a product of one's own back."""
    with current_site().read(current_actor()) as reader:
        had = reader.get(Registration, registration_id)  # not found where it is somebody else's
    errors: Errors = {}
    if request.method == "POST":
        errors = _make(Return, RETURNED, {"registration_id": had.id, "product_id": had.product_id})
        if not errors:
            return redirect(f"{HOME}returns?done=1")
    return _page("return", Return, RETURNED, errors, had=had)


def suggestions() -> Answer:
    """What the customer suggested and what became of it, and the form for another."""
    errors: Errors = {}
    if request.method == "POST":
        errors = _make(Suggestion, SUGGESTED, {})
        if not errors:
            return redirect(f"{HOME}suggestions?done=1")
    with current_site().read(current_actor()) as reader:
        mine = (Suggestion.customer_id == current_actor().customer_id, Suggestion.archived_at.is_(None))
        found = reader.all(Suggestion, *mine, order=Suggestion.id.desc(), limit=50)
    labels = {choice.value: choice for choice in SUGGESTION_STATUSES}
    rows = [{"it": each, "status": labels[each.status]} for each in found]
    return _page("suggestions", Suggestion, SUGGESTED, errors, rows=rows)


def block(reader: Reader, customer: Customer) -> Mapping[str, Any]:
    """What waits for the customer on their first page: surveys to answer, and their products."""
    today = reader.today()
    asked = reader.all(
        Invitation, Invitation.customer_id == customer.id, Invitation.state.in_(["call", "sent", "refused"]),
        Invitation.expires_on >= today, Invitation.archived_at.is_(None), order=Invitation.id.desc(), limit=3,
    )  # fmt: skip
    mine = (Registration.customer_id == customer.id, Registration.archived_at.is_(None))
    found = reader.all(Registration, *mine, order=Registration.purchased_on.desc(), limit=3)
    return {
        "surveys": [{"it": each, "url": f"{surveys.path(reader.site, each)}?from=portal"} for each in asked],
        "products": [{"it": each, "covered": each.covered(today)} for each in found],
    }


def _make(entity: type[Entity], names: Sequence[str], facts: Mapping[str, Any]) -> Errors:
    """Make a record of the customer from the named fields of the form; what is wrong, by field."""
    sent = {name: request.form.get(name, "").strip() for name in names}
    given = {name: value for name, value in sent.items() if value}
    try:
        with current_site().write(_ours()) as unit:
            unit.create(entity, {**given, **facts, "customer_id": current_actor().customer_id})
    except Invalid as refused:
        return {each.field or "": [_(each.message)] for each in refused.problems}
    except Conflict as refused:
        return {"": [str(refused)]}
    return {}


def _ours() -> Actor:
    """The customer may not look into what we sell; their page does it for them, and the log keeps their name."""
    return system(current_actor().name).through("portal")


def _page(name: str, entity: type[Entity], names: Sequence[str], errors: Errors, **facts: Any) -> Answer:
    fields: list[Field] = [entity.meta.fields[each] for each in names]
    text = render_template(
        f"service/portal_{name}.html", fields=fields, typed=request.form if errors else {}, errors=errors,
        done=request.args.get("done") == "1", **facts,
    )  # fmt: skip
    return (text, 422) if errors else text
