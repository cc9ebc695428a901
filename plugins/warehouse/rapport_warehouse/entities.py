"""Saved reports: a question to the warehouse under a name, for oneself, for the team or for everybody."""

from __future__ import annotations

from sqlalchemy import ColumnElement
from sqlalchemy.orm import Mapped

from rapport import Choice, Entity, Owned, field


class Report(
    Owned, Entity, name="warehouse.report", title="Saved report", icon="report-analytics", listed=False,
    roles={"manager": "read create update delete", "member": "read:own create update:own delete:own",
           "viewer": "read:own"},
):  # fmt: skip
    """A question that somebody wants to ask again. Whoever opens it sees what their own rights let them see."""

    name: Mapped[str] = field(label="Name", max_length=80)
    query: Mapped[str] = field(label="Question", kind="longtext", help="The question as it stands in the address.")
    shared: Mapped[str] = field(
        label="Who finds it", default="me",
        choices=[Choice("me", "Only me"), Choice("everybody", "Everybody")],
    )  # fmt: skip

    @classmethod
    def is_shared(cls) -> ColumnElement[bool]:
        """What is for everybody is found by people who otherwise see their own only."""
        return cls.shared == "everybody"
