"""The pages of the help desk: what an agent has before them, and answering a case."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, abort, redirect, render_template, request
from sqlalchemy import func, select
from werkzeug.wrappers import Response

from rapport import Invalid, Problem, Reader, Team, gettext, store
from rapport.http import current_actor, current_site, needs
from rapport_service import cases, macros, panels, queues, writing
from rapport_service.entities import OPEN, Case
from rapport_service.knowledge import Article
from rapport_service.macros import Macro
from rapport_service.queues import Agent

READ, UPDATE = "service.case.read", "service.case.update"
MOST = 100
MOST_FILES = 10


def make_blueprint() -> Blueprint:
    """The help desk's pages."""
    pages = Blueprint("service", __name__)
    one = "/service.case/<uuid:case_id>"
    for rule, view, methods in (
        ("/service", desk, ["GET"]),
        ("/service/next", take_next, ["POST"]),
        ("/service/available", available, ["POST"]),
        (f"{one}/answer", answer, ["POST"]),
        (f"{one}/text", text, ["GET"]),
        (f"{one}/help", help_with, ["GET"]),
    ):
        pages.add_url_rule(rule, view_func=view, methods=methods)
    return pages


# The desk ------------------------------------------------------------------------------------------------------------


@needs(READ)
def desk() -> str:
    """My cases with the time that is left, the queues, and who has how much to do."""
    actor = current_actor()
    with current_site().read(actor) as reader:
        found = panels.mine(reader, limit=MOST)
        agents = queues.loads(reader) if actor.may("service.agent.read") else []
        me = next((each for each in agents if each.agent.user_id == actor.id), None)
        names = panels.names_of(reader, [each.agent.user_id for each in agents])
        shown = {
            "rows": panels.rows_of(reader, found), "labels": panels.labels(), "me": me,
            "queues": _queues(reader), "figures": _figures(reader),
            "agents": [{"name": names.get(each.agent.user_id, ""), "load": each} for each in agents],
            "may": actor.may(UPDATE),
        }  # fmt: skip
    return render_template("service/desk.html", **shown)


def _queues(reader: Reader) -> list[dict[str, Any]]:
    counts, found = queues.waiting_counts(reader), queues.queues_in_use(reader)
    teams = reader.titles(Team, [each.team_id for each in found])
    return [
        {"queue": each, "team": teams.get(each.team_id, "") if each.team_id else "",
         "open": counts.get(each.id, (0, 0))[0], "waiting": counts.get(each.id, (0, 0))[1]}
        for each in found
    ]  # fmt: skip


def _figures(reader: Reader) -> dict[str, int]:
    rows = reader.session.execute(
        select(Case.on_time, func.count(Case.id), func.count(Case.owner_id))
        .where(Case.status.in_(OPEN), Case.archived_at.is_(None)).group_by(Case.on_time)
    ).all()  # fmt: skip
    return {
        "open": sum(row[1] for row in rows), "nobody": sum(row[1] - row[2] for row in rows),
        "late": sum(row[1] for row in rows if row[0] == "late"),
    }  # fmt: skip


@needs(UPDATE)
def take_next() -> Response:
    """Give whoever asks the most urgent case that waits for them."""
    try:
        with current_site().write(current_actor()) as unit:
            found = queues.take_next(unit, _uuid(request.form.get("queue", "")))
            target = f"/service.case/{found.id}" if found is not None else "/service?none=1"
    except Invalid:
        target = "/service?full=1"
    return redirect(target)


@needs(UPDATE)
def available() -> Response:
    """Say that one takes cases now, or takes none."""
    actor = current_actor()
    with current_site().write(actor) as unit:
        for agent in unit.reader.all(Agent, Agent.user_id == actor.id, limit=1):
            agent.available = request.form.get("available") == "1"
            unit.flush()
    return redirect("/service")


# A case --------------------------------------------------------------------------------------------------------------


@needs(UPDATE)
def answer(case_id: UUID) -> Response | str | tuple[str, int]:
    """Write to the customer, or a note that only we read; a macro's changes come along."""
    site, actor, form = current_site(), current_actor(), request.form
    words, status, macro_id = form.get("text", "").replace("\r\n", "\n"), form.get("status", ""), form.get("macro", "")
    try:
        files = [store(site, each.stream, each.filename, actor).id
                 for each in request.files.getlist("files")[:MOST_FILES] if each.filename]  # fmt: skip
        with site.write(actor) as unit:
            case = unit.get(Case, case_id)
            if form.get("what") == "note":
                cases.note(unit, case, words)
            else:
                message = cases.answer(unit, case, words, status=status, attachments=files)
                if message is not None and message.state == "refused":
                    raise Invalid(Problem("text", gettext("It was not sent: %(why)s", why=message.reason)))
                if found := _uuid(macro_id):
                    changes = dict(macros.changes_of(unit, unit.get(Macro, found), case))
                    unit.update(case, {**changes, **({"status": status} if status else {})})
    except Invalid as error:
        said = " ".join(problem.message for problem in error.problems)
        with site.read(actor) as reader:
            case = reader.get(Case, case_id)
            facts = {**panels.answer_facts(reader, case), "text": words, "errors": {"text": [said]}, "chosen": status}
        return render_template("service/answer_page.html", record=case, **facts), 422
    return redirect(f"/service.case/{case_id}")


@needs(UPDATE)
def text(case_id: UUID) -> str:
    """The text of a macro or an article, below what is written already."""
    macro_id, article_id = _uuid(request.args.get("macro", "")), _uuid(request.args.get("article", ""))
    written = request.args.get("text", "").replace("\r\n", "\n").strip()
    with current_site().read(current_actor()) as reader:
        case = reader.get(Case, case_id)
        more = ""
        if macro_id is not None:
            more = writing.fill(reader.get(Macro, macro_id).text, writing.values_for(reader, case))
        elif article_id is not None:
            more = reader.get(Article, article_id).body
    return render_template("service/_text.html", text="\n\n".join(each for each in (written, more) if each), errors={})


@needs(READ)
def help_with(case_id: UUID) -> str:
    """Articles and solved cases about the same, read once the page stands."""
    with current_site().read(current_actor()) as reader:
        facts = panels.help_facts(reader, reader.get(Case, case_id))
    return render_template("service/_help.html", may=current_actor().may(UPDATE), **facts)


def _uuid(text: str) -> UUID | None:
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        abort(404)
