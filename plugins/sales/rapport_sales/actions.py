"""Buttons: what one does with a lead or an opportunity, from its page or for many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rapport import Action, ActionResult, Field, Unit, gettext, ngettext
from rapport_sales import assignment, leads, service
from rapport_sales.assignment import AssignmentRule
from rapport_sales.entities import Lead, Opportunity
from rapport_sales.scoring import ScoreRule
from rapport_sales.territories import Territory

Values = Mapping[str, Any]


def lead_actions() -> list[Action]:
    """Assign, qualify, convert."""
    change = "sales.lead.update"
    return [
        Action("sales.lead", "convert", "Convert", "transform", change, _convert, bulk=True, primary=True,
               applies=_convertible, fields=_fields(Opportunity, "amount", "expected_close_on")),
        Action("sales.lead", "qualify", "Qualify", "circle-check", change, _qualify, bulk=True,
               applies=lambda lead: lead.status in {"new", "working", "unqualified"}),
        Action("sales.lead", "disqualify", "Not suitable", "circle-x", change, _disqualify, bulk=True,
               applies=lambda lead: lead.status in {"new", "working", "qualified"}),
        Action("sales.lead", "assign", "Assign", "user-share", change, _assign, bulk=True,
               fields=[replace(Lead.meta.fields["owner_id"], help="Left empty: whom the rules say.")]),
        Action("sales.lead", "assign_anew", "Assign anew", "arrows-shuffle", change, _assign_anew, bulk=True,
               applies=lambda lead: lead.status != "converted"),
    ]  # fmt: skip


def rule_actions() -> list[Action]:
    """Before a rule decides: which leads it is about."""
    return [
        Action(entity.meta.name, "count", "How many leads?", "list-search", entity.meta.permission("update"), _count,
               bulk=True)
        for entity in (ScoreRule, Territory, AssignmentRule)
    ]  # fmt: skip


def opportunity_actions() -> list[Action]:
    """Win, lose, plan the next step, reopen."""
    change = "sales.opportunity.update"
    return [
        Action("sales.opportunity", "win", "Won", "trophy", change, _win, primary=True, applies=_open,
               fields=_fields(Opportunity, "amount", "reason")),
        Action("sales.opportunity", "lose", "Lost", "mood-sad", change, _lose, bulk=True, applies=_open,
               fields=[_needed("reason"), *_fields(Opportunity, "competitor", "reason_note")]),
        Action("sales.opportunity", "next_step", "Next step", "player-track-next", change, _next_step, bulk=True,
               applies=_open, fields=[_needed("next_step"), *_fields(Opportunity, "next_step_on")]),
        Action("sales.opportunity", "reopen", "Reopen", "rotate", change, _reopen,
               applies=lambda opportunity: not _open(opportunity)),
    ]  # fmt: skip


def _fields(entity: Any, *names: str) -> list[Field]:
    return [entity.meta.fields[name] for name in names]


def _needed(name: str) -> Field:
    known = Opportunity.meta.fields[name]
    choices = tuple(choice for choice in known.choices if choice.value)
    return replace(known, required=True, default=None, nullable=False, choices=choices)


def _open(opportunity: Any) -> bool:
    return opportunity.closed_on is None


def _convertible(lead: Any) -> bool:
    return lead.status in {"new", "working", "qualified"}


# Leads ---------------------------------------------------------------------------------------------------------------


def _convert(unit: Unit, records: Sequence[Lead], values: Values) -> ActionResult:
    made = [leads.convert_lead(unit, lead, **values) for lead in records if _convertible(lead)]
    if len(made) == 1:
        text = gettext("%(name)s is a customer now, with an opportunity.", name=str(made[0].customer))
        return ActionResult(text, made[0].opportunity)
    return ActionResult(ngettext("%(num)s lead was converted.", "%(num)s leads were converted.", len(made)))


def _qualify(unit: Unit, records: Sequence[Lead], values: Values) -> str:
    return _set_status(unit, records, "qualified")


def _disqualify(unit: Unit, records: Sequence[Lead], values: Values) -> str:
    return _set_status(unit, records, "unqualified")


def _set_status(unit: Unit, records: Sequence[Lead], status: str) -> str:
    todo = [lead for lead in records if lead.status != "converted"]
    for lead in todo:
        unit.update(lead, {"status": status})
    return ngettext("%(num)s lead was changed.", "%(num)s leads were changed.", len(todo))


def _assign(unit: Unit, records: Sequence[Lead], values: Values) -> str:
    assignment.assign(unit, records, values.get("owner_id"))
    return ngettext("%(num)s lead has a new owner.", "%(num)s leads have a new owner.", len(records))


def _assign_anew(unit: Unit, records: Sequence[Lead], values: Values) -> str:
    todo = [lead for lead in records if lead.status != "converted"]
    left = assignment.assign_anew(unit, todo)
    told = ngettext("%(num)s lead was handed out by the rules.", "%(num)s leads were handed out by the rules.",
                    len(todo) - left)  # fmt: skip
    if not left:
        return told
    return f"{told} " + ngettext(
        "For %(num)s the rules find nobody: it stays where it is.",
        "For %(num)s the rules find nobody: they stay where they are.", left,
    )  # fmt: skip


def _count(unit: Unit, records: Sequence[Any], values: Values) -> str:
    told = []
    for rule in records:
        number, exact = unit.reader.count(Lead, *unit.reader.conditions(Lead, filter=rule.condition or None))
        shown = f"{number}" if exact else f"{number}+"
        told.append(
            ngettext("%(shown)s lead fits “%(rule)s”.", "%(shown)s leads fit “%(rule)s”.", number, shown=shown,
                     rule=rule.name)
        )  # fmt: skip
    return " ".join(told)


# Opportunities -------------------------------------------------------------------------------------------------------


def _win(unit: Unit, records: Sequence[Opportunity], values: Values) -> str:
    for opportunity in records:
        service.win(unit, opportunity, **values)
    return ngettext("Won: well done!", "%(num)s opportunities won: well done!", len(records))


def _lose(unit: Unit, records: Sequence[Opportunity], values: Values) -> str:
    todo = [opportunity for opportunity in records if _open(opportunity)]
    for opportunity in todo:
        service.lose(unit, opportunity, **{"reason": "", **values})
    return ngettext("%(num)s opportunity was lost.", "%(num)s opportunities were lost.", len(todo))


def _next_step(unit: Unit, records: Sequence[Opportunity], values: Values) -> str:
    for opportunity in records:
        service.plan_next_step(unit, opportunity, str(values.get("next_step") or ""), values.get("next_step_on"))
    return ngettext("The next step is planned.", "%(num)s next steps are planned.", len(records))


def _reopen(unit: Unit, records: Sequence[Opportunity], values: Values) -> str:
    for opportunity in records:
        service.reopen(unit, opportunity)
    return gettext("Open again.")
