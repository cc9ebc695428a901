"""Suggestions: what customers and colleagues would do better, who can act on it, and the result that comes back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from rapport_products import Product
from sqlalchemy import Index, inspect, or_, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    LANGUAGES,
    Action,
    Choice,
    Customer,
    Entity,
    ListFilter,
    Logged,
    Owned,
    Panel,
    Problem,
    Reader,
    Task,
    Unit,
    User,
    field,
    ngettext,
    ref,
    send,
    utcnow,
)
from rapport import gettext as _
from rapport_service.registration import SCOPED
from rapport_service.surveys import language_of, mail_user

READ = "service.suggestion.read"
DAYS_TO_CONSIDER = 7
ABOUT = [
    Choice("product", "Product", "azure"),
    Choice("service", "Service", "indigo"),
    Choice("store", "Store", "teal"),
    Choice("website", "Website", "cyan"),
    Choice("process", "How we work", "purple"),
    Choice("other", "Something else", "secondary"),
]
STATUSES = [
    Choice("new", "New", "azure"),
    Choice("considered", "Considered", "blue"),
    Choice("accepted", "Accepted", "teal"),
    Choice("refused", "Not taken up", "secondary"),
    Choice("done", "Done", "green"),
]
TOLD = ("accepted", "refused", "done")
"""What whoever made it hears of."""


class SuggestionRule(
    Entity, name="service.suggestion_rule", title="Suggestion rule", icon="route", listed=False, display="about",
    roles={"manager": "read create update delete", "member": "read", "viewer": "read"},
):  # fmt: skip
    """Whom suggestions go to. The rule that says most about one decides."""

    about: Mapped[str] = field(label="About", choices=[Choice("", "Anything"), *ABOUT], default="", in_list=True)
    product_id: Mapped[UUID | None] = ref("products.product", label="Product", on_delete="CASCADE", in_list=True)
    user_id: Mapped[UUID] = ref("user", label="Goes to", on_delete="CASCADE", in_list=True)


class Suggestion(
    Owned, Entity, name="service.suggestion", title="Suggestion", icon="bulb", display="title",
    roles={
        "manager": "read create update delete export import",
        "member": "read create update:own export",
        "viewer": "read",
        "portal": "read",
    },
):  # fmt: skip
    """Something that could be better, from a customer or one of us. Its owner is who can act on it."""

    __table_args__ = (Index("ix_service_suggestion_status", "status", "id"),)

    title: Mapped[str] = field(label="Suggestion", searchable=True, in_list=True)
    text: Mapped[str] = field(label="In detail", kind="longtext", default="", searchable=True)
    about: Mapped[str] = field(label="About", choices=ABOUT, default="other", in_list=True)
    product_id: Mapped[UUID | None] = ref("products.product", label="Product")
    customer_id: Mapped[UUID | None] = ref(
        "customer", label="From the customer", in_list=True, help="Left empty, it is from one of us."
    )
    made_by_id: Mapped[UUID | None] = ref("user", label="Made by", on_delete="SET NULL", readonly=True)
    status: Mapped[str] = field(label="Status", choices=STATUSES, default="new", in_list=True, section="Result")
    result: Mapped[str] = field(
        label="Result", kind="longtext", default="", section="Result", help="Whoever made it gets to read this."
    )
    decided_on: Mapped[dt.date | None] = field(label="Decided on", readonly=True, section="Result")

    def complete(self, session: Session) -> None:
        """Remember who made it, and the day it was decided."""
        state: Any = inspect(self)
        if not state.persistent and self.customer_id is None and self.made_by_id is None:
            actor: Any = getattr(session, "actor", None)
            self.made_by_id = actor.id if actor is not None else None
        if self.status in TOLD and self.decided_on is None:
            self.decided_on = utcnow().date()
        elif self.status in {"new", "considered"}:
            self.decided_on = None

    def validate(self) -> Sequence[Problem]:
        """Nobody is left without an answer: what is refused or done says why, or what."""
        if self.status in {"refused", "done"} and not self.result:
            return [Problem("result", _("is missing. Say why, or what was done: whoever made it gets to read it."))]
        return []


ENTITIES: list[type[Entity]] = [SuggestionRule, Suggestion]


def choose_owner(record: Entity, session: Session) -> UUID | None:
    """Who can act on a new suggestion: by the rule for its product, else for what it is about, else for anything."""
    if not isinstance(record, Suggestion):
        return None
    any_product = SuggestionRule.product_id.is_(None)
    fits = (
        any_product if record.product_id is None else or_(any_product, SuggestionRule.product_id == record.product_id)
    )
    rules = session.scalars(
        select(SuggestionRule)
        .join(User, User.id == SuggestionRule.user_id)
        .where(
            fits, SuggestionRule.about.in_(["", record.about]), SuggestionRule.archived_at.is_(None),
            User.active.is_(True),
        )
        .order_by(SuggestionRule.id),
        execution_options=SCOPED,
    ).all()  # fmt: skip
    best = max(rules, key=lambda rule: (rule.product_id is not None, rule.about != ""), default=None)
    return best.user_id if best is not None else None


# What follows --------------------------------------------------------------------------------------------------------


def follow(unit: Unit, changes: Sequence[Logged]) -> None:
    """Whoever can act gets a task for a new suggestion; whoever made it hears what became of it."""
    for change in changes:
        found = unit.reader.all(Suggestion, Suggestion.id == change.record_id, limit=1)
        if not found or found[0].archived_at is not None:
            continue
        if change.action == "created" and found[0].status == "new":
            _hand_over(unit, found[0])
        elif "status" in change.changes and change.changes["status"][1] in TOLD:
            _tell(unit, found[0], str(change.changes["status"][1]))


def _hand_over(unit: Unit, suggestion: Suggestion) -> None:
    if suggestion.owner_id is None or suggestion.owner_id == suggestion.made_by_id:
        return
    unit.create(Task, {
        "title": _("Consider: %(what)s", what=suggestion.title), "owner_id": suggestion.owner_id,
        "customer_id": suggestion.customer_id, "due_on": unit.reader.today() + dt.timedelta(days=DAYS_TO_CONSIDER),
        "note": suggestion.text, "about_entity": Suggestion.meta.name, "about_id": suggestion.id,
    })  # fmt: skip


def _tell(unit: Unit, suggestion: Suggestion, status: str) -> None:
    open_ = (Task.about_id == suggestion.id, Task.about_entity == Suggestion.meta.name, Task.done_at.is_(None))
    for task in unit.reader.all(Task, *open_):
        unit.update(task, {"done_at": utcnow()})
    if suggestion.customer_id is not None:
        customer = unit.get(Customer, suggestion.customer_id)
        channel = next((each.name for each in unit.site.channels if each.point == "email"), None)
        if channel is not None and customer.email and customer.archived_at is None:
            with unit.site.speaking(language_of(customer)):
                subject, text = _words(suggestion, status, customer.name)
            send(unit, channel=channel, customer=customer, purpose="service", subject=subject, body=text,
                 about=suggestion)  # fmt: skip
    elif suggestion.made_by_id is not None and suggestion.made_by_id != suggestion.owner_id:
        user = unit.get(User, suggestion.made_by_id)
        with unit.site.speaking(user.language if user.language in LANGUAGES else "en"):
            subject, text = _words(suggestion, status, user.name)
        mail_user(unit, user.email, subject, text)


def _words(suggestion: Suggestion, status: str, name: str) -> tuple[str, str]:
    became = {"accepted": _("We take up your suggestion"), "refused": _("We do not take up your suggestion"),
              "done": _("Your suggestion is done")}[status]  # fmt: skip
    facts = {"name": name, "became": became, "title": suggestion.title, "result": suggestion.result}
    subject = _("%(became)s: %(title)s", **facts)
    return subject, _("Hello %(name)s,\n\n%(became)s: %(title)s\n\n%(result)s\n\nThank you for it!", **facts)


def forget(customer: Customer, session: Session) -> None:
    """Delete what a person who is erased suggested: it refers to them loosely, but is in their words."""
    theirs = select(Suggestion).where(Suggestion.customer_id == customer.id)
    for suggestion in session.scalars(theirs, execution_options=SCOPED):
        session.delete(suggestion)


# Buttons and panels --------------------------------------------------------------------------------------------------


def actions() -> list[Action]:
    """Consider, accept, refuse, do."""
    change, result = "service.suggestion.update", Suggestion.meta.fields["result"]
    needed = replace(result, required=True, nullable=False)
    return [
        Action("service.suggestion", "consider", "Consider", "eye", change, _consider, bulk=True,
               applies=_at("new")),
        Action("service.suggestion", "accept", "Take it up", "thumb-up", change, _accept, primary=True,
               applies=_at("new", "considered"), fields=[result]),
        Action("service.suggestion", "refuse", "Do not take it up", "thumb-down", change, _refuse,
               applies=_at("new", "considered", "accepted"), fields=[needed]),
        Action("service.suggestion", "done", "It is done", "circle-check", change, _done, primary=True,
               applies=_at("accepted"), fields=[needed]),
    ]  # fmt: skip


def _at(*statuses: str) -> Any:
    return lambda record: record.status in statuses


def _consider(unit: Unit, records: Sequence[Suggestion], values: Mapping[str, Any]) -> str:
    return _become(unit, [each for each in records if each.status == "new"], "considered", values)


def _accept(unit: Unit, records: Sequence[Suggestion], values: Mapping[str, Any]) -> str:
    return _become(unit, records, "accepted", values)


def _refuse(unit: Unit, records: Sequence[Suggestion], values: Mapping[str, Any]) -> str:
    return _become(unit, records, "refused", values)


def _done(unit: Unit, records: Sequence[Suggestion], values: Mapping[str, Any]) -> str:
    return _become(unit, records, "done", values)


def _become(unit: Unit, records: Sequence[Suggestion], status: str, values: Mapping[str, Any]) -> str:
    given = {name: value for name, value in values.items() if value}
    for each in records:
        unit.update(each, {**given, "status": status})
    return ngettext("Noted. Whoever made it hears of the result.", "%(num)s are noted.", len(records))


def list_filters() -> list[ListFilter]:
    """What one looks for among suggestions."""
    return [
        ListFilter("service.suggestion", "open", "Open", 'status in ("new", "considered", "accepted")'),
        ListFilter("service.suggestion", "mine", "Mine to act on", "owner_id = me"),
    ]


def panels() -> list[Panel]:
    """What I suggested and what became of it; what a customer did."""
    return [
        Panel("home", "My suggestions", "service/my_suggestions.html", mine, READ, "bulb", 70),
        Panel("customer.side", "Suggestions", "service/suggestions.html", of_customer, READ, "bulb", 48),
    ]


def mine(reader: Reader) -> Mapping[str, Any]:
    """The newest of mine, with their result."""
    return _rows(reader, Suggestion.made_by_id == reader.actor.id)


def of_customer(reader: Reader, record: Customer) -> Mapping[str, Any]:
    """What a customer suggested."""
    return _rows(reader, Suggestion.customer_id == record.id)


def _rows(reader: Reader, whose: Any) -> Mapping[str, Any]:
    found = reader.all(Suggestion, whose, Suggestion.archived_at.is_(None), order=Suggestion.id.desc(), limit=5)
    choices = {choice.value: choice for choice in STATUSES}
    return {"rows": [{"it": each, "status": choices[each.status]} for each in found],
            "products": reader.titles(Product, [each.product_id for each in found])}  # fmt: skip
