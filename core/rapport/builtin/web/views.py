"""Saved views: a list as somebody likes to see it, for themselves or for everybody."""

from __future__ import annotations

from sqlalchemy.orm import Mapped

from rapport.entities import Entity, Owned, field


class View(Owned, Entity, name="view", title="Saved view", icon="bookmark", listed=False,
           roles={"manager": "read create update delete", "member": "read:own create update:own delete:own",
                  "viewer": "read:own create update:own delete:own"}):  # fmt: skip
    """Filter, order and columns of a list, under a name. Without an owner it is everybody's."""

    name: Mapped[str] = field(label="Name", max_length=60)
    entity: Mapped[str] = field(label="Kind of record", indexed=True)
    filter: Mapped[str] = field(label="Filter", kind="longtext", default="")
    search: Mapped[str] = field(label="Search", default="")
    sort: Mapped[str] = field(label="Order", default="")
    columns: Mapped[tuple[str, ...]] = field(label="Columns", kind="tags")
    shared: Mapped[bool] = field(label="For everybody", default=False)
