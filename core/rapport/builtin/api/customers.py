"""What only customers have over the API: finding duplicates, and making several one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Response

from rapport.builtin.api.body import arguments, object_body, whole_number
from rapport.builtin.api.resource import answer, record_id
from rapport.builtin.exchange.download import download_person
from rapport.customers import Customer
from rapport.customers.erasing import erase
from rapport.customers.matching import find_duplicates
from rapport.customers.service import merge as merge_customers
from rapport.customers.service import timeline
from rapport.entities.schema import load_values
from rapport.entities.types import instant_text
from rapport.errors import Invalid, Problem
from rapport.http import current_actor, current_site
from rapport.records.reader import DEFAULT_LIMIT, MAX_LIMIT

if TYPE_CHECKING:
    from rapport.builtin.api.routes import Route

MAX_ABSORBED = 50


def duplicates() -> Response:
    """Customers like the values sent, best first, only those within reach: asked before a new one is made."""
    arguments(())
    # Loaded, so that a number written another way is the same number; what cannot be loaded is named.
    values = load_values(current_site().meta(Customer), object_body(), partial=True)
    with current_site().read(current_actor()) as reader:
        found = find_duplicates(reader, values)
    items = [{"id": str(match.id), "name": match.name, "score": match.score, "reason": match.reason} for match in found]
    return answer({"items": items})


def merge(id: str) -> Response:
    """Make the customers in `absorbed` one with this one. Doing it twice changes nothing more."""
    arguments(())
    given = object_body(("absorbed",)).get("absorbed")
    survivor = record_id(id, Customer)
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_ABSORBED:
        raise Invalid(Problem("absorbed", f"must be a list of 1 to {MAX_ABSORBED} ids of customers."))
    absorbed: list[UUID] = [record_id(str(each), Customer) for each in given]
    batch = merge_customers(current_site(), current_actor(), survivor, absorbed)
    return answer({"id": str(survivor), "batch": str(batch)})


def forget(id: str) -> Response:
    """Forget a customer for good: what is part of them is deleted, the rest refers to nobody any more."""
    arguments(())
    gone = erase(current_site(), current_actor(), record_id(id, Customer))
    return answer({"id": id, "deleted": gone})


def personal_data(id: str) -> Response:
    """Everything that is held on a customer, as a ZIP with a JSON file and the files that belong to them."""
    arguments(())
    return download_person(current_site(), current_actor(), record_id(id, Customer))


def history_of_contacts(id: str) -> Response:
    """The customer's timeline: what happened with them, the newest first, whatever plugin wrote it."""
    given = arguments(("limit", "after", "kind", "channel", "direction", "q"))
    limit = whole_number(given, "limit", DEFAULT_LIMIT, least=1, most=MAX_LIMIT)
    with current_site().read(current_actor()) as reader:
        customer = reader.get(Customer, record_id(id, Customer))
        page = timeline(
            reader, customer.id, limit=limit, after=given.get("after", ""), kind=given.get("kind", ""),
            channel=given.get("channel", ""), direction=given.get("direction", ""), words=given.get("q", ""),
        )  # fmt: skip
    items = [
        {"id": item.id, "at": instant_text(item.at), "kind": item.kind, "title": item.title, "text": item.text,
         "url": item.url}
        for item in page.items
    ]  # fmt: skip
    return answer({"items": items, "next": page.next or None})


def routes(route: type[Route]) -> Iterable[Route]:
    """The routes beside those that every kind of record has."""
    base = "/api/v1/customer"
    yield route("POST", f"{base}/duplicates", "customer-duplicates", duplicates, "customer.read",
                "Find customers like these values", "customer")  # fmt: skip
    yield route("POST", f"{base}/<id>/merge", "customer-merge", merge, "customer.update",
                "Make several customers one", "customer")  # fmt: skip
    yield route("POST", f"{base}/<id>/erase", "customer-erase", forget, "customer.delete",
                "Forget a customer for good", "customer")  # fmt: skip
    yield route("GET", f"{base}/<id>/personal-data", "customer-personal-data", personal_data, "customer.export",
                "Everything held on a customer, as a ZIP", "customer")  # fmt: skip
    yield route("GET", f"{base}/<id>/timeline", "customer-timeline", history_of_contacts, "customer.read",
                "What happened with a customer", "customer")  # fmt: skip
