"""Something to steer by, to try: objectives with their way so far, a return to work out, costs, and a rollout."""

from __future__ import annotations

import datetime as dt
from typing import Any

from rapport import Membership, Unit, User
from rapport_strategy.acquisition import Spending
from rapport_strategy.adoption import Activity, Rollout
from rapport_strategy.objectives import Objective, Reading
from rapport_strategy.roi import Case, Factor

MEASURED = (
    ("New customers this half-year", "customers", "core.new_customers", "since", "40"),
    ("Win more than we lose", "value", "sales.win_rate", "days", "0.6"),
    ("Right at the first go", "processes", "service.first_time_right", "days", "0.9"),
)
"""Title, imperative, measure, how it is counted, and the target; those whose module is off are left out."""
BY_HAND = ("Everybody is trained", "employees", 100, (0, 12, 25, 31, 48, 55, 72))
"""Title, imperative, target, and the readings of every fourth week so far."""
COSTS = (("Energy fair", 1800), ("Newspaper", 2400), ("Website", 950), ("Call", 1200))
FACTORS = (("Time saved in the office", "0.2", "0.5"), ("More is sold", "0.5", "0.3"), ("Customers stay", "0.3", "0.6"))


def load(unit: Unit) -> None:
    """Put it in, the same every time but for the days."""
    today = unit.reader.today()
    owner = unit.reader.all(User, User.active.is_(True), order=User.id, limit=1)
    if not owner:
        return
    mine, begun, ends = {"owner_id": str(owner[0].id)}, today - dt.timedelta(days=170), today + dt.timedelta(days=60)
    span = {"from_on": begun.isoformat(), "until_on": ends.isoformat()}
    for title, imperative, measure, counted, target in MEASURED:
        if measure in unit.site.measures:
            unit.create(Objective, {"title": title, "imperative": imperative, "measure": measure, "counted": counted,
                                    "target": target, **mine, **span})  # fmt: skip
    title, imperative, full, readings = BY_HAND
    trained = unit.create(Objective, {"title": title, "imperative": imperative, "target": full, "start": 0,
                                      **mine, **span})  # fmt: skip
    for number, value in enumerate(readings):
        on = begun + dt.timedelta(days=28 * number)
        unit.create(Reading, {"objective_id": str(trained.id), "on": on.isoformat(), "value": value})
    _return(unit, mine)
    _use(unit, begun, today)
    for source, amount in COSTS:
        unit.create(Spending, {"source": source, "amount": amount, "until_on": today.isoformat(),
                               "from_on": (today - dt.timedelta(days=364)).isoformat()})  # fmt: skip
    for team in unit.reader.all(Membership, Membership.user_id == owner[0].id, order=Membership.id, limit=1):
        unit.create(Rollout, {"title": "Sales for everybody", "module": "sales", "team_id": str(team.team_id),
                              "starts_on": begun.isoformat(), "champion_id": str(owner[0].id)})  # fmt: skip


def _use(unit: Unit, begun: dt.date, today: dt.date) -> None:
    """Who worked with the customers and the deals in each week: more of them as time goes by."""
    people = unit.reader.all(User, User.active.is_(True), order=User.id, limit=12)
    for number, user in enumerate(people):
        first = begun + dt.timedelta(days=14 * number)
        for week in range((today - first).days // 7):
            on, actions = first + dt.timedelta(days=7 * week + 3), 6 + (5 * number + 3 * week) % 9
            unit.session.add_all([Activity(user_id=user.id, on=on, module=module, actions=actions, made=actions // 3)
                                  for module in ("customer", "sales")])  # fmt: skip


def _return(unit: Unit, mine: dict[str, Any]) -> None:
    """Two scenarios with the same factors: as it is, and with twice the training."""
    cost = {"implementation": 9, "staff": 14, "overhead": 3, "hardware": 2, "storage": 1, "training": 4, "upgrades": 2}
    for title, training, sold in (("As it is", 4, "0.3"), ("With twice the training", 8, "0.4")):
        made = unit.create(Case, {"title": title, "gross_profit": 180, **cost, "training": training, **mine})
        for factor, weight, success in FACTORS:
            rate = sold if factor == "More is sold" else success
            unit.create(Factor, {"case_id": str(made.id), "title": factor, "weight": weight, "success": rate})
