"""The customer's own page: what they want to hear of, and by which way. Who has the link needs no password."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, render_template, request
from flask.blueprints import BlueprintSetupState

from rapport.access import system
from rapport.builtin.web.context import speak_to
from rapport.customers import Customer
from rapport.http import current_site, public
from rapport.i18n.catalogs import LANGUAGES
from rapport.interactions import preferences

ACTOR = system("preference page")
MAX_PROOF = 300


def make_blueprint() -> Blueprint:
    """Pages of their own: opening them changes nothing, since scanners of mail open links too."""
    pages = Blueprint("preferences", __name__)
    base = f"{preferences.PAGE}<token>"
    pages.add_url_rule(base, view_func=page, methods=["GET"])
    pages.add_url_rule(base, view_func=save, methods=["POST"])
    pages.add_url_rule(f"{base}/unsubscribe", view_func=ask, methods=["GET"])
    pages.add_url_rule(f"{base}/unsubscribe", view_func=unsubscribe, methods=["POST"])
    pages.record_once(_prepare_app)
    return pages


def _prepare_app(state: BlueprintSetupState) -> None:
    # There is no session here that another site could misuse: all rights are in the link. Mail programs post to it too.
    app: Any = state.app
    app.extensions["csrf"].exempt(state.blueprint)


@public
def page(token: str) -> str | tuple[str, int]:
    """What the customer chose so far."""
    return _page(token)


@public
def save(token: str) -> str | tuple[str, int]:
    """Keep what they chose now."""
    customer_id = _known(token)
    if customer_id is None:
        return _unknown()
    wanted = set() if request.form.get("nothing") else set(request.form.getlist("wanted"))
    with current_site().write(ACTOR) as unit:
        preferences.choose(unit, unit.get(Customer, customer_id), wanted, _proof())
    return _page(token, saved=True)


@public
def ask(token: str) -> str | tuple[str, int]:
    """The link of a mail program that does not know one click: one button more."""
    return _page(token, asked=(request.args.get("purpose", ""), request.args.get("channel", "")))


@public
def unsubscribe(token: str) -> str | tuple[str, int]:
    """One click, in the mail program or on our page: no more of this."""
    customer_id = _known(token)
    if customer_id is None:
        return _unknown()
    with current_site().write(ACTOR) as unit:
        customer = unit.get(Customer, customer_id)
        preferences.decline(
            unit, customer, request.args.get("purpose", ""), request.args.get("channel", ""), _proof()
        )  # fmt: skip
    return _page(token, saved=True)


def _known(token: str) -> UUID | None:
    """Whose link it is. A customer who was merged has the page of the one they are now; who is gone has none."""
    site = current_site()
    customer_id = preferences.customer_of(site, token)
    with site.read(ACTOR) as reader:
        for _step in range(10):
            customer = reader.session.get(Customer, customer_id) if customer_id is not None else None
            if customer is None or customer.merged_into_id is None:
                break
            customer_id = customer.merged_into_id
    return None if customer is None or customer.archived_at is not None else customer.id


def _page(token: str, *, saved: bool = False, asked: tuple[str, str] = ("", "")) -> str | tuple[str, int]:
    site, customer_id = current_site(), _known(token)
    if customer_id is None:
        return _unknown()
    with site.read(ACTOR) as reader:
        customer = reader.get(Customer, customer_id)
        speak_to(request.values.get("language", "") or customer.language)
        choices = preferences.choices(site, reader.session, customer)
        silent = preferences.is_silent(reader.session, customer)
    purposes: dict[str, list[preferences.Choice]] = {}
    for choice in choices:
        purposes.setdefault(choice.purpose.name, []).append(choice)
    return render_template(
        "pages/preferences.html", known=True, customer=customer, purposes=list(purposes.values()), saved=saved,
        silent=silent, base=preferences.PAGE + token, others=list(LANGUAGES.values()),
        asked=next((each for each in choices if (each.purpose.name, each.channel.name) == asked), None),
    )  # fmt: skip


def _unknown() -> tuple[str, int]:
    """The same for what we never made, and for who is not here any more."""
    return render_template("pages/preferences.html", known=False), 404


def _proof() -> str:
    """By what one can show, years later, that they said so."""
    return f"{request.remote_addr}, {request.headers.get('User-Agent', '')}"[:MAX_PROOF]
