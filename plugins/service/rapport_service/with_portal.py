"""Beside the portal: customers read articles, open requests of their own, follow, answer and close them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import abort, redirect, render_template, request
from rapport_portal import PortalPage, current_customer, own, signed_in_customer, typed, uploaded
from werkzeug.wrappers import Response

from rapport import (
    Attachment,
    Customer,
    Interaction,
    Invalid,
    Panel,
    Problem,
    Reader,
    file_of,
    gettext,
    hookimpl,
    system,
)
from rapport.http import current_actor, current_site, send_stored
from rapport_service import cases, knowledge, portal_care
from rapport_service.entities import DONE, KINDS, Case
from rapport_service.knowledge import Article
from rapport_service.panels import labels

MOST = 50
FROM_PORTAL = "portal"
ASKED = tuple(choice for choice in KINDS if choice.value in {"question", "problem", "complaint", "request"})


@hookimpl
def register_portal_pages() -> list[PortalPage]:
    return [
        PortalPage("", requests, ["GET", "POST"], "My requests", "lifebuoy", 20),
        PortalPage("<uuid:case_id>", one_request, ["GET", "POST"]),
        PortalPage("<uuid:case_id>/close", close, ["POST"]),
        PortalPage("<uuid:case_id>/file/<uuid:attachment_id>", file),
        PortalPage("articles", articles, title="Help", icon="book", order=30, public=True),
        PortalPage("articles/<uuid:article_id>", article, ["GET", "POST"], public=True),
        PortalPage("products", portal_care.products, ["GET", "POST"], "My products", "certificate", 40),
        PortalPage("products/<uuid:registration_id>/return", portal_care.ask_return, ["GET", "POST"]),
        PortalPage("returns", portal_care.returns, title="My returns", icon="package-import", order=50),
        PortalPage("suggestions", portal_care.suggestions, ["GET", "POST"], "Suggestions", "bulb", 60),
    ]


@hookimpl
def register_panels() -> list[Panel]:
    return [
        Panel("portal.block", "My requests", "service/portal_block.html", open_requests, icon="lifebuoy", order=20),
        Panel("portal.block", "My products", "service/portal_care.html", portal_care.block, order=30),
    ]


# Requests ------------------------------------------------------------------------------------------------------------


def requests() -> str | Response | tuple[str, int]:
    """The customer's own requests, and a form for a new one."""
    sent = typed("subject", "description", "kind")
    errors: dict[str, list[str]] = {}
    if request.method == "POST":
        try:
            return redirect(f"/portal/service/{_open(sent)}")
        except Invalid as error:
            errors = _errors(error)
    with current_site().read(current_actor()) as reader:
        found = reader.all(Case, Case.archived_at.is_(None), order=(Case.status.in_(DONE), Case.opened_at.desc()),
                           limit=MOST)  # fmt: skip
    page = render_template("service/portal_requests.html", cases=found, labels=labels(), kinds=ASKED, sent=sent,
                           errors=errors)  # fmt: skip
    return (page, 422) if errors else page


def _open(sent: Mapping[str, Any]) -> UUID:
    """A new request: the customer's own case, and what they wrote as the first thing said in it."""
    if not sent["description"]:
        raise Invalid(Problem("description", gettext("is missing.")))
    stored = uploaded("file")
    kind = sent["kind"] if sent["kind"] in {choice.value for choice in ASKED} else ASKED[0].value
    with current_site().write(current_actor()) as unit:
        made = unit.create(Case, own({**sent, "kind": kind, "channel": FROM_PORTAL, "owner_id": None}))
    _say(made, made.subject, sent["description"], stored.id if stored is not None else None)
    return made.id


def _say(case: Case, subject: str, text: str, file_id: UUID | None) -> None:
    with current_site().write(system(current_customer().name).through(FROM_PORTAL)) as unit:
        said = unit.create(Interaction, {
            "customer_id": case.customer_id, "kind": "request", "direction": "in", "subject": subject, "body": text,
            "channel": FROM_PORTAL, "about_entity": Case.meta.name, "about_id": case.id, "owner_id": case.owner_id,
        })  # fmt: skip
        if file_id is not None:
            unit.create(Attachment, {"interaction_id": said.id, "file": file_id, "owner_id": case.owner_id})


def one_request(case_id: UUID) -> str | Response | tuple[str, int]:
    """What was said in a request, without what only we read; and a form to say more."""
    errors: dict[str, list[str]] = {}
    with current_site().read(current_actor()) as reader:
        case = reader.get(Case, case_id)
    if case.merged_into_id is not None:
        return redirect(f"/portal/service/{case.merged_into_id}")
    if request.method == "POST":
        text, stored = typed("text")["text"], uploaded("file")
        if text:
            _say(case, f"Re: {case.subject}", text, stored.id if stored is not None else None)
            return redirect(f"/portal/service/{case_id}")
        errors = {"text": [gettext("is missing.")]}
    with current_site().read(system("portal")) as reader:
        said = _seen(reader, case)
        files: dict[UUID, list[Attachment]] = {}
        for each in reader.all(Attachment, Attachment.interaction_id.in_([each.id for each in said])):
            files.setdefault(each.interaction_id, []).append(each)
    page = render_template("service/portal_request.html", case=case, said=said, files=files, labels=labels(),
                           done=case.status in DONE, errors=errors)  # fmt: skip
    return (page, 422) if errors else page


def _seen(reader: Reader, case: Case) -> list[Interaction]:
    """What went in and out, the oldest first; notes are ours. The case was read with the customer's own reach."""
    said = cases.conversation(reader, case)
    return [each for each in reversed(said) if each.direction in {"in", "out"} and each.customer_id == case.customer_id]


def close(case_id: UUID) -> Response:
    """The customer says that it is solved."""
    with current_site().read(current_actor()) as reader:
        mine = reader.get(Case, case_id)
    with current_site().write(system(current_customer().name).through(FROM_PORTAL)) as unit:
        case = unit.get(Case, mine.id)
        if case.status != "closed" and case.merged_into_id is None:
            unit.update(case, {"status": "closed"})
    return redirect(f"/portal/service/{case_id}")


def file(case_id: UUID, attachment_id: UUID) -> Response:
    """A file that came with something that was said in the customer's own request."""
    with current_site().read(current_actor()) as reader:
        case = reader.get(Case, case_id)
    with current_site().read(system("portal")) as reader:
        seen = Attachment.interaction_id.in_([each.id for each in _seen(reader, case)])
        found = reader.all(Attachment, Attachment.id == attachment_id, seen, limit=1)
        if not found:
            abort(404)
        stored = file_of(reader.session, found[0], "file")
    return send_stored(stored)


def open_requests(reader: Reader, customer: Customer) -> Mapping[str, Any]:
    """The card on the customer's own page."""
    here = (Case.customer_id == customer.id, Case.status.not_in(DONE), Case.archived_at.is_(None))
    return {"cases": reader.all(Case, *here, order=Case.opened_at.desc(), limit=5), "labels": labels()}


# Articles ------------------------------------------------------------------------------------------------------------


def articles() -> str:
    """Articles for customers, all or those with some words; in the reader's language if there is one."""
    asked = request.args.get("q", "")[:200]
    customer = signed_in_customer()
    language = (customer.language if customer is not None else "") or ""
    with current_site().read(system("portal")) as reader:
        if asked:
            ids = knowledge.found_by_words(reader, asked, Article)
            known = {each.id: each for each in reader.all(Article, Article.id.in_(ids), *knowledge.published("portal"))}
            found = [known[each] for each in ids if each in known]
        else:
            order = (Article.topic, Article.helpful.desc(), Article.title)
            found = reader.all(Article, *knowledge.published("portal"), order=order, limit=200)
        shown = knowledge.in_language(reader, found, language)
    return render_template("service/portal_articles.html", articles=shown, asked=asked)


def article(article_id: UUID) -> str | Response:
    """One article, and whether it helped."""
    customer = signed_in_customer()
    with current_site().read(system("portal")) as reader:
        found = _article(reader, article_id)
    if request.method == "POST":
        if customer is not None:
            with current_site().write(system(customer.name).through(FROM_PORTAL)) as unit:
                helpful = request.form.get("helpful") == "1"
                knowledge.vote(unit, unit.get(Article, found.id), helpful, customer_id=customer.id)
        return redirect(f"/portal/service/articles/{article_id}?thanks=1")
    return render_template("service/portal_article.html", article=found, customer=customer,
                           thanks=request.args.get("thanks"))  # fmt: skip


def _article(reader: Reader, article_id: UUID) -> Article:
    found: Sequence[Article] = reader.all(Article, Article.id == article_id, *knowledge.published("portal"), limit=1)
    if not found:
        abort(404)
    return found[0]


def _errors(error: Invalid) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in error.problems:
        found.setdefault(each.field or "", []).append(each.message)
    return found
