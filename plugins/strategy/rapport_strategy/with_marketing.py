"""Beside marketing: it keeps what customers bring and what is decided about them, and what campaigns cost."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from rapport_marketing import Campaign, Cost, Response, Standing
from sqlalchemy import distinct, func, select

from rapport import Customer, Reader, hookimpl
from rapport_strategy.hookspecs import Acquired, Duty, Worth


@hookimpl
def ask_strategy_duties() -> Sequence[Duty]:
    return [Duty("marketing.asset_version", "owner_id", "keep", why="who made a design is history")]


@hookimpl
def strategy_worth() -> Worth:
    return Worth(Standing, Standing.of_id, Standing.profit, Standing.decision, "/marketing.strategy")


@hookimpl
def ask_strategy_costs(reader: Reader, since: dt.date, until: dt.date) -> Sequence[Acquired]:
    if not (all(reader.actor.may(each.meta.permission("read")) for each in (Campaign, Cost))):
        return []
    begin = dt.datetime.combine(since, dt.time(), dt.UTC)
    end = dt.datetime.combine(until + dt.timedelta(days=1), dt.time(), dt.UTC)
    came: dict[object, int] = {}
    if reader.actor.may(Response.meta.permission("read")):
        rows = reader.session.execute(
            select(Response.campaign_id, func.count(distinct(Response.customer_id)))
            .join(Customer, Customer.id == Response.customer_id)
            .where(Response.archived_at.is_(None), Response.at >= begin, Response.at < end,
                   Customer.created_at >= begin, Customer.created_at < end)
            .group_by(Response.campaign_id)
        )  # fmt: skip
        came = {row[0]: row[1] for row in rows}
    costs = reader.session.execute(
        select(Campaign.id, Campaign.name, Cost.currency, func.sum(Cost.amount))
        .join(Cost, Cost.campaign_id == Campaign.id)
        .where(Cost.on >= since, Cost.on <= until, Cost.archived_at.is_(None))
        .group_by(Campaign.id, Campaign.name, Cost.currency)
    )
    return [Acquired(row[1], "campaign", row[3], row[2], came.get(row[0], 0)) for row in costs]
