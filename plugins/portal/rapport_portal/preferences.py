"""What a customer wants to hear of, and whether their visits may be counted by name: one page, at any hour."""

from __future__ import annotations

from flask import g, redirect, render_template, request
from werkzeug.wrappers import Response

from rapport import Customer, system
from rapport.http import current_actor, current_site, needs
from rapport.interactions import preferences
from rapport_portal.customers import current_customer

MAX_PROOF = 300


@needs("")
def page() -> str | Response:
    """The same choices as behind the link in every message, for who has no message at hand."""
    site, customer = current_site(), current_customer()
    if request.method == "POST":
        wanted = set() if request.form.get("nothing") else set(request.form.getlist("wanted"))
        with site.write(system(current_actor().name).through("portal")) as unit:
            preferences.choose(unit, unit.get(Customer, customer.id), wanted, _proof())
        return redirect("/portal/preferences?saved=1")
    with site.read(system("portal")) as reader:
        choices = preferences.choices(site, reader.session, customer)
        silent = preferences.is_silent(reader.session, customer)
    purposes: dict[str, list[preferences.Choice]] = {}
    for choice in choices:
        purposes.setdefault(choice.purpose.name, []).append(choice)
    return render_template(
        "portal/preferences.html", purposes=list(purposes.values()), silent=silent, saved=request.args.get("saved"),
        by_name=g.get("portal_by_name"), counted=site.settings.get("portal.count_visits"), ask_for_visits=False,
    )  # fmt: skip


def _proof() -> str:
    """By what one can show, years later, that they said so."""
    return f"portal, {request.remote_addr}, {request.headers.get('User-Agent', '')}"[:MAX_PROOF]
