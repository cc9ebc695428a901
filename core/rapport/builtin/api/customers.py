"""What only customers have over the API: finding duplicates, and making several one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from uuid import UUID

from flask import Response

from rapport.builtin.api.body import arguments, object_body
from rapport.builtin.api.resource import answer, record_id
from rapport.customers import Customer
from rapport.customers.matching import find_duplicates
from rapport.customers.service import merge as merge_customers
from rapport.errors import Invalid, Problem
from rapport.http import current_actor, current_site

if TYPE_CHECKING:
    from rapport.builtin.api.routes import Route

MAX_ABSORBED = 50


def duplicates() -> Response:
    """Customers like the values sent, best first, only those within reach: asked before a new one is made."""
    arguments(())
    values = object_body([f.name for f in Customer.meta.writable])
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


def routes(route: type[Route]) -> Iterable[Route]:
    """The routes beside those that every kind of record has."""
    base = "/api/v1/customer"
    yield route("POST", f"{base}/duplicates", "customer-duplicates", duplicates, "customer.read",
                "Find customers like these values", "customer")  # fmt: skip
    yield route("POST", f"{base}/<id>/merge", "customer-merge", merge, "customer.update",
                "Make several customers one", "customer")  # fmt: skip
