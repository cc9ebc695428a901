"""Beside campaigns: each shows how many visits of the portal and of the company's own web site it brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from rapport_marketing import Campaign
from sqlalchemy import func, select

from rapport import Column, Panel, Reader, hookimpl
from rapport_portal.visits import Visit


@hookimpl
def register_panels() -> list[Panel]:
    return [Panel("marketing.campaign.side", "Web visits", "portal/campaign_visits.html", brought,
                  needs="portal.visit.read", icon="world-www", order=60)]  # fmt: skip


@hookimpl
def register_columns() -> list[Column]:
    return [Column("marketing.campaign", "web_visits", "Web visits", visits, "integer", "portal.visit.read")]


def visits(reader: Reader, ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """What an address with `?campaign=` and the code brought; nobody minds capitals in an address."""
    rows = (
        select(Campaign.id, func.sum(Visit.visits))
        .join(Visit, func.lower(Visit.campaign) == func.lower(Campaign.code))
        .where(Campaign.id.in_(ids), Campaign.code != "")
        .group_by(Campaign.id)
    )
    return {campaign_id: int(many) for campaign_id, many in reader.session.execute(rows).all()}


def brought(reader: Reader, record: Campaign) -> Mapping[str, Any]:
    """The panel's facts: one query."""
    return {"visits": visits(reader, [record.id]).get(record.id, 0), "code": record.code}
