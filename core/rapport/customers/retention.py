"""How long what is known is kept: rules that archive, erase or delete what has become old."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Mapped

from rapport.access import system
from rapport.contributions import Action, Job, Schedule
from rapport.entities import Choice, Entity, entity_class, field, utcnow
from rapport.errors import Conflict, Invalid, Problem
from rapport.i18n.catalogs import _, ngettext
from rapport.jobs import JobContext
from rapport.query.filter import parse
from rapport.records import Reader, Unit

AT_ONCE = 200
NEVER = frozenset({"user", "role", "user_role", "membership", "team", "token"})
"""Kinds of records that no rule ends."""


class RetentionRule(Entity, name="retention_rule", title="Retention rule", icon="clock-x", listed=False,
                    roles={"manager": "read", "member": "read", "viewer": "read"}, natural_key=("name",)):  # fmt: skip
    """After so many days, records of a kind that meet a filter are archived, erased or deleted, once a day."""

    name: Mapped[str] = field(label="Name", unique=True, in_list=True)
    kind: Mapped[str] = field(label="Kind of record", in_list=True, help="As the API names it: customer, interaction.")
    filter: Mapped[str] = field(
        label="Filter", default="", help='In the language of lists: source = "fair". Empty: all of them.'
    )
    since: Mapped[str] = field(
        label="Counted from",
        choices=[Choice("updated_at", "The last change"), Choice("created_at", "When it was made")],
        default="updated_at",
        in_list=True,
    )
    days: Mapped[int] = field(label="After days", in_list=True)
    action: Mapped[str] = field(
        label="Then",
        choices=[
            Choice("archive", "Archive"), Choice("erase", "Erase the person", "red"),
            Choice("delete", "Delete for good", "red"),
        ],
        default="archive",
        in_list=True,
    )  # fmt: skip
    active: Mapped[bool] = field(
        label="In force", default=False, in_list=True, help="Look first at what it would do, then put it in force."
    )

    def validate(self) -> Sequence[Problem]:
        """What it names is there, and people are erased, never merely deleted."""
        problems = []
        if not 1 <= (self.days or 0) <= 36_600:
            problems.append(Problem("days", _("must be between 1 and 36600.")))
        try:
            entity_class(self.kind or "")
        except LookupError:
            problems.append(Problem("kind", _("is no kind of record here.")))
        if self.kind in NEVER:
            problems.append(Problem("kind", _("cannot be ended by a rule.")))
        if self.action == "erase" and self.kind != "customer":
            problems.append(Problem("action", _("is for customers only.")))
        if self.action == "delete" and self.kind == "customer":
            problems.append(Problem("action", _("is not for customers: erase them.")))
        if self.filter:
            try:
                parse(self.filter)
            except Invalid as error:
                problems += [Problem("filter", problem.message) for problem in error.problems]
        return problems


def due(reader: Reader, rule: RetentionRule) -> tuple[type[Entity], list[Any]]:
    """The kind of record a rule is about, and the conditions of those whose time has come."""
    entity: Any = reader.site.entities.get(rule.kind)
    if entity is None:
        raise Invalid(Problem("kind", _("is no kind of record here.")))
    conditions = reader.conditions(entity, filter=rule.filter, archived=rule.action != "archive")
    if rule.kind == "customer" and rule.action == "erase":
        conditions.append(entity.name != _("Erased"))
    return entity, [*conditions, getattr(entity, rule.since) < utcnow() - dt.timedelta(days=rule.days)]


def count(unit: Unit, records: Sequence[RetentionRule], values: Mapping[str, Any]) -> str:
    """Say how many records rules would end now, and change nothing."""
    told = []
    for rule in records:
        entity, conditions = due(unit.reader, rule)
        number, exact = unit.reader.count(entity, *conditions)
        shown = f"{number}" if exact else f"{number}+"
        text = ngettext("“%(rule)s” would end %(shown)s record now.", "“%(rule)s” would end %(shown)s records now.",
                        number, rule=rule.name, shown=shown)  # fmt: skip
        told.append(text)
    return " ".join(told)


COUNT_ACTION = Action(
    "retention_rule", "count", "What would it do?", "list-search", "retention_rule.read", count, bulk=True, primary=True
)


def run(context: JobContext) -> str:
    """Apply every rule that is in force. Each record is a transaction of its own: what is in use stays."""
    site, actor = context.site, system("retention")
    with site.read(actor) as reader:
        rules = reader.all(RetentionRule, RetentionRule.active.is_(True), RetentionRule.archived_at.is_(None))
    ended, kept = 0, 0
    for rule in rules:
        last: UUID | None = None
        while True:
            with site.read(actor) as reader:
                entity, conditions = due(reader, rule)
                if last is not None:
                    conditions.append(entity.id > last)
                statement = select(entity.id).where(*conditions).order_by(entity.id).limit(AT_ONCE)
                ids = list(reader.session.scalars(statement))
            for record_id in ids:
                try:
                    _end(context, rule, entity, record_id)
                    ended += 1
                except Conflict:
                    kept += 1
            if not ids:
                break
            last = ids[-1]
            context.progress(ended, message=rule.name)
    return _("%(ended)s records ended, %(kept)s kept because they are in use.", ended=ended, kept=kept)


def _end(context: JobContext, rule: RetentionRule, entity: type[Entity], record_id: UUID) -> None:
    from rapport.customers.erasing import erase

    site, actor = context.site, system("retention")
    if rule.action == "erase":
        erase(site, actor, record_id)
        return
    with site.write(actor) as unit:
        record = unit.get(entity, record_id)
        if rule.action == "archive":
            unit.archive(record)
        else:
            unit.delete(record)


RETENTION_JOB = Job("core.retention", "End what is kept too long", run)
RETENTION_SCHEDULE = Schedule("core.retention", RETENTION_JOB.name, "daily at 02:40")
