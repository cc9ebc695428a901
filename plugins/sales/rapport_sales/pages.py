"""The page on which a customer sees a quote and answers it, by a signed link; and the paper of a quote, for both."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, render_template, request
from flask.blueprints import BlueprintSetupState

from rapport import LANGUAGES, Invalid, NotFound, Reader, Stale, gettext, system
from rapport.documents import can_draw, pdf
from rapport.http import current_actor, current_site, needs, public, speak, too_many
from rapport_sales import papers
from rapport_sales.quotes import Quote, answer, can_be_answered, is_expired

ACTOR = system("quote page")
SEEN = ("sent", "accepted", "declined", "replaced")
"""What a customer ever gets to see: nothing that is still being written."""


def make_blueprint() -> Blueprint:
    """Pages of their own: opening them changes nothing, since scanners of mail open links too."""
    pages = Blueprint("sales_quotes", __name__)
    pages.add_url_rule(f"{papers.PAGE}<token>", view_func=page, methods=["GET"])
    pages.add_url_rule(f"{papers.PAGE}<token>", view_func=reply, methods=["POST"])
    pages.add_url_rule(f"{papers.PAGE}<token>/pdf", view_func=paper, methods=["GET"])
    pages.add_url_rule("/sales/quotes/<uuid:quote_id>/pdf", view_func=own_paper, methods=["GET"])
    pages.record_once(_prepare_app)
    return pages


def _prepare_app(state: BlueprintSetupState) -> None:
    # There is no session here that another site could misuse: all rights are in the link.
    app: Any = state.app
    app.extensions["csrf"].exempt(state.blueprint)


@public
def page(token: str) -> str | tuple[str, int]:
    """The quote, and whether it can be accepted."""
    with current_site().read(ACTOR) as reader:
        quote = _seen(reader, token)
        return _shown(reader, quote, token) if quote is not None else _unknown()


@public
def reply(token: str) -> str | tuple[str, int]:
    """Accepted or declined, with who it was, when and from where."""
    site, form = current_site(), request.form
    by = form.get("by", "").strip()
    if too_many(f"quote:{request.remote_addr}"):
        with site.read(ACTOR) as reader:
            quote = _seen(reader, token)
            if quote is None:
                return _unknown()
            told = gettext("That was often. Wait a few minutes, then try again.")
            return _shown(reader, quote, token, wrong=told), 429
    wrong = ""
    if form.get("answer") not in {"accept", "decline"}:
        wrong = gettext("Say whether you accept the quote.")
    elif not by:
        wrong = gettext("Your name is missing.")
    if not wrong:
        try:
            with site.write(ACTOR) as unit:
                found = _seen(unit.reader, token)
                if found is None:
                    return _unknown()
                answer(unit, found, accepted=form["answer"] == "accept", by=by, note=form.get("note", "").strip(),
                       address=request.remote_addr or "")  # fmt: skip
        except (Invalid, Stale):
            wrong = gettext("It was too late for that. This is how it stands.")
    with site.read(ACTOR) as reader:
        quote = _seen(reader, token)
        if quote is None:
            return _unknown()
        shown = _shown(reader, quote, token, wrong=wrong)
    return (shown, 422) if wrong else shown


@public
def paper(token: str) -> Response | tuple[str, int]:
    """The same as PDF."""
    with current_site().read(ACTOR) as reader:
        quote = _seen(reader, token)
        return drawn(reader, quote) if quote is not None else _unknown()


@needs("sales.quote.read")
def own_paper(quote_id: UUID) -> Response:
    """The PDF for those who work here, of a draft too."""
    with current_site().read(current_actor()) as reader:
        return drawn(reader, reader.get(Quote, quote_id))


def _seen(reader: Reader, token: str) -> Quote | None:
    """The quote of a link, if the customer may see it; the page speaks its language from here on."""
    quote_id = papers.quote_of(current_site(), token)
    quote: Quote | None = reader.session.get(Quote, quote_id) if quote_id is not None else None
    if quote is None or quote.archived_at is not None or quote.status not in SEEN:
        return None
    asked = request.values.get("language", "")
    speak(replace(ACTOR, language=asked if asked in LANGUAGES else papers.language_of(quote)))
    return quote


def _shown(reader: Reader, quote: Quote, token: str, *, wrong: str = "") -> str:
    return render_template(
        "sales/quote.html", quote=quote, base=papers.PAGE + token, wrong=wrong, drawn=can_draw(),
        open=can_be_answered(reader.session, quote), expired=is_expired(quote), by=request.form.get("by", ""),
        note=request.form.get("note", ""), others=list(LANGUAGES.values()),
        **papers.facts_of(reader, quote),
    )  # fmt: skip


def _unknown() -> tuple[str, int]:
    """The same for what we never made, and for what is not there any more."""
    return render_template("sales/quote.html", quote=None), 404


def drawn(reader: Reader, quote: Quote) -> Response:
    """A quote as PDF, for saving."""
    if not can_draw():
        raise NotFound(gettext('PDF cannot be made here: pip install "rapport-crm[documents]" on the server.'))
    answer = Response(pdf(papers.document_of(reader, quote)), mimetype="application/pdf")
    answer.headers["Content-Disposition"] = f'attachment; filename="{papers.file_name(quote)}"'
    answer.headers["Cache-Control"] = "private, no-store"
    return answer
