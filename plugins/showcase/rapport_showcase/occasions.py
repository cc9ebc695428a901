"""Occasions: the days on which one congratulates a customer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Mapped

from rapport import UUID, Customer, Entity, Formats, Reader, field, ref


class Occasion(
    Entity,
    name="showcase.occasion",
    title="Occasion",
    icon="confetti",
    roles={
        "manager": "read create update delete import export",
        "member": "read create update delete",
        "viewer": "read",
        "portal": "read",  # customers see their own: those that name them in `customer_id`
    },
):
    """A day that comes round for a customer: `day` is the next time."""

    customer_id: Mapped[UUID] = ref("customer", in_list=True)
    title: Mapped[str] = field(label="Occasion", searchable=True, in_list=True, help="Birthday, anniversary …")
    day: Mapped[dt.date] = field(label="Day", indexed=True, in_list=True)


def coming(reader: Reader, *where: ColumnElement[bool], limit: int = 8) -> list[Occasion]:
    """The next occasions, the nearest first, within the days that an administrator has set."""
    today = reader.today()
    until = today + dt.timedelta(days=int(reader.site.settings.get("showcase.days")))
    return reader.all(
        Occasion, Occasion.day.between(today, until), Occasion.archived_at.is_(None), *where,
        order=(Occasion.day, Occasion.id), limit=limit,
    )  # fmt: skip


def next_by_customer(reader: Reader, customer_ids: Sequence[UUID]) -> dict[UUID, Occasion]:
    """The next occasion of each of many customers: one query, however many they are."""
    found: dict[UUID, Occasion] = {}
    for each in coming(reader, Occasion.customer_id.in_(list(customer_ids)), limit=1000):
        found.setdefault(each.customer_id, each)
    return found


def with_names(reader: Reader, occasions: Sequence[Occasion]) -> list[dict[str, Any]]:
    """Occasions with their customers' names, as templates show them."""
    names = reader.titles(Customer, [each.customer_id for each in occasions])
    return [{"occasion": each, "customer": names.get(each.customer_id, "")} for each in occasions]


def written(reader: Reader, occasion: Occasion) -> str:
    """`Birthday · 3 May 2027`, as the reader writes days."""
    actor = reader.actor
    formats = Formats(actor.language, actor.time_zone, actor.calendar or None)  # type: ignore[arg-type]  # one of three
    return f"{occasion.title} · {formats.date(occasion.day)}"


def next_time(day: dt.date, today: dt.date) -> dt.date:
    """When a day comes round again; the 29th of February comes on the 1st of March in other years."""
    for year in (today.year, today.year + 1):
        try:
            again = day.replace(year=year)
        except ValueError:
            again = dt.date(year, 3, 1)
        if again >= today:
            return again
    return day
