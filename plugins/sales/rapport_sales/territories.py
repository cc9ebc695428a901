"""Territories: whose leads are whose, by country, postcode, language, industry or whatever else a lead tells."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Mapped, Session

from rapport import Entity, field, ref
from rapport_sales.scoring import SETUP, check_condition, rate_anew


class Territory(
    Entity, name="sales.territory", title="Territory", plural="Territories", icon="map-2", roles=SETUP,
    display="name", natural_key=("name",),
):  # fmt: skip
    """Part of the market, with the person and the team it belongs to. A lead lies in the first one that it fits."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    condition: Mapped[str] = field(
        label="Leads that lie in it", default="", in_list=True,
        help='In the language of lists: address.country = "FR" and address.postcode starts "75". Empty: the rest.',
    )  # fmt: skip
    user_id: Mapped[UUID | None] = ref(
        "user",
        label="Person",
        on_delete="SET NULL",
        in_list=True,
        help="Who looks after it. Left empty: its team, in turn.",
    )
    team_id: Mapped[UUID | None] = ref("team", label="Team", on_delete="SET NULL", in_list=True)
    position: Mapped[int] = field(label="Position", default=0, in_list=True, help="Smaller ones are asked first.")
    active: Mapped[bool] = field(label="In use", default=True, in_list=True)

    def complete(self, session: Session) -> None:
        """Refuse a condition that leads cannot be asked."""
        check_condition(session, self.condition)

    @classmethod
    def follow_up(cls, records: Sequence[Territory], session: Session) -> None:
        """Every lead is looked at anew."""
        rate_anew(session)
