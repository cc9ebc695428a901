"""Attribution: which campaigns a sale is owed to, by what reached the customer and what they answered before it.

A touch is a message of a campaign that went out to the customer, or a response of theirs. Of the touches within so many
days before a sale (setting `marketing.attribution_days`), with n touches t1 … tn:

- first: all of it to t1.  last: all of it to tn.  linear: 1/n to each.
- time decay: each weighs 2^(-d/h), d days before the sale with the half-life h (`marketing.half_life_days`).
- position: 40 % to t1, 40 % to tn, 20 % shared by those between; two share equally, one has all.

These are the rules that P. Shao and L. Li, "Data-driven Multi-touch Attribution Models" (KDD 2011), section 2, and the
analytics programs of today call by these names. Shares are rounded so that they add up to the revenue exactly. A sale
that nothing came before is owed to nobody.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select

from rapport import Choice, Field, Message, Reader, Report
from rapport_marketing.campaigns import NO_INTEREST, Campaign, Response
from rapport_marketing.figures import REACHED, may_see, sources
from rapport_marketing.hookspecs import Sales

AT_ONCE = 1000
CENT = Decimal("0.0001")
MODELS = (
    Choice("first", "First touch"), Choice("last", "Last touch"), Choice("linear", "Linear"),
    Choice("decay", "Time decay"), Choice("position", "Position: 40, 20, 40"),
)  # fmt: skip
Touch = tuple[dt.datetime, str]
"""When, and the code of the campaign."""


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale, as its place keeps it."""

    customer_id: UUID
    on: dt.date
    currency: str
    revenue: Decimal


# The rules -----------------------------------------------------------------------------------------------------------


def weights(model: str, ages: Sequence[float], half_life: float) -> list[float]:
    """How much each touch counts, the oldest first; `ages` are days before the sale. They add up to 1."""
    count = len(ages)
    middle = max(count - 2, 1)
    rules: Mapping[str, Callable[[int], float]] = {
        "first": lambda at: float(at == 0),
        "last": lambda at: float(at == count - 1),
        "linear": lambda at: 1.0,
        "decay": lambda at: 2.0 ** (-(ages[at] - min(ages)) / half_life),
        "position": lambda at: 1.0 if count < 3 else 0.4 if at in {0, count - 1} else 0.2 / middle,
    }
    drawn = [rules[model](at) for at in range(count)]
    total = sum(drawn)
    return [each / total for each in drawn]


def shares(amount: Decimal, parts: Sequence[float]) -> list[Decimal]:
    """An amount by weights that add up to 1, rounded so that the shares add up to it exactly."""
    edges = [Decimal(0)]
    for reached in itertools.accumulate(parts):
        edges.append((amount * Decimal(repr(min(reached, 1.0)))).quantize(CENT, ROUND_HALF_EVEN))
    edges[-1] = amount
    return [later - earlier for earlier, later in itertools.pairwise(edges)]


# The report ----------------------------------------------------------------------------------------------------------


def report() -> Report:
    """What each campaign is owed, by one of the rules."""
    return Report(
        "marketing.attribution", "What sales are owed to", needs="marketing.campaign.read", icon="git-merge",
        help="The revenue of each sale, shared among the campaigns that reached the customer before it.",
        fields=[
            Field("model", "Rule", "choice", choices=MODELS, default="linear"),
            Field("since", "Sales since", "date", help="Left empty: the last 365 days."),
        ],
        columns=[
            Field("campaign", "Campaign", "text"),
            Field("sales", "Sales with a part in it", "integer"),
            Field("revenue", "Revenue", "money", currency="currency"),
            Field("currency", "Currency", "text"),
        ],
        rows=attributed,
    )  # fmt: skip


@dataclass(slots=True)
class Row:
    """What a campaign is owed in one currency."""

    campaign: str
    currency: str
    sales: int = 0
    revenue: Decimal = Decimal(0)


def attributed(reader: Reader, model: str, since: dt.date | None) -> Sequence[Row]:
    """A line for each campaign and currency, the largest first; at the end what is owed to none."""
    settings = reader.site.settings
    days = int(settings.get("marketing.attribution_days"))
    half_life = max(float(settings.get("marketing.half_life_days")), 0.01)
    rows: dict[tuple[str, str], Row] = {}
    first = since or reader.today() - dt.timedelta(days=365)
    for source in sources(reader.site):
        if not may_see(reader, source):
            continue
        for sales in _sales(reader, source, first):
            touches = _touches(reader, {each.customer_id for each in sales}, first - dt.timedelta(days=days))
            for sale in sales:
                _share(rows, sale, _before(touches.get(sale.customer_id, ()), sale, days), model or "linear", half_life)
    names = {row[0]: row[1] for row in reader.session.execute(
        select(Campaign.code, Campaign.name).where(Campaign.code.in_({code for code, _currency in rows})))}  # fmt: skip
    for (code, _currency), row in rows.items():
        row.campaign = names.get(code, code) or "–"
    return sorted(
        (row for row in rows.values() if row.sales),
        key=lambda row: (row.campaign == "–", row.currency, -row.revenue, row.campaign),
    )


def _share(
    rows: dict[tuple[str, str], Row], sale: Sale, touches: Sequence[Touch], model: str, half_life: float
) -> None:
    end = _end_of(sale.on)
    codes = [code for _at, code in touches] or [""]
    ages = [(end - at).total_seconds() / 86400 for at, _code in touches] or [0.0]
    parts = shares(sale.revenue, weights(model, ages, half_life))
    for code in set(codes):
        row = rows.setdefault((code, sale.currency), Row("", sale.currency))
        owed = [part for part, whose in zip(parts, codes, strict=True) if whose == code]
        row.revenue += sum(owed, Decimal(0))
        row.sales += any(owed)


def _before(touches: Sequence[Touch], sale: Sale, days: int) -> list[Touch]:
    end = _end_of(sale.on)
    return [touch for touch in touches if end - dt.timedelta(days=days + 1) < touch[0] < end]


def _end_of(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), dt.UTC)


def _sales(reader: Reader, source: Sales, since: dt.date) -> Iterator[list[Sale]]:
    """The sales of some customers at a time, all of each customer's together."""
    last: Any = None
    while True:
        beyond = [source.customer_id > last] if last is not None else []
        here = (source.on >= since, *source.where, *beyond)
        ids = list(reader.session.scalars(
            select(source.customer_id).where(source.customer_id.is_not(None), *here)
            .group_by(source.customer_id).order_by(source.customer_id).limit(AT_ONCE)
        ))  # fmt: skip
        columns = (source.customer_id, source.on, source.currency, source.revenue)
        if last is None:  # what was sold to nobody in particular is owed to nobody either
            rows = reader.session.execute(select(*columns).where(source.customer_id.is_(None), *here))
            yield [Sale(UUID(int=0), *row[1:]) for row in rows]
        if not ids:
            return
        rows = reader.session.execute(select(*columns).where(source.customer_id.in_(ids), *here))
        yield [Sale(*row) for row in rows]
        last = ids[-1]


def _touches(reader: Reader, customers: set[UUID], since: dt.date) -> Mapping[UUID, list[Touch]]:
    """What reached customers and what they answered, the oldest first."""
    begin = dt.datetime.combine(since, dt.time(), dt.UTC)
    found: dict[UUID, list[Touch]] = {}
    if reader.actor.may("message.read"):
        sent = select(Message.customer_id, Message.sent_at, Message.campaign).where(
            Message.customer_id.in_(customers), Message.campaign != "", Message.state.in_(REACHED),
            Message.sent_at >= begin,
        )  # fmt: skip
        for customer_id, at, code in reader.session.execute(sent):
            if at is not None:
                found.setdefault(customer_id, []).append((at, code))
    came = (
        select(Response.customer_id, Response.at, Campaign.code)
        .join(Campaign, Campaign.id == Response.campaign_id)
        .where(Response.customer_id.in_(customers), Response.archived_at.is_(None), Response.at >= begin,
               Response.kind.not_in(NO_INTEREST))
    )  # fmt: skip
    for customer_id, at, code in reader.session.execute(came):
        found.setdefault(customer_id, []).append((at, code))
    for touches in found.values():
        touches.sort()
    return found


__all__ = ["MODELS", "attributed", "report", "shares", "weights"]
