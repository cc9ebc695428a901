"""Buttons: what one does with a case, a contact, a queue or an article, from its page or for many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from rapport import Action, ActionResult, Field, Interaction, Invalid, Problem, Unit, gettext, ngettext
from rapport_service import cases, knowledge, macros, merging, queues
from rapport_service.entities import DONE, PRIORITIES, Case
from rapport_service.knowledge import Article, Version
from rapport_service.macros import Macro
from rapport_service.queues import Queue

Values = Mapping[str, Any]
CHANGE = "service.case.update"


def actions() -> list[Action]:
    """Every button of the help desk."""
    return [*_case_actions(), *_other_actions()]


def _case_actions() -> list[Action]:
    case, fields = "service.case", Case.meta.fields
    to_case = Field("into", "Into the case", "reference", target=case, required=True)
    macro = Field("macro", "Macro", "reference", target="service.macro", required=True)
    return [
        Action(case, "take", "Take the case", "hand-grab", CHANGE, _take, bulk=True, primary=True,
               applies=lambda each: each.owner_id is None and each.status not in DONE),
        Action(case, "solve", "Solved", "circle-check", CHANGE, _to("solved"), bulk=True, primary=True,
               applies=lambda each: each.status not in DONE),
        Action(case, "wait", "Wait for the customer", "hourglass", CHANGE, _to("pending"), bulk=True,
               applies=lambda each: each.status in {"new", "open", "hold"}),
        Action(case, "hold", "Put on hold", "player-pause", CHANGE, _to("hold"), bulk=True,
               applies=lambda each: each.status in {"new", "open", "pending"}),
        Action(case, "reopen", "Open again", "rotate", CHANGE, _to("open"), bulk=True,
               applies=lambda each: each.status not in {"new", "open"} and each.merged_into_id is None),
        Action(case, "close", "Close", "archive", CHANGE, _to("closed"), bulk=True,
               applies=lambda each: each.status == "solved"),
        Action(case, "macro", "Use a macro", "bolt", CHANGE, _macro, bulk=True, fields=[macro],
               applies=lambda each: each.merged_into_id is None),
        Action(case, "hand_over", "Hand over", "user-share", CHANGE, _hand_over, bulk=True,
               fields=[replace(fields["queue_id"], help="Whoever has room there gets it, unless you say who."),
                       replace(fields["owner_id"], label="To")]),
        Action(case, "prioritise", "Set the priority", "flag", CHANGE, _prioritise, bulk=True,
               fields=[replace(fields["priority"], choices=tuple(PRIORITIES))]),
        Action(case, "merge", "Merge", "arrows-join-2", CHANGE, _merge, bulk=True, fields=[to_case],
               applies=lambda each: each.merged_into_id is None),
        Action(case, "unmerge", "Take apart again", "arrows-split-2", CHANGE, _unmerge,
               applies=lambda each: each.merged_into_id is not None),
    ]  # fmt: skip


def _other_actions() -> list[Action]:
    into = Field("case", "Case", "reference", target="service.case", required=True)
    return [
        Action("interaction", "case", "Make it a case", "lifebuoy", "service.case.create", _make_case,
               applies=lambda each: each.about_id is None),
        Action("interaction", "to_case", "Add to a case", "link", CHANGE, _to_case, bulk=True, fields=[into],
               applies=lambda each: each.about_id is None),
        Action("service.queue", "next", "Take the next", "player-track-next", CHANGE, _next, primary=True),
        Action("service.article", "publish", "Publish", "world", "service.article.update", _publish, bulk=True,
               primary=True, applies=lambda each: each.status != "published"),
        Action("service.article", "retire", "Out of date", "archive", "service.article.update", _retire, bulk=True,
               applies=lambda each: each.status == "published"),
        Action("service.article", "helpful", "Helpful", "thumb-up", "service.article.update", _helpful),
        Action("service.article", "unhelpful", "Not helpful", "thumb-down", "service.article.update", _unhelpful),
        Action("service.version", "restore", "Make this the text again", "history", "service.article.update",
               _restore, primary=True),
    ]  # fmt: skip


def _chosen(values: Values, name: str) -> UUID:
    """The record that was chosen in a form."""
    if not values.get(name):
        raise Invalid(Problem(name, gettext("is missing.")))
    return UUID(str(values[name]))


# Cases ---------------------------------------------------------------------------------------------------------------


def _take(unit: Unit, records: Sequence[Case], values: Values) -> str:
    assert unit.actor.id is not None
    todo = [each for each in records if each.owner_id != unit.actor.id]
    for each in todo:
        queues.give(unit, each, unit.actor.id, None)
    return ngettext("It is yours.", "%(num)s cases are yours.", len(todo))


def _to(status: str) -> Any:
    def change(unit: Unit, records: Sequence[Case], values: Values) -> str:
        count = cases.set_status(unit, records, status)
        return ngettext("%(num)s case was changed.", "%(num)s cases were changed.", count)

    return change


def _macro(unit: Unit, records: Sequence[Case], values: Values) -> str:
    macro = unit.get(Macro, _chosen(values, "macro"))
    sent = [macros.apply(unit, macro, each) for each in records]
    refused = [each for each in sent if each is not None and each.state == "refused"]
    if refused:
        return gettext("Done, but %(num)s could not be written to: %(why)s", num=len(refused), why=refused[0].reason)
    return ngettext("The macro was used.", "The macro was used for %(num)s cases.", len(records))


def _hand_over(unit: Unit, records: Sequence[Case], values: Values) -> str:
    queue_id, owner_id = values.get("queue_id") or None, values.get("owner_id") or None
    if queue_id is None and owner_id is None:
        raise Invalid(Problem("queue_id", gettext("is missing. Name a queue or a person.")))
    for each in records:
        unit.update(each, {"queue_id": queue_id or each.queue_id, "owner_id": owner_id})
    if owner_id is None:
        queues.hand_out(unit, {each.queue_id for each in records})
    return ngettext("%(num)s case was handed over.", "%(num)s cases were handed over.", len(records))


def _prioritise(unit: Unit, records: Sequence[Case], values: Values) -> str:
    for each in records:
        unit.update(each, {"priority": values.get("priority") or "normal"})
    return ngettext("%(num)s case was changed.", "%(num)s cases were changed.", len(records))


def _merge(unit: Unit, records: Sequence[Case], values: Values) -> ActionResult:
    survivor = unit.get(Case, _chosen(values, "into"))
    others = [each for each in records if each.id != survivor.id or len(records) == 1]
    merging.merge(unit, survivor, others)
    return ActionResult(gettext("Merged into case %(number)s.", number=survivor.number), survivor)


def _unmerge(unit: Unit, records: Sequence[Case], values: Values) -> ActionResult:
    for each in records:
        merging.unmerge(unit, each)
    return ActionResult(gettext("They are two cases again."), records[0])


# Others --------------------------------------------------------------------------------------------------------------


def _make_case(unit: Unit, records: Sequence[Interaction], values: Values) -> ActionResult:
    case = cases.case_from(unit, records[0])
    return ActionResult(gettext("It is case %(number)s now.", number=case.number), case)


def _to_case(unit: Unit, records: Sequence[Interaction], values: Values) -> ActionResult:
    case = unit.get(Case, _chosen(values, "case"))
    for each in records:
        cases.adopt(unit, case, cases.thread_of(unit, each))
    return ActionResult(gettext("It belongs to case %(number)s now.", number=case.number), case)


def _next(unit: Unit, records: Sequence[Queue], values: Values) -> ActionResult:
    found = queues.take_next(unit, records[0].id)
    if found is None:
        return ActionResult(gettext("Nothing waits here for you."))
    return ActionResult(gettext("Case %(number)s is yours.", number=found.number), found)


def _publish(unit: Unit, records: Sequence[Article], values: Values) -> str:
    return _status(unit, records, "published")


def _retire(unit: Unit, records: Sequence[Article], values: Values) -> str:
    return _status(unit, records, "archived")


def _status(unit: Unit, records: Sequence[Article], status: str) -> str:
    for each in records:
        unit.update(each, {"status": status})
    return ngettext("%(num)s article was changed.", "%(num)s articles were changed.", len(records))


def _helpful(unit: Unit, records: Sequence[Article], values: Values) -> str:
    return _vote(unit, records, helpful=True)


def _unhelpful(unit: Unit, records: Sequence[Article], values: Values) -> str:
    return _vote(unit, records, helpful=False)


def _vote(unit: Unit, records: Sequence[Article], *, helpful: bool) -> str:
    for each in records:
        knowledge.vote(unit, each, helpful, user_id=unit.actor.id)
    return gettext("Thank you.")


def _restore(unit: Unit, records: Sequence[Version], values: Values) -> ActionResult:
    return ActionResult(gettext("This is the text again."), knowledge.restore(unit, records[0]))
