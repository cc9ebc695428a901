"""Pipelines and their stages, edited by administrators, and the log of moves."""

from __future__ import annotations

import datetime as dt
from uuid import UUID

from sqlalchemy import Index
from sqlalchemy.orm import Mapped

from rapport.entities import Choice, Entity, field, ref, utcnow

EVERYONE = {"manager": "read create update", "member": "read", "viewer": "read"}


class Pipeline(Entity, name="pipeline", title="Pipeline", icon="columns-3", roles=EVERYONE, listed=False,
               natural_key=("entity", "name")):  # fmt: skip
    """An order of stages for one kind of record. An entity may have several."""

    name: Mapped[str] = field(label="Name", in_list=True)
    entity: Mapped[str] = field(label="Kind of record", indexed=True, in_list=True)
    position: Mapped[int] = field(label="Position", default=0)


class Stage(Entity, name="stage", title="Stage", icon="progress", roles=EVERYONE, listed=False, display="title",
            natural_key=("pipeline_id", "title")):  # fmt: skip
    """A step of a pipeline."""

    pipeline_id: Mapped[UUID] = ref("pipeline")
    title: Mapped[str] = field(label="Title", in_list=True)
    position: Mapped[int] = field(label="Position", default=0, in_list=True)
    kind: Mapped[str] = field(
        label="Kind",
        choices=[Choice("open", "Open", "azure"), Choice("won", "Won", "green"), Choice("lost", "Lost", "red")],
        default="open",
        in_list=True,
    )
    probability: Mapped[int] = field(label="Probability in %", default=0, in_list=True)
    required_fields: Mapped[tuple[str, ...]] = field(
        label="Needs these fields", kind="tags", help="A record may enter the stage only when these are filled in."
    )
    condition: Mapped[str] = field(
        label="Only when", default="", max_length=1000,
        help="A record may enter the stage only when it meets this, as lists are filtered: amount > 0",
    )  # fmt: skip
    stale_after_days: Mapped[int | None] = field(
        label="Ages after days", help="Records that stay longer are marked as ageing."
    )
    color: Mapped[str] = field(label="Colour", default="")


class Transition(Entity, name="transition", title="Stage move", icon="arrow-right", roles={}, listed=False):
    """A record moved from one stage to another: who, when, and how long it had stayed."""

    __table_args__ = (Index("ix_transition_record", "entity", "record_id", "at"),)

    entity: Mapped[str] = field(label="Kind of record", readonly=True)
    record_id: Mapped[UUID] = field(label="Record", kind="id", readonly=True)
    source_id: Mapped[UUID | None] = ref("stage", label="From", readonly=True)
    target_id: Mapped[UUID | None] = ref("stage", label="To", readonly=True)
    at: Mapped[dt.datetime] = field(label="When", readonly=True, default=utcnow)
    actor_id: Mapped[UUID | None] = ref("user", label="By", readonly=True)
    seconds: Mapped[int] = field(label="Seconds in the former stage", readonly=True, default=0)
