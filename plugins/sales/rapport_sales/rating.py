"""What a lead is worth and where it lies: its score and its territory, kept in step on every save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from rapport import Conditions, Site
from rapport_sales import learning
from rapport_sales.scoring import LEAD, ScoreModel, ScoreRule
from rapport_sales.territories import Territory

ASSIGNED = "_assigned"
"""Where a lead that is being saved holds why its owner was chosen."""
KEPT = "sales.rater"
SCOPED = {"rapport_scoped": True}  # what a lead is rated by does not depend on what whoever saves it may see


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that speaks for a lead or against it: points of a rule, or how the odds change."""

    text: str
    points: int = 0
    odds: float = 1.0


class Rater:
    """All that leads are rated by, read once: rules, territories, and the trained score that is in force."""

    def __init__(self, site: Site, session: Session) -> None:
        entity = site.entities[LEAD]
        in_force = (ScoreRule.active, ScoreRule.archived_at.is_(None))
        self.rules = session.execute(
            select(ScoreRule.name, ScoreRule.condition, ScoreRule.points).where(*in_force).order_by(ScoreRule.name),
            execution_options=SCOPED,
        ).all()
        self.territories = session.execute(
            select(Territory.id, Territory.name, Territory.condition, Territory.user_id, Territory.team_id)
            .where(Territory.active, Territory.archived_at.is_(None)).order_by(Territory.position, Territory.name),
            execution_options=SCOPED,
        ).all()  # fmt: skip
        weights = session.scalars(
            select(ScoreModel.weights).where(ScoreModel.state == "active", ScoreModel.archived_at.is_(None)).limit(1),
            execution_options=SCOPED,
        ).first()
        self.model = learning.Model.of(weights) if weights else None
        self._meta = site.meta(entity)
        texts = [row.condition for row in (*self.rules, *self.territories)]
        self._conditions = Conditions(site, session, entity, texts) if texts else None

    def rate(self, lead: Any) -> tuple[int | None, UUID | None]:
        """The score of a lead and its territory; None where nothing says."""
        met = self._met(lead)
        rules, places = met[: len(self.rules)], met[len(self.rules) :]
        territory = next((row.id for row, lies in zip(self.territories, places, strict=True) if lies), None)
        if self.model is not None:
            return round(100 * self.model.chance(learning.values_of(self.model.names, self._meta, lead))), territory
        if not self.rules:
            return None, territory
        return sum(row.points for row, is_met in zip(self.rules, rules, strict=True) if is_met), territory

    def reasons(self, lead: Any) -> list[Reason]:
        """Why a lead has its score, the strongest first."""
        if self.model is None:
            found = [Reason(row.name, row.points) for row, met in zip(self.rules, self._met(lead), strict=False) if met]
            return sorted(found, key=lambda reason: -abs(reason.points))
        values = learning.values_of(self.model.names, self._meta, lead)
        return [
            Reason(learning.in_words(self._meta, self.model, name, bucket), odds=odds)
            for name, bucket, odds in self.model.reasons(values)
        ]

    def _met(self, lead: Any) -> Sequence[bool]:
        return self._conditions.met_by(lead) if self._conditions is not None else ()


def rater_of(session: Any) -> Rater:
    """The rater of a unit of work, made when its first lead is saved."""
    known: Rater | None = session.info.get(KEPT)
    if known is None:
        known = session.info[KEPT] = Rater(session.unit.site, session)
    return known


def rate(lead: Any, session: Session) -> None:
    """Give a lead its score and its territory."""
    lead.score, lead.territory_id = rater_of(session).rate(lead)
