"""The desk of an agent who takes calls: their state, the call that rings, who it is, and what it was about."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, Response, render_template, request
from werkzeug.wrappers import Response as BaseResponse

from rapport import Customer, Invalid, NotFound, Problem, Reader, Unit
from rapport import gettext as _
from rapport.http import current_actor, current_site, needs
from rapport_callcenter import incoming
from rapport_callcenter.agents import agent_of, set_state
from rapport_callcenter.entities import TICKS, Agent, Call, Queue, WrapUp
from rapport_callcenter.pages import go, history_of, language_of, say

TAKE = "callcenter.call.update"
MAY_CHOOSE = ("available", "pause", "offline")
"""The states that agents choose themselves; the others follow from calls."""


def make_blueprint() -> Blueprint:
    """The pages of the desk."""
    pages = Blueprint("callcenter_desk", __name__)
    one = "/callcenter/desk/<uuid:call_id>"
    for rule, view, methods in (
        ("/callcenter/desk", desk, ["GET"]),
        ("/callcenter/desk/now", now, ["GET"]),
        ("/callcenter/desk/state", change_state, ["POST"]),
        (f"{one}/pick-up", pick_up, ["POST"]),
        (f"{one}/who", who, ["POST"]),
        (f"{one}/wrap-up", wrap_up, ["POST"]),
    ):
        pages.add_url_rule(rule, view_func=view, methods=methods)
    return pages


@needs(TAKE)
def desk() -> str:
    """The agent's own page. It looks by itself whether a call rings."""
    with current_site().read(current_actor()) as reader:
        return _page(reader)


@needs(TAKE)
def now() -> BaseResponse | str:
    """What the page asks every two seconds: nothing new (204), or the page anew."""
    with current_site().read(current_actor()) as reader:
        seen = _seen(agent_of(reader, reader.actor.id), incoming.at_desk(reader))
    if request.args.get("seen") == seen:
        return Response("", 204)
    return Response("", 200, {"HX-Redirect": "/callcenter/desk"})


@needs(TAKE)
def change_state() -> BaseResponse:
    """Available, in a pause for a reason, or gone."""
    state, reason = request.form.get("state", ""), request.form.get("reason", "")[:100]
    if state not in MAY_CHOOSE:
        raise Invalid(Problem("state", _("is not one that can be chosen.")))
    with current_site().write(current_actor()) as unit:
        agent = _me(unit)
        set_state(unit, agent, state, reason if state == "pause" else "")
        incoming.give_waiting(unit, agent)
    return go("/callcenter/desk")


@needs(TAKE)
def pick_up(call_id: UUID) -> BaseResponse:
    """Take the call that rings."""
    with current_site().write(current_actor()) as unit:
        incoming.pick_up(unit, unit.get(Call, call_id), _me(unit))
    return go("/callcenter/desk")


@needs(TAKE)
def who(call_id: UUID) -> BaseResponse:
    """Say who it is: one of those with the number, anybody else, or a new customer by their name."""
    with current_site().write(current_actor()) as unit:
        call = _mine(unit, call_id)
        name = request.form.get("name", "").strip()
        if name:
            values = {"name": name, "phone": call.number, "source": _("Call"), "owner_id": unit.actor.id}
            customer = unit.create(Customer, values)
        else:
            customer = unit.get(Customer, _uuid(request.form.get("customer_id", ""), "customer_id"))
        unit.update(call, {"customer_id": customer.id})
    return go("/callcenter/desk")


@needs(TAKE)
def wrap_up(call_id: UUID) -> BaseResponse | tuple[str, int]:
    """What it was about: a code is needed, the rest may be ticked."""
    form = request.form
    try:
        with current_site().write(current_actor()) as unit:
            code = unit.get(WrapUp, _uuid(form.get("wrap_up_id", ""), "wrap_up_id"))
            values: dict[str, Any] = {"note": form.get("note", ""), **incoming.ticks_of(form)}
            if form.get("resolved") in {"true", "false"}:
                values["resolved"] = form["resolved"]
            incoming.wrap_up(unit, _mine(unit, call_id), _me(unit), code, values)
    except Invalid as error:
        with current_site().read(current_actor()) as reader:
            return _page(reader, {each.field or "": [each.message] for each in error.problems}, form), 422
    say(_("Saved."))
    return go("/callcenter/desk")


# What the page shows -------------------------------------------------------------------------------------------------


def _page(reader: Reader, errors: Any = None, typed: Any = None) -> str:
    agent, call = agent_of(reader, reader.actor.id), incoming.at_desk(reader)
    customer = reader.get(Customer, call.customer_id) if call is not None and call.customer_id else None
    people = incoming.who_is(reader, call.number) if call is not None and customer is None else []
    codes = reader.all(
        WrapUp, WrapUp.active.is_(True), WrapUp.archived_at.is_(None), order=(WrapUp.position, WrapUp.name)
    )
    queue_id = call.queue_id if call is not None else None
    reasons = [each.strip() for each in str(reader.site.settings.get("callcenter.pauses")).split(",") if each.strip()]
    return render_template(
        "callcenter/desk.html", agent=agent, call=call, customer=customer, people=people, codes=codes,
        errors=errors or {}, typed=typed or {}, reasons=reasons, seen=_seen(agent, call), ticks=_ticks(),
        language=language_of(customer) if customer is not None else "",
        history=history_of(reader, customer, call) if customer is not None else [],
        states={each.value: each for each in Agent.meta.fields["state"].choices},
        queue=reader.titles(Queue, [queue_id]).get(queue_id, "") if queue_id is not None else "",
        may_create=reader.actor.may("customer.create"), waiting=_waiting(reader),
    )  # fmt: skip


def _ticks() -> list[tuple[str, str]]:
    return [(name, _(Call.meta.fields[name].label)) for name in TICKS]


def _waiting(reader: Reader) -> int:
    return reader.count(Call, Call.status == "ringing", Call.direction == "in", cap=1000)[0]


def _seen(agent: Agent | None, call: Call | None) -> str:
    """What the page shows, in short: another one means that it is to be shown anew."""
    if call is not None and call.answered_at is not None:
        return f"{call.id}.taken"  # whoever writes a note is not disturbed when the other side hangs up
    mine = f"{agent.state}.{agent.reason}" if agent is not None else ""
    return f"{mine}.{call.id}" if call is not None else mine


def _me(unit: Unit) -> Agent:
    agent = agent_of(unit.reader, unit.actor.id)
    if agent is None:
        raise NotFound(_("You are no agent of the call centre. A manager adds you under Agents."))
    return agent


def _mine(unit: Unit, call_id: UUID) -> Call:
    call = unit.get(Call, call_id)
    if unit.actor.id not in {call.agent_id, call.offered_id}:
        raise NotFound(_("This call is not yours."))
    return call


def _uuid(text: str, name: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(Problem(name, _("is missing."))) from None
