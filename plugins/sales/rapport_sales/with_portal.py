"""In the portal, customers see their quotes and accept or decline them, signed in as themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Response, render_template, request
from rapport_portal import PortalPage, current_customer

from rapport import Invalid, NotFound, Panel, Reader, Stale, gettext, hookimpl
from rapport.documents import can_draw
from rapport.http import current_actor, current_site
from rapport_sales import pages, papers
from rapport_sales.quotes import Quote, answer, can_be_answered, is_expired

BASE = "/portal/sales/"


def quotes() -> str:
    """All that were sent, the newest first."""
    with current_site().read(current_actor()) as reader:
        found = reader.all(Quote, Quote.status.in_(pages.SEEN), Quote.archived_at.is_(None),
                           order=(Quote.sent_at.desc(), Quote.id.desc()), limit=50)  # fmt: skip
        return render_template("sales/portal_quotes.html", quotes=[(each, _standing(reader, each)) for each in found])


def quote(quote_id: UUID) -> str | tuple[str, int]:
    """One of them, with the way to answer."""
    site, wrong = current_site(), ""
    with site.read(current_actor()) as reader:
        _own(reader, quote_id)
    if request.method == "POST":
        accepted, note = request.form.get("answer") == "accept", request.form.get("note", "").strip()
        by = request.form.get("by", "").strip() or str(current_customer())
        if request.form.get("answer") not in {"accept", "decline"}:
            wrong = gettext("Say whether you accept the quote.")
        else:
            try:
                with site.write(replace(pages.ACTOR, via="portal")) as unit:
                    answer(unit, unit.get(Quote, quote_id), accepted=accepted, by=by, note=note,
                           address=request.remote_addr or "")  # fmt: skip
            except (Invalid, Stale):
                wrong = gettext("It was too late for that. This is how it stands.")
    with site.read(current_actor()) as reader:
        _own(reader, quote_id)
    with site.read(pages.ACTOR) as reader:  # the lines do not name the customer; the quote was read as theirs
        shown = reader.get(Quote, quote_id)
        facts: dict[str, Any] = papers.facts_of(reader, shown)
        page = render_template(
            "sales/portal_quote.html", quote=shown, base=f"{BASE}{quote_id}", wrong=wrong, drawn=can_draw(),
            open=can_be_answered(reader.session, shown), expired=is_expired(shown), by=str(current_customer()),
            note=request.form.get("note", ""), **facts,
        )  # fmt: skip
    return (page, 422) if wrong else page


def paper(quote_id: UUID) -> Response:
    """The same as PDF."""
    with current_site().read(current_actor()) as reader:
        _own(reader, quote_id)
    with current_site().read(pages.ACTOR) as reader:
        return pages.drawn(reader, reader.get(Quote, quote_id))


def _own(reader: Reader, quote_id: UUID) -> Quote:
    """A quote of the customer's own that was sent; NotFound for any other."""
    found = reader.get(Quote, quote_id)
    if found.status not in pages.SEEN or found.archived_at is not None:
        raise NotFound(gettext("There is no such quote."))
    return found


def _standing(reader: Reader, each: Quote) -> str:
    if each.status == "sent":
        return "expired" if is_expired(each) else "open"
    return each.status


def waiting(reader: Reader, customer: Any) -> dict[str, Any]:
    """Quotes that wait for the customer's answer, for their first page."""
    today = reader.today()
    found = reader.all(Quote, Quote.customer_id == customer.id, Quote.status == "sent", Quote.archived_at.is_(None),
                       Quote.valid_until.is_(None) | (Quote.valid_until >= today), order=Quote.sent_at.desc(),
                       limit=5)  # fmt: skip
    return {"quotes": found}


@hookimpl
def register_portal_pages() -> list[PortalPage]:
    return [
        PortalPage("", quotes, title="Quotes", icon="file-text", order=30),
        PortalPage("<uuid:quote_id>", quote, methods=["GET", "POST"]),
        PortalPage("<uuid:quote_id>/pdf", paper),
    ]


@hookimpl
def register_panels() -> list[Panel]:
    return [
        Panel("portal.block", "Quotes for you", "sales/portal_waiting.html", waiting, "sales.quote.read",
              "file-text", 20),
    ]  # fmt: skip
