"""Quotas: what a person or a team is to reach in a month, quarter or year, and how far they are."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from rapport_products import tidy_currency
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import Mapped, Session

from rapport import Entity, Invalid, Membership, Problem, Reader, Team, User, field, known_currency, ref
from rapport import gettext as _
from rapport_sales import results
from rapport_sales.results import IN_MONEY, MEASURES, PERIODS, period_of
from rapport_sales.scoring import SETUP


class Quota(Entity, name="sales.quota", title="Quota", icon="target", roles=SETUP, display="name"):
    """What a person or a team is to reach in a period, by the measure that counts for them."""

    name: Mapped[str] = field(label="Quota", default="", readonly=True, searchable=True, in_list=True)
    user_id: Mapped[UUID | None] = ref("user", label="Person", on_delete="CASCADE")
    team_id: Mapped[UUID | None] = ref(
        "team",
        label="Team",
        on_delete="CASCADE",
        help="Or a team: what its people reach together. With neither, it is everybody’s.",
    )
    period: Mapped[str] = field(label="Period", choices=PERIODS, default="quarter", in_list=True)
    starts_on: Mapped[dt.date] = field(
        label="Begins on", in_list=True, indexed=True, help="Any day of the period will do."
    )
    ends_on: Mapped[dt.date | None] = field(label="Ends on", readonly=True, indexed=True)
    measure: Mapped[str] = field(
        label="Measure", choices=MEASURES, default="amount", in_list=True,
        help="Margin is what was sold less what it cost. A customer is won with their first purchase.",
    )  # fmt: skip
    target: Mapped[Decimal] = field(label="Target", in_list=True)
    currency: Mapped[str] = field(
        label="Currency", default="", max_length=3, in_list=True,
        help="Of amounts and margins. Left empty: the currency of prices.",
    )  # fmt: skip

    def complete(self, session: Session) -> None:
        """It begins and ends with its period, in a currency where it is about money, and has a name."""
        self.currency = tidy_currency(session, self.currency) if self.measure in IN_MONEY else ""
        if self.starts_on is None:
            return
        self.starts_on, self.ends_on = period_of(self.period, self.starts_on)
        whose: Any = None
        if self.user_id or self.team_id:
            whose = session.get(User, self.user_id) if self.user_id else session.get(Team, self.team_id)
        self.name = f"{whose or _('Everybody')} · {period_name(self.period, self.starts_on)}"[:200]
        same = select(Quota.id).where(
            Quota.id != self.id, Quota.user_id == self.user_id, Quota.team_id == self.team_id,
            Quota.period == self.period, Quota.starts_on == self.starts_on, Quota.measure == self.measure,
            Quota.currency == self.currency, Quota.archived_at.is_(None),
        )  # fmt: skip
        if self.archived_at is None and session.scalar(same.limit(1)) is not None:
            raise Invalid(Problem("target", _("is set already for this period and measure. Change that one.")))

    def validate(self) -> Sequence[Problem]:
        """It is a person's or a team's, and more than nothing."""
        problems = known_currency(self.currency) if self.measure in IN_MONEY else []
        if self.user_id is not None and self.team_id is not None:
            problems.append(Problem("team_id", _("must be empty where a person is named.")))
        if self.target is not None and self.target <= 0:
            problems.append(Problem("target", _("must be more than 0.")))
        return problems


def period_name(kind: str, first: dt.date) -> str:
    """2027-03, 2027 Q1 or 2027."""
    names = {"month": f"{first:%Y-%m}", "quarter": f"{first.year} Q{(first.month + 2) // 3}", "year": str(first.year)}
    return names[kind]


def attained(reader: Reader, quotas: Sequence[Quota]) -> dict[UUID, Decimal]:
    """How much of each quota is reached: one statement for each measure, however many quotas there are."""
    found: dict[UUID, Decimal] = {}
    for measure in {quota.measure for quota in quotas}:
        some = [quota for quota in quotas if quota.measure == measure and quota.ends_on is not None]
        if not some:
            continue
        last = max(each.ends_on for each in some if each.ends_on)
        sold = results.sales(reader, min(each.starts_on for each in some), last)
        total, _currency = results.measured(measure, sold)
        people = select(Membership.user_id).where(Membership.team_id == Quota.team_id).correlate(Quota)
        theirs = or_(sold.c.owner_id == Quota.user_id, sold.c.owner_id.in_(people), is_everybodys())
        same: list[ColumnElement[bool]] = [sold.c.day.between(Quota.starts_on, Quota.ends_on), theirs]
        if measure in IN_MONEY:
            same.append(sold.c.currency == Quota.currency)
        statement = select(Quota.id, total).join(sold, and_(*same)).where(Quota.id.in_([each.id for each in some]))
        statement = results.limited(measure, statement, sold, reader).group_by(Quota.id)
        found |= {row[0]: Decimal(row[1] or 0) for row in reader.session.execute(statement)}
    return found


def is_everybodys() -> ColumnElement[bool]:
    """Of a quota: neither a person's nor a team's."""
    return and_(Quota.user_id.is_(None), Quota.team_id.is_(None))


def attainment_column(reader: Reader, ids: Sequence[UUID]) -> Mapping[UUID, Any]:
    """For the list of quotas: how much of each is reached, in %."""
    quotas = reader.all(Quota, Quota.id.in_(list(ids)))
    reached = attained(reader, quotas) if reader.actor.may("sales.opportunity.read") else {}
    return {quota.id: share(reached.get(quota.id, Decimal(0)), quota.target) for quota in quotas if quota.target}


def share(reached: Decimal, target: Decimal) -> int:
    """In whole per cent."""
    return round(100 * reached / target)


def current(reader: Reader, *where: Any, limit: int = 6) -> list[Quota]:
    """The quotas whose time is now, the shortest period first."""
    today = reader.today()
    now = (Quota.starts_on <= today, Quota.ends_on >= today, Quota.archived_at.is_(None))
    return reader.all(Quota, *now, *where, order=(Quota.ends_on, Quota.measure, Quota.id), limit=limit)


def my_facts(reader: Reader) -> Mapping[str, Any]:
    """What I, my teams and everybody are to reach now, how far we are, and how much of the time has passed."""
    teams = Quota.team_id.in_(list(reader.actor.team_ids))
    mine = or_(Quota.user_id == reader.actor.id, teams, is_everybodys())
    quotas = current(reader, mine)
    reached = attained(reader, quotas)
    labels = {choice.value: choice.label for choice in MEASURES}
    today = reader.today()
    return {
        "quotas": [
            {"quota": each, "measure": labels[each.measure], "reached": reached.get(each.id, Decimal(0)),
             "share": share(reached.get(each.id, Decimal(0)), each.target),
             "time": round(100 * ((today - each.starts_on).days + 1) / ((each.ends_on - each.starts_on).days + 1))}
            for each in quotas if each.ends_on is not None
        ]
    }  # fmt: skip


def people_targets(reader: Reader, measure: str, period: str, first: dt.date) -> dict[tuple[UUID, str], Decimal]:
    """The quotas of people for a measure and a period, by person and currency."""
    statement = (
        select(Quota.user_id, Quota.currency, func.sum(Quota.target))
        .where(Quota.user_id.is_not(None), Quota.measure == measure, Quota.period == period, Quota.starts_on == first,
               Quota.archived_at.is_(None))
        .group_by(Quota.user_id, Quota.currency)
    )  # fmt: skip
    found = reader.session.execute(statement)
    return {(person, currency): target for person, currency, target in found if person is not None}
