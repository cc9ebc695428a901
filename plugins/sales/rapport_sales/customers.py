"""What sales knows about customers: open and won deals at the head of their page, and the moves on their timeline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import func, select

from rapport import Formats, Reader, Stage, Summary, TimelineItem, gettext, moves_of, stages_of
from rapport_sales.entities import Opportunity
from rapport_sales.service import ENTITY, Total, is_open

COLORS = {"open": "azure", "won": "green", "lost": "red"}
ICONS = {"open": "arrow-right", "won": "trophy", "lost": "mood-sad"}


def summarize(reader: Reader, customer_ids: Sequence[UUID]) -> list[Summary]:
    """How many open deals each customer has, what they are worth, and what was won: one query for all of them."""
    if not reader.actor.may("sales.opportunity.read"):
        return []
    keys = (Opportunity.customer_id, Stage.kind, Opportunity.currency)
    rows = reader.session.execute(
        select(*keys, func.count(), func.sum(Opportunity.amount))
        .join(Stage, Stage.id == Opportunity.stage_id)
        .where(Opportunity.customer_id.in_(list(customer_ids)), Opportunity.archived_at.is_(None), Stage.kind != "lost")
        .group_by(*keys)
    )
    totals: dict[tuple[UUID, str], Total] = {}
    for customer_id, kind, currency, count, amount in rows:
        totals.setdefault((customer_id, kind), Total()).add(count, currency, amount or Decimal(0), 100)
    summaries = []
    for customer_id in customer_ids:
        url = f"/{ENTITY}?" + urlencode({"filter": f'customer_id = "{customer_id}"'})
        if (open_ := totals.get((customer_id, "open"))) is not None:
            value = f"{numbers(reader).number(open_.count)} · {money(reader, open_.amounts)}"
            summaries.append(Summary(customer_id, gettext("Open deals"), value, url))
        if (won := totals.get((customer_id, "won"))) is not None:
            summaries.append(Summary(customer_id, gettext("Won"), money(reader, won.amounts), url))
    return summaries


def open_counts(reader: Reader, customer_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """How many open deals each of many customers has."""
    if not reader.actor.may("sales.opportunity.read"):
        return {}
    rows = reader.session.execute(
        select(Opportunity.customer_id, func.count())
        .where(
            Opportunity.customer_id.in_(list(customer_ids)), is_open(reader.session), Opportunity.archived_at.is_(None)
        )
        .group_by(Opportunity.customer_id)
    )
    return {row[0]: row[1] for row in rows}


def timeline(reader: Reader, customer_id: UUID, limit: int, before: dt.datetime | None) -> list[TimelineItem]:
    """When opportunities of a customer were opened, moved, won and lost."""
    deals = reader.all(Opportunity, Opportunity.customer_id == customer_id, order=Opportunity.id.desc(), limit=200)
    if not deals:
        return []
    by_id = {deal.id: deal for deal in deals}
    stages = {stage.id: stage for stage in stages_of(reader.session, ENTITY)}
    items = []
    for moved in moves_of(reader, Opportunity, by_id, before=before, limit=limit):
        target = stages.get(moved.target_id) if moved.target_id is not None else None
        title = gettext("Moved to %(stage)s", stage=gettext(target.title)) if target else gettext("Moved")
        kind = target.kind if target else "open"
        deal = by_id[moved.record_id]
        items.append(_item(moved.at, title, deal, icon=ICONS[kind], key=f"move:{moved.id}", color=COLORS[kind]))
    items += [
        _item(
            deal.created_at,
            gettext("Opportunity opened"),
            deal,
            icon="target-arrow",
            key=f"opened:{deal.id}",
            color="azure",
        )
        for deal in deals
        if before is None or deal.created_at < before
    ]
    return sorted(items, key=lambda item: item.at, reverse=True)[:limit]


def _item(at: dt.datetime, title: str, deal: Opportunity, *, icon: str, key: str, color: str) -> TimelineItem:
    return TimelineItem(at=at, title=title, icon=icon, id=f"sales:{key}", text=deal.name, url=f"/{ENTITY}/{deal.id}",
                        kind="opportunity", color=color)  # fmt: skip


def numbers(reader: Reader) -> Formats:
    """How the reader writes numbers and amounts."""
    actor: Any = reader.actor
    return Formats(actor.language, actor.time_zone, actor.calendar or None)


def money(reader: Reader, amounts: Mapping[str, Decimal], *, compact: bool = True) -> str:
    """Amounts by currency as one text: €12K + ₪3K."""
    written = numbers(reader)
    shown = [written.money(amount, currency, compact) for currency, amount in sorted(amounts.items()) if amount]
    return " + ".join(shown) or "–"
