"""Questions of workflows to people: what is asked of somebody, and answering it, signed in or from the mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from sqlalchemy import Select, select
from werkzeug.wrappers import Response

from rapport.access import Actor, User, system
from rapport.builtin.web.context import go, reader, toast
from rapport.entities import entity_class
from rapport.errors import Conflict, NotFound
from rapport.http import current_actor, current_site, needs, own_path, public
from rapport.records import Reader
from rapport.records.session import SCOPED
from rapport.workflows import Approval
from rapport.workflows.links import Ticket, check_ticket, read_ticket
from rapport.workflows.running import decide, delegate

SHOWN = 100
FEW = 5


def add_pages(web: Blueprint) -> None:
    """The pages of approvals."""
    web.add_url_rule("/approvals", view_func=approvals, methods=["GET"])
    web.add_url_rule("/approvals/<uuid:approval_id>", view_func=answer_approval, methods=["POST"])
    web.add_url_rule("/approvals/<uuid:approval_id>/delegate", view_func=hand_approval_over, methods=["GET", "POST"])
    web.add_url_rule("/decide/<token>", view_func=decide_by_link, methods=["GET", "POST"])


def asked_of_me(reader: Reader, *, about: UUID | None = None, limit: int = SHOWN) -> list[Approval]:
    """What is asked of the person who looks, the oldest first. One's own questions are within one's reach."""
    statement = _mine(reader.actor).where(Approval.decision == "").order_by(Approval.id).limit(limit)
    if about is not None:
        statement = statement.where(Approval.about_id == about)
    return list(reader.session.scalars(statement, execution_options=SCOPED))


def _mine(actor: Actor) -> Select[Any]:
    return select(Approval).where(Approval.owner_id == actor.id)


def waiting_for_me(reader: Reader) -> Mapping[str, Any]:
    """The card of the start page."""
    found = asked_of_me(reader, limit=FEW + 1)
    return {"approvals": found[:FEW], "more": len(found) > FEW, "about": titles_of(reader, found)}


def titles_of(reader: Reader, approvals: list[Approval]) -> dict[UUID, str]:
    """What the records are called that questions are about; one query for each kind of record."""
    titles: dict[UUID, str] = {}
    for name in {each.about_entity for each in approvals} & set(current_site().entities.names()):
        ids = [each.about_id for each in approvals if each.about_entity == name]
        titles |= reader.titles(entity_class(name), ids)
    return titles


@needs("")
def approvals() -> str:
    """What is asked of me, and what I answered lately."""
    opened = asked_of_me(reader())
    done = _mine(current_actor()).where(Approval.decision != "").order_by(Approval.updated_at.desc()).limit(20)
    answered = list(reader().session.scalars(done, execution_options=SCOPED))
    return render_template(
        "pages/approvals.html", approvals=opened, answered=answered, about=titles_of(reader(), [*opened, *answered])
    )


@needs("")
def answer_approval(approval_id: UUID) -> Response:
    """Approve or reject, signed in."""
    with current_site().write(current_actor()) as unit:
        approval = unit.session.scalars(
            _mine(current_actor()).where(Approval.id == approval_id), execution_options=SCOPED
        ).one_or_none()
        if approval is None:
            abort(404)
        decide(unit, approval, request.form.get("decision", ""), request.form.get("comment", ""))
    toast(_said(approval.decision))
    return go(own_path(request.form.get("back", ""), "/approvals"))


def _said(decision: str) -> str:
    text = g.texts.gettext
    return str(text("You have approved it.") if decision == "approved" else text("You have rejected it."))


@needs("")
def hand_approval_over(approval_id: UUID) -> str | Response:
    """Have somebody else answer."""
    actor = current_actor()
    approval = reader().session.scalars(
        _mine(actor).where(Approval.id == approval_id, Approval.decision == ""), execution_options=SCOPED
    ).one_or_none()  # fmt: skip
    if approval is None:
        abort(404)
    if request.method == "POST":
        try:
            to = UUID(request.form.get("to", ""))
        except ValueError:
            abort(404)
        with current_site().write(actor) as unit:
            mine = _mine(actor).where(Approval.id == approval_id)
            delegate(unit, unit.session.scalars(mine, execution_options=SCOPED).one(), to)
        toast(g.texts.gettext("It was handed over."))
        return go("/approvals")
    with current_site().read(system("people who can answer")) as everybody:
        people = everybody.all(
            User, User.active.is_(True), User.archived_at.is_(None), User.id != actor.id, order=User.name
        )
    choices = [(str(each.id), each.name) for each in people]
    return render_template("pages/_delegate.html", approval=approval, people=choices)


@public
def decide_by_link(token: str) -> str | tuple[str, int]:
    """Answer from the mail. Looking at the page changes nothing, so that programs which open every link may."""
    site = current_site()
    try:
        ticket = read_ticket(site, token)
        actor = site.actor(ticket.user_id)
        if actor is None:
            raise NotFound(g.texts.gettext("This is no longer asked."))
        if request.method == "POST":
            with site.write(actor.through("mail")) as unit:
                approval, record = _asked(unit.session, ticket)
                check_ticket(ticket, approval, record)
                decide(unit, approval, ticket.decision, request.form.get("comment", ""))
            return _decision(ticket, actor, approval, record, done=True)
        with site.read(system("a link in a mail")) as everything:
            approval, record = _asked(everything.session, ticket)
            check_ticket(ticket, approval, record)
            return _decision(ticket, actor, approval, record, done=False)
    except (NotFound, Conflict) as error:
        return render_template("pages/decide.html", error=str(error)), 410


def _asked(session: Any, ticket: Ticket) -> tuple[Any, Any]:
    """The question behind a link, and the record it is about: who was asked about it may see what it is called."""
    question = select(Approval).where(Approval.id == ticket.approval_id)
    approval = session.scalars(question, execution_options=SCOPED).one_or_none()
    entity = current_site().entities.get(approval.about_entity) if approval is not None else None
    if entity is None:
        return approval, None
    record = session.scalars(select(entity).where(entity.id == approval.about_id), execution_options=SCOPED)
    return approval, record.one_or_none()


def _decision(ticket: Ticket, actor: Actor, approval: Any, record: Any, *, done: bool) -> str:
    url = f"/{approval.about_entity}/{approval.about_id}"
    return render_template("pages/decide.html", error="", approval=approval, record=str(record), url=url,
                           decision=ticket.decision, actor=actor, done=done)  # fmt: skip
