"""The sample business judges its leads, hands them out, and knows what everybody is to reach."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from rapport import Membership, Unit, User
from rapport_sales.assignment import AssignmentRule
from rapport_sales.quotas import Quota, attained
from rapport_sales.results import period_of
from rapport_sales.scoring import ScoreRule
from rapport_sales.territories import Territory

RULES: Sequence[tuple[str, str, int]] = (
    ("Came by recommendation", 'source = "Recommendation"', 30),
    ("Met us at the energy fair", 'source = "Energy fair"', 20),
    ("Buys for a company", "company is not empty", 25),
    ("Can be called", "phone is not empty", 10),
    ("Wants it soon", 'rating = "hot"', 25),
    ("Only looks around", 'rating = "cold"', -20),
    ("Waits for an answer for a month", 'status = "new" and created_at < today - 30 days', -10),
)
TERRITORIES: Sequence[tuple[str, str]] = (
    ("France et Suisse romande", "fr"), ("ایران", "fa"), ("ישראל", "he"), ("中国", "zh"), ("Rest of the world", ""),
)  # fmt: skip
FACTORS = (Decimal("0.9"), Decimal("1.3"), Decimal("1.1"), Decimal("0.8"))
LEAST = Decimal(20_000)


def load(unit: Unit) -> None:
    """Rules, territories and quotas, after the people and the deals are there."""
    for name, condition, points in RULES:
        unit.create(ScoreRule, {"name": name, "condition": condition, "points": points})
    members = unit.reader.all(Membership, limit=100)
    people = {user.id: user for user in unit.reader.all(User, User.id.in_([each.user_id for each in members]))}
    if not people:
        return
    teams = list(dict.fromkeys(each.team_id for each in members))
    _hand_out(unit, people, teams)
    _aim(unit, list(people), teams)


def _hand_out(unit: Unit, people: Mapping[UUID, User], teams: Sequence[UUID]) -> None:
    speaking = {user.language: user.id for user in people.values()}
    for position, (name, language) in enumerate(TERRITORIES):
        condition = f'language = "{language}"' if language else ""
        values = {"name": name, "condition": condition, "position": position, "user_id": speaking.get(language)}
        unit.create(Territory, {**values, "team_id": teams[position % len(teams)]})
    unit.create(AssignmentRule, {"name": "Hot leads: whoever has time", "condition": "score >= 50", "method": "load",
                                 "team_id": teams[0], "capacity": 60})  # fmt: skip
    unit.create(AssignmentRule, {"name": "By territory", "method": "territory", "position": 1})


def _aim(unit: Unit, people: Sequence[UUID], teams: Sequence[UUID]) -> None:
    """Targets that some have reached and some have not."""
    today = unit.reader.today()
    owners: list[dict[str, Any]] = [{"user_id": each} for each in people]
    owners += [{"team_id": each} for each in teams]
    quotas = [unit.create(Quota, {**owner, "starts_on": today, "target": LEAST}) for owner in owners]
    reached = attained(unit.reader, quotas)
    for number, quota in enumerate(quotas):
        aim = reached.get(quota.id, Decimal(0)) * FACTORS[number % len(FACTORS)]
        unit.update(quota, {"target": max(LEAST, round(aim, -3))})
    unit.create(Quota, {"user_id": people[0], "starts_on": period_of("year", today)[0], "period": "year",
                        "measure": "customers", "target": 10})  # fmt: skip
