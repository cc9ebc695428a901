"""Segments: customers who meet a condition now, how many they are, who is new among them and who left."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Select, UniqueConstraint, func, insert, select, update
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Customer,
    Entity,
    JobContext,
    Owned,
    Problem,
    Reader,
    Unit,
    batched,
    field,
    ref,
    utcnow,
    uuid7,
    wrong_with,
)
from rapport import gettext as _
from rapport_marketing.common import WORK, WRITTEN_BY_ITSELF
from rapport_marketing.lists import ListMember

FILTER_HELP = 'As above the list of customers: tags has "vip" and marketing_decision = "invest". Left empty: everybody.'


class Segment(
    Owned, Entity, name="marketing.segment", title="Segment", icon="users-group", roles=WORK, display="name",
):  # fmt: skip
    """Customers who meet a condition: whoever comes to meet it is in, whoever no longer does is out."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    filter: Mapped[str] = field(label="Condition", kind="longtext", default="", help=FILTER_HELP)
    without_id: Mapped[UUID | None] = ref("marketing.list", label="Without those on", on_delete="RESTRICT")
    tracked: Mapped[bool] = field(
        label="Note who comes and goes", default=True, help="Every morning. Large segments take a while the first time."
    )
    note: Mapped[str] = field(label="Note", kind="longtext", default="")
    count: Mapped[int | None] = field(label="Customers", readonly=True, in_list=True)
    counted_at: Mapped[dt.datetime | None] = field(label="Counted", readonly=True, in_list=True)

    def complete(self, session: Session) -> None:
        """A condition that cannot be read is refused now, not when somebody wants to use it."""
        unit: Any = getattr(session, "unit", None)
        known = unit is not None and bool(self.filter)
        self._fault = wrong_with(unit.site, self.filter, unit.site.meta(Customer)) if known else ""

    def validate(self) -> Sequence[Problem]:
        """The condition is one."""
        return [Problem("filter", self._fault)] if self._fault else []


class SegmentMember(
    Entity, name="marketing.segment_member", title="Member of a segment", plural="Members of segments",
    icon="user-check", roles=WRITTEN_BY_ITSELF, listed=False, display="entered_on",
):  # fmt: skip
    """Since when a customer is in a segment, and since when not any more. Written by the job of the morning."""

    past_log = True  # they follow from the customers

    __table_args__ = (
        UniqueConstraint("segment_id", "customer_id"),
        Index("ix_marketing_segment_member_days", "segment_id", "entered_on"),
        Index("ix_marketing_segment_member_left", "segment_id", "left_on"),
    )

    segment_id: Mapped[UUID] = ref("marketing.segment", readonly=True, in_list=True)
    customer_id: Mapped[UUID] = ref("customer", readonly=True, in_list=True)
    entered_on: Mapped[dt.date | None] = field(
        label="Since", readonly=True, in_list=True, help="Empty: since before anybody looked."
    )
    left_on: Mapped[dt.date | None] = field(label="Left on", readonly=True, in_list=True)


def members(reader: Reader, segment: Segment) -> Select[UUID]:
    """The ids of the customers in a segment, as a select: of those the reader may see, and none that are archived.

    Use it as it is, or within another one: `Customer.id.in_(members(reader, segment))`.
    """
    conditions = reader.conditions(Customer, filter=segment.filter or None)
    if segment.without_id is not None:
        conditions.append(Customer.id.not_in(select(ListMember.customer_id).where(
            ListMember.list_id == segment.without_id)))  # fmt: skip
    return select(Customer.id).where(*conditions)


def count_of(reader: Reader, segment: Segment) -> int:
    """How many customers are in a segment at this moment."""
    return int(reader.session.scalar(members(reader, segment).with_only_columns(func.count(Customer.id))) or 0)


# Who comes and goes --------------------------------------------------------------------------------------------------


def track_all(context: JobContext) -> str:
    """Count every segment anew, and note who came and who left since the last time."""
    site = context.site
    with site.read(context.actor) as reader:
        segments = reader.all(Segment, Segment.archived_at.is_(None))
    for number, segment in enumerate(segments, 1):
        with site.write(context.actor) as unit:
            track(unit, unit.get(Segment, segment.id))
        context.progress(number, len(segments))
    return _("%(num)s segments were counted.", num=len(segments))


def track(unit: Unit, segment: Segment) -> None:
    """Count a segment, and note who came and who left. The first time nobody is new: they were there before."""
    reader, today = unit.reader, utcnow().date()
    if segment.tracked:
        _compare(unit, segment, today)
    segment.count, segment.counted_at = count_of(reader, segment), utcnow()
    unit.flush()


def _compare(unit: Unit, segment: Segment, today: dt.date) -> None:
    """What came and went follows from the customers, so it is kept without a log: only what differs is written."""
    inside = members(unit.reader, segment)
    rows = SegmentMember
    of_it = rows.segment_id == segment.id
    connection, session = unit.session.connection(), unit.session
    known = select(rows.customer_id).where(of_it)
    begun = session.scalar(known.limit(1)) is not None
    gone = select(rows.id).where(of_it, rows.left_on.is_(None), rows.customer_id.not_in(inside))
    back = select(rows.id).where(of_it, rows.left_on.is_not(None), rows.customer_id.in_(inside))
    for ids in batched(session.scalars(gone).all()):
        connection.execute(update(rows).where(rows.id.in_(ids)).values(left_on=today))
    for ids in batched(session.scalars(back).all()):
        connection.execute(update(rows).where(rows.id.in_(ids)).values(left_on=None, entered_on=today))
    now = utcnow()
    for ids in batched(session.scalars(inside.where(Customer.id.not_in(known))).all()):
        connection.execute(insert(rows), [
            {"id": uuid7(), "version": 1, "created_at": now, "updated_at": now, "segment_id": segment.id,
             "customer_id": each, "entered_on": today if begun else None}
            for each in ids
        ])  # fmt: skip


def came_and_went(reader: Reader, segment: Segment, since: dt.date) -> tuple[int, int]:
    """How many came into a segment since a day, and how many left."""
    rows = SegmentMember
    came = select(func.count()).where(rows.segment_id == segment.id, rows.entered_on >= since, rows.left_on.is_(None))
    went = select(func.count()).where(rows.segment_id == segment.id, rows.left_on >= since)
    return int(reader.session.scalar(came) or 0), int(reader.session.scalar(went) or 0)


def count_action(unit: Unit, records: Sequence[Segment], values: Mapping[str, Any]) -> str:
    """A button: count now instead of in the morning."""
    for segment in records:
        track(unit, segment)
    return _("Counted.")
