"""The pages of strategy: for the management, the return, adoption, tenths, ways customers come, and handing over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request
from werkzeug.wrappers import Response

from rapport import Conflict, Invalid, Reader, Team, User, enqueue_job, gettext
from rapport.http import current_actor, current_site, needs
from rapport_strategy import acquisition, adoption, handover, objectives, roi, worth
from rapport_strategy.common import formats_of
from rapport_strategy.handover import Handover

SPANS = (90, 365, 730)
SATISFACTION = ("service.average_mark", "service.recommend_score", "callcenter.satisfaction")
"""Measures of how satisfied customers are, the first that the site has."""


def make_blueprint() -> Blueprint:
    """All pages below /strategy."""
    pages = Blueprint("strategy", __name__)
    for rule, view, methods in (
        ("/strategy", overview, ["GET"]),
        ("/strategy/objectives", all_objectives, ["GET"]),
        ("/strategy/roi", returns, ["GET"]),
        ("/strategy/adoption", use, ["GET"]),
        ("/strategy/customers", customers, ["GET"]),
        ("/strategy/acquisition", channels, ["GET"]),
        ("/strategy/handover/<uuid:user_id>", hand_over, ["GET", "POST"]),
        ("/strategy/handover/<uuid:user_id>/back", take_back, ["POST"]),
    ):
        pages.add_url_rule(rule, view_func=view, methods=methods)
    return pages


def _tabs(here: str, reader: Reader) -> list[dict[str, Any]]:
    """The pages of the management, those one may see."""
    known = (
        ("/strategy", gettext("Overview"), "strategy.objective.read"),
        ("/strategy/objectives", gettext("Objectives"), "strategy.objective.read"),
        ("/strategy/roi", gettext("Return of the CRM"), "strategy.case.read"),
        ("/strategy/customers", gettext("What customers bring"), "strategy.objective.read"),
        ("/strategy/acquisition", gettext("How customers come"), "strategy.spending.read"),
        ("/strategy/adoption", gettext("Adoption"), "strategy.rollout.read"),
    )
    return [{"url": url, "title": title, "active": url == here}
            for url, title, permission in known if reader.actor.may(permission)]  # fmt: skip


# For the management --------------------------------------------------------------------------------------------------


@needs("strategy.objective.read")
def overview() -> str:
    """Objectives, the return of the CRM, satisfaction, retention, and what winning a customer costs."""
    with current_site().read(current_actor()) as reader:
        found = objectives.shown(reader, objectives.standing(reader, 60))
        counts = {name: sum(each.it.state == name for each in found) for name in objectives.STATES}
        may = reader.actor.may
        scenarios = _scenarios(reader) if may("strategy.case.read") else []
        return render_template(
            "strategy/overview.html", tabs=_tabs("/strategy", reader), objectives=found, counts=counts,
            states=objectives.STATES, scenarios=scenarios, roi_chart=_roi_chart(reader, scenarios),
            ways=acquisition.facts(reader) if may("strategy.spending.read") and may("customer.read") else None,
            satisfaction=satisfaction(reader), may=may,
        )  # fmt: skip


def satisfaction(reader: Reader) -> dict[str, Any] | None:
    """How satisfied customers say they are, where a module has a measure of it: this year by month, and now."""
    name = next((each for each in SATISFACTION if each in reader.site.measures), None)
    if name is None:
        return None
    from rapport_warehouse import NotFilled, Question, answer

    try:
        said = answer(reader, Question(measures=(name,), rows=("date.month",), period="last 12 months"))
    except (NotFilled, Invalid):
        return None
    values = [said.cell(row, 0, name).value for row in range(len(said.rows))]
    data = [None if value is None else float(value) for value in values]
    if not any(value is not None for value in data):
        return None
    measure = reader.site.measures[name]
    return {
        "type": "line", "title": gettext(measure.title), "unit": measure.kind,
        "x": [heading[0].title for heading in said.rows], "series": [{"name": gettext(measure.title), "data": data}],
    }  # fmt: skip


@needs("strategy.objective.read")
def all_objectives() -> str:
    """Every objective with its way so far, under its imperative."""
    with current_site().read(current_actor()) as reader:
        found = objectives.shown(reader, objectives.standing(reader))
        groups = [(choice, [each for each in found if each.it.imperative == choice.value])
                  for choice in objectives.IMPERATIVES]  # fmt: skip
        return render_template("strategy/objectives.html", tabs=_tabs("/strategy/objectives", reader), groups=groups,
                               any=bool(found), may=reader.actor.may)  # fmt: skip


# The return ----------------------------------------------------------------------------------------------------------


def _scenarios(reader: Reader) -> list[roi.Scenario]:
    cases = reader.all(roi.Case, roi.Case.archived_at.is_(None), order=roi.Case.id, limit=12)
    return roi.scenarios(reader, cases)


def _roi_chart(reader: Reader, scenarios: list[roi.Scenario]) -> Mapping[str, Any] | None:
    """Cost, return and what is left of each scenario that could be worked out, in the most usual currency."""
    done = [each for each in scenarios if each.result.roi is not None]
    currencies = [each.case.currency for each in done]
    if not done:
        return None
    currency = max(currencies, key=currencies.count)
    same = [each for each in done if each.case.currency == currency]
    return {
        "type": "bar", "title": gettext("Cost and return"), "x": [each.case.title for each in same], "unit": "money",
        "currency": currency,
        "series": [
            {"name": gettext("Cost"), "data": [float(each.result.cost) for each in same]},
            {"name": gettext("Return"), "data": [float(each.result.returned or 0) for each in same]},
            {"name": gettext("ROI"), "data": [float(each.result.roi or 0) for each in same]},
        ],
    }  # fmt: skip


@needs("strategy.case.read")
def returns() -> str:
    """The scenarios side by side, with the arithmetic of each."""
    with current_site().read(current_actor()) as reader:
        scenarios = _scenarios(reader)
        return render_template("strategy/roi.html", tabs=_tabs("/strategy/roi", reader), scenarios=scenarios,
                               chart=_roi_chart(reader, scenarios), costs=roi.COSTS, fields=roi.Case.meta.fields,
                               may=reader.actor.may)  # fmt: skip


# Adoption, tenths, ways ----------------------------------------------------------------------------------------------


@needs("strategy.rollout.read")
def use() -> str:
    """Who works with what: one's own figures, those of one's teams, or of everybody, by the permission."""
    with current_site().read(current_actor()) as reader:
        uses = adoption.use_of(reader, adoption.people_in_reach(reader))
        rollouts = reader.all(adoption.Rollout, adoption.Rollout.archived_at.is_(None),
                              order=(adoption.Rollout.starts_on, adoption.Rollout.id), limit=30)  # fmt: skip
        return render_template(
            "strategy/adoption.html", tabs=_tabs("/strategy/adoption", reader), uses=uses,
            teams=adoption.teams_of(reader, uses) if len(uses) > 1 else [], modules=adoption.modules_of(uses),
            quality=adoption.quality(reader) if reader.actor.may("customer.read") else None,
            curves=adoption.curves(reader, rollouts), states=objectives.STATES,
            least=adoption.least_actions(reader.site),
            active=sum(each.active for each in uses), may=reader.actor.may,
        )  # fmt: skip


@needs("strategy.objective.read")
def customers() -> str:
    """The tenths of the customers by what they bring, and what is decided on each."""
    with current_site().read(current_actor()) as reader:
        facts = worth.facts(reader) if reader.actor.may("customer.read") else {"rows": []}
        return render_template("strategy/customers.html", tabs=_tabs("/strategy/customers", reader), **facts)


@needs("strategy.spending.read")
def channels() -> str:
    """By which way customers come, what one costs, and how many stay."""
    asked = request.args.get("days", "")
    days = int(asked) if asked.isascii() and asked.isdigit() and int(asked) in SPANS else 365
    with current_site().read(current_actor()) as reader:
        facts = acquisition.facts(reader, days)
        return render_template("strategy/acquisition.html", tabs=_tabs("/strategy/acquisition", reader), spans=SPANS,
                               may=reader.actor.may, **facts)  # fmt: skip


# Handing over --------------------------------------------------------------------------------------------------------


@needs(handover.NEEDED)
def hand_over(user_id: UUID) -> str | Response | tuple[str, int]:
    """What somebody is responsible for, who gets it, and how far that is."""
    errors: list[str] = []
    if request.method == "POST":
        try:
            with current_site().write(current_actor()) as unit:
                handover.begin(unit, unit.get(User, user_id), rule=request.form.get("rule", ""),
                               successor=_uuid("successor_id"), team=_uuid("team_id"), others=_others())  # fmt: skip
            return redirect(f"/strategy/handover/{user_id}")
        except Invalid as error:
            errors = [each.message for each in error.problems]
        except Conflict as error:
            errors = [str(error)]
    page = _handover_page(user_id, errors)
    return (page, 422) if errors else page


def _handover_page(user_id: UUID, errors: list[str]) -> str:
    with current_site().read(current_actor()) as reader:
        person = reader.get(User, user_id)
        past = reader.all(Handover, Handover.leaver_id == user_id, order=Handover.id.desc(), limit=10)
        running = next((each for each in past if each.state in {"waiting", "running", "undoing"}), None)
        rows = [] if running is not None else handover.counted(reader, user_id)
        people = reader.all(User, User.active.is_(True), User.archived_at.is_(None), User.id != user_id,
                            order=User.name)  # fmt: skip
        kinds: dict[str, int] = {}
        for each in rows:
            if each.share.duty.what == "move":
                name = each.share.entity.meta.name
                kinds[name] = kinds.get(name, 0) + each.number
        return render_template(
            "strategy/handover.html", person=person, rows=rows, kinds=kinds, running=running, past=past, errors=errors,
            people=people, teams=reader.all(Team, Team.archived_at.is_(None), order=Team.name),
            rules=handover.RULES, states={choice.value: choice for choice in handover.STATES},
            metas={each.meta.name: reader.site.meta(each) for each in reader.site.entities},
            names=reader.titles(User, [each.successor_id for each in past]), formats_=formats_of(reader),
            form=request.form,
        )  # fmt: skip


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(request.form.get(name, ""))
    except ValueError:
        return None


def _others() -> dict[str, UUID]:
    known = set(current_site().entities.names())
    found = {name.removeprefix("to:"): _uuid(name) for name in request.form if name.startswith("to:")}
    return {name: each for name, each in found.items() if each is not None and name in known}


@needs(handover.NEEDED)
def take_back(user_id: UUID) -> Response:
    """Have the last handover of somebody undone, by a job."""
    with current_site().write(current_actor()) as unit:
        done = (Handover.leaver_id == user_id, Handover.state == "done")
        found = unit.reader.all(Handover, *done, order=Handover.id.desc(), limit=1)
        if not found:
            raise Conflict(gettext("There is no handover that could be taken back."))
        found[0].state = "undoing"
        enqueue_job(unit.session.connection(), handover.UNDO_JOB, {"handover": str(found[0].id)}, actor=unit.actor,
                    key=str(found[0].id))  # fmt: skip
    return redirect(f"/strategy/handover/{user_id}")
