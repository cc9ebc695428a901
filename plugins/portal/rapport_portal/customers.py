"""Who is looking at a page of the portal, and what they sent: for pages of this and of other plugins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar
from uuid import UUID

from flask import Response, g, request

from rapport import Actor, Customer, Entity, StoredFile, file_of, store
from rapport.http import current_actor, current_site, send_stored, speak
from rapport_portal import accounts

COOKIE = "rapport_portal"
E = TypeVar("E", bound=Entity)


def recognise() -> Actor | None:
    """The customer of the session, once a request; None when nobody is signed in."""
    if "portal_actor" not in g:
        found = accounts.signed_in(current_site(), request.cookies.get(COOKIE, ""))
        g.portal_actor = None
        if found is not None:
            g.portal_account, g.portal_actor, g.portal_by_name = found.account_id, found.actor, found.visits_by_name
            speak(found.actor)
    actor: Actor | None = g.portal_actor
    return actor


def current_customer() -> Customer:
    """The customer who is signed in, as they may see themselves. For pages that are not public."""
    if "portal_customer" not in g:
        actor = current_actor()
        assert actor.customer_id is not None
        with current_site().read(actor) as reader:
            g.portal_customer = reader.get(Customer, actor.customer_id)
    customer: Customer = g.portal_customer
    return customer


def signed_in_customer() -> Customer | None:
    """The same on a page that is open to everybody; None when nobody is signed in."""
    return None if recognise() is None else current_customer()


def typed(*names: str) -> dict[str, Any]:
    """What a form sent for these fields, and for no others; an address with its parts. Texts, for a unit to check."""
    sent: dict[str, Any] = {}
    for name in names:
        parts = {key.removeprefix(f"{name}."): request.form[key] for key in request.form if key.startswith(f"{name}.")}
        sent[name] = parts or request.form.get(name, "").strip()
    return sent


def uploaded(name: str) -> StoredFile | None:
    """A file that the customer put into a form's field, kept; None when there is none. Call it outside of a unit."""
    sent = request.files.get(f"{name}.file")
    if sent is None or not sent.filename:
        return None
    return store(current_site(), sent.stream, sent.filename, current_actor())


def send_file_of(entity: type[E], record_id: UUID, field: str) -> Response:
    """The answer with a file of a record of the customer's own; NotFound for everybody else's."""
    with current_site().read(current_actor()) as reader:
        stored = file_of(reader.session, reader.get(entity, record_id), field)
    return send_stored(stored)


def own(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of a new record that is to be the customer's."""
    return {**values, "customer_id": current_actor().customer_id}
