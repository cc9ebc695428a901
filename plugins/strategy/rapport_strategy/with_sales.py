"""Beside sales: deals have next steps, orders tell who stayed, and quotas stay with whom they were for."""

from __future__ import annotations

from collections.abc import Sequence

from rapport_sales import Opportunity, Order
from sqlalchemy import select

from rapport import Reader, Stage, hookimpl
from rapport_strategy.hookspecs import Bought, Duty, NextStep

COUNT = ("placed", "fulfilled")


@hookimpl
def ask_strategy_duties() -> Sequence[Duty]:
    return [
        Duty(
            "sales.quota", "user_id", "keep", why="a quota is what that person was to reach; successors get their own"
        ),
        Duty("sales.lead", "owner_id", "move", open='status in ("new", "working", "qualified")'),
        Duty("sales.quote", "owner_id", "move", open='status in ("draft", "approval", "approved", "sent")'),
    ]


@hookimpl
def ask_strategy_next_steps(reader: Reader) -> Sequence[NextStep]:
    open_ = select(Stage.id).where(Stage.kind == "open")
    where = (Opportunity.archived_at.is_(None), Opportunity.next_step_on.is_not(None), Opportunity.stage_id.in_(open_))
    return [NextStep(Opportunity, Opportunity.customer_id, where)]


@hookimpl
def strategy_came_back() -> Bought:
    where = (Order.status.in_(COUNT), Order.ordered_on.is_not(None), Order.archived_at.is_(None))
    return Bought(Order, Order.customer_id, Order.ordered_on, where)
