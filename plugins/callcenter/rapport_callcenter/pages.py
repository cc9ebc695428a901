"""The pages of those who call: which list, one customer at a time, the script, and how it ended."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, abort, redirect, render_template, request, send_from_directory, session
from sqlalchemy import func, select
from werkzeug.wrappers import Response as BaseResponse

from rapport import Conflict, Customer, Formats, Interaction, Invalid, Problem, Reader, Unit, utcnow
from rapport import gettext as _
from rapport.http import current_actor, current_site, needs, public
from rapport_callcenter import calling, scripts
from rapport_callcenter.entities import Answer, Call, CallList, Disposition, Entry, Step
from rapport_callcenter.lists import is_time

STATIC = Path(__file__).parent / "static"
CALL = "callcenter.entry.update"
KEYS = "123456789"
WISHES: Mapping[str, dt.timedelta] = {
    "1h": dt.timedelta(hours=1), "3h": dt.timedelta(hours=3), "1d": dt.timedelta(days=1), "7d": dt.timedelta(days=7),
}  # fmt: skip


def make_blueprint() -> Blueprint:
    """The call centre's own pages."""
    pages = Blueprint("callcenter", __name__)
    one = "/callcenter/calling/<uuid:entry_id>"
    for rule, view, methods in (
        ("/callcenter/calling", calling_page, ["GET"]),
        ("/callcenter/calling/next", next_customer, ["POST"]),
        (f"{one}/dial", dial, ["POST"]),
        (f"{one}/finish", finish, ["POST"]),
        (f"{one}/skip", skip, ["POST"]),
        (f"{one}/answer", answer, ["POST"]),
        ("/callcenter/static/<path:filename>", static_file, ["GET"]),
    ):
        pages.add_url_rule(rule, view_func=view, methods=methods)
    return pages


@public
def static_file(filename: str) -> BaseResponse:
    """The look of these pages."""
    return send_from_directory(STATIC, filename, max_age=3600)


# Calling -------------------------------------------------------------------------------------------------------------


@needs(CALL)
def calling_page() -> str:
    """Whom one has before one; without anybody, the lists to call."""
    with current_site().read(current_actor()) as reader:
        entry = calling.current(reader)
        if entry is None:
            return render_template("callcenter/choose.html", lists=_lists(reader))
        return _page(reader, entry)


@needs(CALL)
def next_customer() -> BaseResponse:
    """Take the next customer of a list."""
    try:
        list_id = UUID(request.form.get("list_id", ""))
    except ValueError:
        abort(404)
    return _next(list_id)


@needs(CALL)
def dial(entry_id: UUID) -> BaseResponse:
    """Call the customer, if the gate lets one."""
    with current_site().write(current_actor()) as unit:
        entry = unit.get(Entry, entry_id)
        call = calling.dial(unit, entry)
        reason, list_id = entry.reason, entry.list_id
    if call is None:
        say(_("They may not be called: %(reason)s", reason=reason), "danger")
        return _next(list_id)
    return go("/callcenter/calling")


@needs(CALL)
def finish(entry_id: UUID) -> BaseResponse | tuple[str, int]:
    """How it ended; then the next one comes, unless one wants a break."""
    form, site = request.form, current_site()
    try:
        with site.write(current_actor()) as unit:
            entry = unit.get(Entry, entry_id)
            disposition = unit.get(Disposition, _uuid(form.get("disposition_id", "")))
            calling.finish(unit, entry, disposition, note=form.get("note", ""), call_back_at=_wished(disposition),
                           by_me=form.get("by_me") == "true")  # fmt: skip
            list_id = entry.list_id
    except Invalid as error:
        with site.read(current_actor()) as reader:
            errors = {problem.field or "": [problem.message] for problem in error.problems}
            return _page(reader, reader.get(Entry, entry_id), errors, form), 422
    if form.get("stop") == "true":
        say(_("Saved. Enjoy your break."))
        return go("/callcenter/calling")
    return _next(list_id)


@needs(CALL)
def skip(entry_id: UUID) -> BaseResponse:
    """Not this one now; the next."""
    with current_site().write(current_actor()) as unit:
        entry = unit.get(Entry, entry_id)
        calling.skip(unit, entry)
        list_id = entry.list_id
    return _next(list_id)


@needs(CALL)
def answer(entry_id: UUID) -> str | BaseResponse:
    """Keep what was answered to a question of the script, and go on where it leads."""
    form = request.form
    with current_site().write(current_actor()) as unit:
        entry = calling.held_by(unit, unit.get(Entry, entry_id))
        call = calling.open_call(unit.reader, entry)
        if call is None:
            raise Conflict(_("Call them first."))
        if form.get("again") == "true":
            for each in unit.reader.all(Answer, Answer.call_id == call.id):
                unit.session.delete(each)
        else:
            _keep_answer(unit, call, entry, form.get("key", ""), form.get("answer", ""))
        unit.flush()
    if not request.headers.get("HX-Request"):
        return go("/callcenter/calling")
    with current_site().read(current_actor()) as reader:
        entry = reader.get(Entry, entry_id)
        return render_template("callcenter/script.html", script=_script(reader, entry, call), entry=entry, call=call)


def _keep_answer(unit: Unit, call: Call, entry: Entry, key: str, text: str) -> None:
    call_list = unit.get(CallList, entry.list_id)
    steps = unit.reader.all(Step, Step.script_id == call_list.script_id, Step.key == key)
    before = unit.reader.all(Answer, Answer.call_id == call.id, Answer.key == key)
    if not steps or before:
        return
    unit.create(Answer, {"call_id": call.id, "key": key, "question": steps[0].question, "answer": text})


# What the page shows -------------------------------------------------------------------------------------------------


def _page(
    reader: Reader, entry: Entry, errors: Mapping[str, list[str]] | None = None, typed: Mapping[str, str] | None = None
) -> str:  # fmt: skip
    call_list = reader.get(CallList, entry.list_id)
    customer = reader.get(Customer, entry.customer_id)
    call = calling.open_call(reader, entry)
    dispositions = reader.all(Disposition, Disposition.active.is_(True), Disposition.archived_at.is_(None),
                              order=(Disposition.position, Disposition.name), limit=30)  # fmt: skip
    organisation = reader.titles(Customer, [customer.organisation_id]).get(customer.organisation_id or entry.id, "")
    return render_template(
        "callcenter/calling.html", entry=entry, call_list=call_list, customer=customer, call=call,
        number=calling.number_of(reader, customer), organisation=organisation,
        dispositions=list(zip(dispositions, [*KEYS, *[""] * len(dispositions)], strict=False)),
        tones={each.value: each.color for each in Disposition.meta.fields["result"].choices},
        history=history_of(reader, customer, call), language=language_of(customer), script=_script(reader, entry, call),
        errors=errors or {}, typed=typed or {}, wishes=_wishes(), most=call_list.most_attempts,
        left=_left(reader, call_list),
    )  # fmt: skip


def language_of(customer: Customer) -> str:
    """The language to speak, if it is known."""
    choices = Customer.meta.fields["language"].choices
    known = {each.value: each.label for each in choices if each.value}
    return _(known[customer.language]) if customer.language in known else ""


def history_of(reader: Reader, customer: Customer, call: Call | None) -> Sequence[Interaction]:
    """What was before this call, the newest first."""
    now = call.interaction_id if call is not None else None
    return reader.all(Interaction, Interaction.customer_id == customer.id, Interaction.archived_at.is_(None),
                      Interaction.id.is_distinct_from(now),
                      order=(Interaction.at.desc(), Interaction.id.desc()), limit=6)  # fmt: skip


def _left(reader: Reader, call_list: CallList) -> int:
    waiting = (Entry.list_id == call_list.id, Entry.state.in_(calling.OPEN))
    return reader.count(Entry, *waiting, cap=1000)[0]


def _lists(reader: Reader) -> list[dict[str, Any]]:
    """The open lists that one may call, with how many wait."""
    actor, now = reader.actor, utcnow()
    found = [
        each for each in reader.all(CallList, CallList.state.in_(("open", "filling")), CallList.archived_at.is_(None),
                                    order=CallList.name, limit=100)
        if each.team_id is None or actor.is_admin or each.team_id in actor.team_ids
    ]  # fmt: skip
    due = (Entry.state == "new") | (Entry.state.in_(("again", "call_back")) & (Entry.next_at <= now))
    rows = reader.session.execute(
        select(Entry.list_id, Entry.state, func.count())
        .where(Entry.list_id.in_([each.id for each in found]), due, Entry.archived_at.is_(None))
        .group_by(Entry.list_id, Entry.state)
    )
    counted: dict[UUID, dict[str, int]] = {}
    for list_id, state, count in rows:
        counted.setdefault(list_id, {})[state] = count
    return [
        {"list": each, "waiting": sum(counted.get(each.id, {}).values()),
         "promised": counted.get(each.id, {}).get("call_back", 0), "now": is_time(reader, each, now)}
        for each in found
    ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shown:
    """Where an agent is in the script: what was answered, and the step they are at; None when it is over."""

    answered: Sequence[Answer]
    step: Step | None
    text: str
    choices: Sequence[scripts.Choice]


def _script(reader: Reader, entry: Entry, call: Call | None) -> Shown | None:
    call_list = reader.get(CallList, entry.list_id)
    if call_list.script_id is None:
        return None
    steps = reader.all(Step, Step.script_id == call_list.script_id, Step.archived_at.is_(None),
                       order=(Step.position, Step.id), limit=200)  # fmt: skip
    if not steps:
        return None
    by_key, keys = {each.key: each for each in steps}, [each.key for each in steps]
    answered = reader.all(Answer, Answer.call_id == call.id, order=Answer.id) if call is not None else []
    given = {each.key: each.answer for each in answered}
    here, seen = keys[0], set[str]()
    while here and here in given and here not in seen:
        seen.add(here)
        here = scripts.next_key(keys, here, scripts.parse_answers(by_key[here].answers), given[here])
    step = by_key.get(here) if here not in seen else None
    text = scripts.fill(step.text, _values(reader, entry, call_list)) if step is not None else ""
    told = [each for each in answered if each.question]
    return Shown(told, step, text, scripts.parse_answers(step.answers) if step is not None else [])


def _values(reader: Reader, entry: Entry, call_list: CallList) -> dict[str, str]:
    customer, actor = reader.get(Customer, entry.customer_id), reader.actor
    return {
        "customer.name": customer.name, "customer.given_name": customer.given_name,
        "customer.family_name": customer.family_name, "customer.city": str((customer.address or {}).get("city", "")),
        "customer.phone": customer.phone, "customer.email": customer.email, "customer.job_title": customer.job_title,
        "agent.name": actor.name, "list.name": call_list.name, "list.campaign": call_list.campaign,
        "business.name": str(reader.site.settings.get("core.name")),
        "today": Formats(actor.language, actor.time_zone).date(reader.today(), "long"),
    }  # fmt: skip


# Forms ---------------------------------------------------------------------------------------------------------------


def _wishes() -> list[tuple[str, str]]:
    return [("1h", _("In an hour")), ("3h", _("In three hours")), ("1d", _("Tomorrow at this time")),
            ("7d", _("In a week"))]  # fmt: skip


def _wished(disposition: Disposition) -> dt.datetime | None:
    """When the customer wants to be called; only where they want to be called back."""
    if disposition.result != "call_back":
        return None
    exact, soon = request.form.get("call_back_at", "").strip(), request.form.get("call_back_in", "")
    if exact:
        try:
            moment = dt.datetime.fromisoformat(exact)
        except ValueError:
            raise Invalid(Problem("call_back_at", _("must be a date and a time."))) from None
        return moment.replace(tzinfo=ZoneInfo(current_actor().time_zone)) if moment.tzinfo is None else moment
    return utcnow() + WISHES[soon] if soon in WISHES else None


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise Invalid(Problem("disposition_id", _("is missing. How did the call end?"))) from None


def _next(list_id: UUID) -> BaseResponse:
    """On to the next customer of the list; where there is none now, back to the lists."""
    try:
        with current_site().write(current_actor()) as unit:
            entry = calling.take_next(unit, unit.get(CallList, list_id))
    except Conflict as error:
        say(str(error), "warning")
        return go("/callcenter/calling")
    if entry is None:
        with current_site().read(current_actor()) as reader:
            say(_whom_later(reader, list_id))
    return go("/callcenter/calling")


def _whom_later(reader: Reader, list_id: UUID) -> str:
    """Why nobody comes now: everybody is done with, or some come later."""
    waiting = (Entry.list_id == list_id, Entry.state.in_(("again", "call_back")), Entry.next_at.is_not(None))
    found = reader.all(Entry, *waiting, order=Entry.next_at, limit=1)
    if not found or found[0].next_at is None:
        return _("Nobody is left to be called on this list.")
    when = Formats(reader.actor.language, reader.actor.time_zone).relative(found[0].next_at)
    return _("Nobody can be called now. The next one can be: %(when)s.", when=when)


def say(text: str, tone: str = "success") -> None:
    """Something to say on the next page."""
    session.setdefault("toasts", []).append({"message": text, "tone": tone})
    session.modified = True


def go(url: str) -> BaseResponse:
    """On to another page."""
    if request.headers.get("HX-Request"):
        return Response("", 200, {"HX-Redirect": url})
    return redirect(url, 303)
