"""Saved views: a list as somebody likes to see it, for themselves or for everybody."""

from __future__ import annotations

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Mapped

from rapport.entities import Entity, Owned, field


class View(Owned, Entity, name="view", title="Saved view", icon="bookmark", listed=False,
           natural_key=("entity", "name"),
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

    @classmethod
    def is_shared(cls) -> ColumnElement[bool]:
        """What is for everybody is found by people who otherwise see their own only."""
        return cls.shared.is_(True)

    @classmethod
    def is_configuration(cls) -> ColumnElement[bool]:
        """What somebody saved for themselves is theirs, not the site's."""
        return cls.shared.is_(True)
