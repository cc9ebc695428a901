"""Customer strategy: what a customer is worth, whether we invest, keep cost down or part, and what follows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Mapped, Session

from rapport import (
    N_,
    Choice,
    Customer,
    Entity,
    Extension,
    Invalid,
    JobContext,
    Message,
    Problem,
    Reader,
    Summary,
    Unit,
    field,
    not_negative,
    ref,
    utcnow,
)
from rapport import gettext as _
from rapport_marketing.common import DECIDED
from rapport_marketing.lists import is_gone, put_on_origins

AT_ONCE = 200
COUNTED = ("sending", "sent", "delivered", "bounced", "doubtful")
"""The states of messages that reached a customer, or may have."""
DECISIONS = [
    Choice("invest", "Invest", "green"),
    Choice("manage", "Manage cost", "azure"),
    Choice("divest", "Divest", "orange"),
]
FIRST_STRATEGIES: tuple[dict[str, Any], ...] = (
    {"name": N_("Invest"), "least": Decimal(1000), "decision": "invest", "service_level": N_("Priority")},
    {"name": N_("Manage cost"), "least": Decimal(0), "decision": "manage", "service_level": N_("Standard"),
     "at_most": 2, "days": 30},
    {"name": N_("Divest"), "least": None, "decision": "divest", "service_level": N_("Basic"), "at_most": 1,
     "days": 90},
)  # fmt: skip
"""What a site begins with; the limits are its own to set."""


class Strategy(
    Entity, name="marketing.strategy", title="Customer strategy", plural="Customer strategies", icon="chess",
    roles=DECIDED, display="name", natural_key=("name",),
):  # fmt: skip
    """What is decided about customers from a profit on, and what follows for service and contact."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    least: Mapped[Decimal | None] = field(
        label="Profit from", in_list=True,
        help="It is for customers with at least this profit, up to the next strategy. Left empty: for all below.",
    )  # fmt: skip
    decision: Mapped[str] = field(label="Decision", choices=DECISIONS, in_list=True)
    service_level: Mapped[str] = field(
        label="Service level", default="", in_list=True, section="What follows",
        help="How these customers are served: Priority, Standard …",
    )  # fmt: skip
    channels: Mapped[tuple[str, ...]] = field(
        label="Marketing only by", kind="tags", section="What follows",
        help="The short names of channels, such as email. Left empty: by all of them.",
    )  # fmt: skip
    at_most: Mapped[int | None] = field(
        label="Marketing messages at most", section="What follows", help="Left empty: as many as the caps allow."
    )
    days: Mapped[int] = field(label="Within days", default=30, section="What follows")
    note: Mapped[str] = field(label="Note", kind="longtext", default="")

    def validate(self) -> Sequence[Problem]:
        """A limit is a number of messages within a time that is looked back on."""
        problems = not_negative("at_most", self.at_most)
        if not 1 <= (self.days or 0) <= 366:
            problems.append(Problem("days", _("must be between 1 and 366.")))
        return problems


class Standing(Extension, of="customer", name="marketing.standing", title="Customer strategy"):
    """What a customer is worth, what was decided from it, and the list they came with. The job decides."""

    decision: Mapped[str | None] = field(label="Decision", choices=DECISIONS, readonly=True)
    service_level: Mapped[str | None] = field(label="Service level", readonly=True)
    profit: Mapped[Decimal | None] = field(label="Profit", readonly=True)
    strategy_id: Mapped[UUID | None] = ref("marketing.strategy", label="Strategy", readonly=True)
    decided_on: Mapped[dt.date | None] = field(label="Decided on", readonly=True)
    list_id: Mapped[UUID | None] = ref(
        "marketing.list", label="Came with the list", aliases=["list", "marketing_list"], section="Marketing",
        help="Filling it in puts them on that list.",
    )  # fmt: skip

    @classmethod
    def follow_up(cls, records: Sequence[Standing], session: Any) -> None:
        """Put customers on the list they came with: a column of their import does it."""
        came = {each.of_id: each.list_id for each in records if each.list_id is not None and not is_gone(each)}
        put_on_origins(session, came)


def make_first_strategies(session: Session) -> None:
    """Put in strategies to start from, unless there is one, also an archived one."""
    if session.scalar(select(Strategy.id).limit(1)) is None:
        session.add_all(Strategy(**facts) for facts in FIRST_STRATEGIES)


# Deciding ------------------------------------------------------------------------------------------------------------


def decide_all(context: JobContext) -> str:
    """Work out every customer's profit, and which strategy it falls under. What did not change is not written."""
    site, changed, seen = context.site, 0, 0
    with site.read(context.actor) as reader:
        for ids in _customers(reader):
            profits = profits_of(reader, ids)
            with site.write(context.actor) as unit:
                changed += decide(unit, ids, profits)
            seen += len(ids)
            context.progress(seen)
    return _("%(num)s customers were looked at, %(changed)s changed.", num=seen, changed=changed)


def _customers(reader: Reader) -> Iterator[list[UUID]]:
    last: UUID | None = None
    while True:
        after = [Customer.id > last] if last is not None else []
        standing = select(Customer.id).where(Customer.archived_at.is_(None), *after).order_by(Customer.id)
        ids = list(reader.session.scalars(standing.limit(AT_ONCE)))
        if not ids:
            return
        yield ids
        last = ids[-1]


def profits_of(reader: Reader, ids: Sequence[UUID]) -> Mapping[UUID, Decimal]:
    """What some customers brought: by a field of theirs where the settings name one, else by sales of late.

    Customers of whom nothing is known are left out. Sales count in the currency of the business.
    """
    from rapport_marketing.figures import sources

    name = str(reader.site.settings.get("marketing.profit_field") or "")
    if name:
        known = reader.site.meta(Customer).fields.get(name)
        if known is None or known.kind not in {"integer", "decimal", "money"}:
            raise Invalid(_("The setting “Field with the profit” names '%(name)s', which is no number of customers. "
                            "Name another field, or leave it empty.", name=name))  # fmt: skip
        page = reader.page(Customer, fields=[known], where=[Customer.id.in_(ids)], limit=AT_ONCE)
        return {row.id: Decimal(getattr(row, name)) for row in page.items if getattr(row, name) is not None}
    months = int(reader.site.settings.get("marketing.profit_months") or 0)
    since = utcnow().date() - dt.timedelta(days=round(months * 30.4375)) if months else None
    currency = str(reader.site.settings.get("core.currency"))
    found: dict[UUID, Decimal] = {}
    for source in sources(reader.site):
        where: list[ColumnElement[bool]] = [source.customer_id.in_(ids), source.currency == currency, *source.where]
        if since is not None:
            where.append(source.on >= since)
        statement = select(source.customer_id, func.sum(source.profit)).where(*where).group_by(source.customer_id)
        for customer_id, profit in reader.session.execute(statement):
            found[customer_id] = found.get(customer_id, Decimal(0)) + (profit or Decimal(0))
    return found


def decide(unit: Unit, ids: Sequence[UUID], profits: Mapping[UUID, Decimal]) -> int:
    """Put some customers under the strategies that fit their profits; how many changed."""
    strategies = _strategies(unit.session)
    rows = {each.of_id: each for each in unit.session.scalars(select(Standing).where(Standing.of_id.in_(ids)))}
    changed = 0
    for customer_id in ids:
        profit, row = profits.get(customer_id), rows.get(customer_id)
        strategy = strategy_for(strategies, profit)
        facts = {
            "profit": profit,
            "strategy_id": strategy.id if strategy is not None else None,
            "decision": strategy.decision if strategy is not None else None,
            "service_level": strategy.service_level if strategy is not None else None,
        }
        if row is None and profit is None:
            continue
        if row is not None and all(getattr(row, name) == value for name, value in facts.items()):
            continue
        changed += 1
        row = row or Standing(of_id=customer_id)
        for name, value in {**facts, "decided_on": utcnow().date()}.items():
            setattr(row, name, value)
        unit.session.add(row)
    return changed


def strategy_for(strategies: Sequence[Strategy], profit: Decimal | None) -> Strategy | None:
    """The strategy with the highest limit that a profit reaches; nobody decides about customers nothing is known of."""
    if profit is None:
        return None
    return next((each for each in strategies if each.least is None or profit >= each.least), None)


def _strategies(session: Session) -> list[Strategy]:
    """The highest limit first, at the end the one for all below."""
    found = session.scalars(select(Strategy).where(Strategy.archived_at.is_(None)))
    return sorted(found, key=lambda each: (each.least is None, -(each.least or 0)))


# What follows --------------------------------------------------------------------------------------------------------


def refusals(message: Message, customer: Customer, session: Session) -> list[Problem]:
    """Why a decision rules a marketing message out. What the customer asked for, or is owed, is no marketing."""
    strategy = _of(session, customer.id)
    if strategy is None or not _is_marketing(session, message.purpose_id):
        return []
    if strategy.channels and message.channel not in strategy.channels:
        return [Problem(None, _("The strategy “%(name)s” allows marketing only by %(channels)s.",
                                name=_(strategy.name), channels=", ".join(strategy.channels)))]  # fmt: skip
    if strategy.at_most is None:
        return []
    if _sent_lately(session, message, strategy) >= strategy.at_most:
        return [Problem(None, _("The strategy “%(name)s” allows at most %(most)s marketing messages in %(days)s days.",
                                name=_(strategy.name), most=strategy.at_most, days=strategy.days))]  # fmt: skip
    return []


def remember(session: Session, ids: Sequence[UUID]) -> None:
    """Read which strategies some customers fall under, before many messages to them are put to the gate."""
    found = session.execute(
        select(Standing.of_id, Standing.strategy_id).where(Standing.of_id.in_(ids)), execution_options=SCOPED
    )
    session.info["marketing.standings"] = {**dict.fromkeys(ids), **{row[0]: row[1] for row in found}}


SCOPED = {"rapport_scoped": True}
"""Whoever sends: what was decided about the customer counts, whether or not they may see it."""


def _of(session: Session, customer_id: UUID) -> Strategy | None:
    strategies: dict[UUID, Strategy] | None = session.info.get("marketing.strategies")
    if strategies is None:
        rows = session.scalars(select(Strategy).where(Strategy.archived_at.is_(None)), execution_options=SCOPED)
        strategies = session.info["marketing.strategies"] = {each.id: each for each in rows}
    if not any(each.channels or each.at_most is not None for each in strategies.values()):
        return None
    known: dict[UUID, UUID | None] = session.info.get("marketing.standings", {})
    if customer_id in known:
        strategy_id = known[customer_id]
    else:
        theirs = select(Standing.strategy_id).where(Standing.of_id == customer_id)
        strategy_id = session.scalar(theirs, execution_options=SCOPED)
    return strategies.get(strategy_id) if strategy_id is not None else None


def _is_marketing(session: Session, purpose_id: UUID) -> bool:
    """Purposes that count for frequency caps are what we would like to say, not what customers wait for."""
    from rapport import Purpose

    capped: dict[UUID, bool] | None = session.info.get("marketing.purposes")
    if capped is None:
        rows = session.execute(select(Purpose.id, Purpose.capped), execution_options=SCOPED)
        capped = session.info["marketing.purposes"] = {row[0]: row[1] for row in rows}
    return capped.get(purpose_id, False)


def _sent_lately(session: Session, message: Message, strategy: Strategy) -> int:
    from rapport import Purpose

    since = utcnow() - dt.timedelta(days=strategy.days)
    statement = (
        select(func.count())
        .select_from(Message)
        .join(Purpose, Purpose.id == Message.purpose_id)
        .where(
            Message.customer_id == message.customer_id, Message.id != message.id, Purpose.capped.is_(True),
            Message.state.in_(COUNTED), Message.claimed_at > since,
        )
    )  # fmt: skip
    return int(session.scalar(statement, execution_options=SCOPED) or 0)


def summarize(reader: Reader, customer_ids: Sequence[UUID]) -> list[Summary]:
    """What was decided about each customer: one query for all of them."""
    if not reader.actor.may("customer.read"):
        return []
    rows = reader.session.execute(
        select(Standing.of_id, Standing.decision, Standing.service_level).where(
            Standing.of_id.in_(list(customer_ids)), Standing.decision.is_not(None)
        )
    )
    labels = {choice.value: choice.label for choice in DECISIONS}
    return [
        Summary(customer_id, _("Customer strategy"),
                _(labels[str(decision)]) + (f" · {_(level)}" if level else ""))
        for customer_id, decision, level in rows
    ]  # fmt: skip
