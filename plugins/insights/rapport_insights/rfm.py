"""Recency, frequency and money: when customers bought last, on how many days, and for how much, in fifths.

Fifths by three figures are Hughes's (Strategic Database Marketing, 1994); the segments with their names are our own
reading of them, in `segment_of`. Those with equal figures share a class: that of the middle of the places they take
together. So if six of ten customers bought once, all six are in the second fifth by frequency.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rapport import Invalid
from rapport import gettext as _
from rapport_insights.kinds import Scores, Trained, Work
from rapport_insights.purchases import CENT, Purchases

FEWEST = 5
EACH_ONE = """
create temp table each_one as
select customer, $until - max(day) as days, count(*) as often, sum(amount) as money from purchases group by 1
"""
PLACED = """
with placed as (
    select *, count(*) over () as many,
        rank() over (order by days desc) + (count(*) over (partition by days) - 1) / 2.0 as by_days,
        rank() over (order by often) + (count(*) over (partition by often) - 1) / 2.0 as by_often,
        rank() over (order by money) + (count(*) over (partition by money) - 1) / 2.0 as by_money
    from each_one
)
select customer, days, often, money,
    cast(1 + floor(5 * (by_days - 0.5) / many) as integer) as r,
    cast(1 + floor(5 * (by_often - 0.5) / many) as integer) as f,
    cast(1 + floor(5 * (by_money - 0.5) / many) as integer) as m
from placed order by customer
"""
"""The place of a customer is the middle of the places of all with the same figure."""
BY_LIMITS = """
select customer, days, often, money,
    1 + (days <= $r[1])::int + (days <= $r[2])::int + (days <= $r[3])::int + (days <= $r[4])::int as r,
    1 + (often >= $f[1])::int + (often >= $f[2])::int + (often >= $f[3])::int + (often >= $f[4])::int as f,
    1 + (money >= $m[1])::int + (money >= $m[2])::int + (money >= $m[3])::int + (money >= $m[4])::int as m
from each_one order by customer
"""
NEVER, ALWAYS = -1, 2**62
"""Limits of a class that nobody is in: so few days, and so much money."""
Limits = Mapping[str, Sequence[int]]


@dataclass(frozen=True, slots=True)
class Placed:
    """A customer with the three figures and their classes."""

    customer: Any
    days: int
    """Since the last purchase."""
    often: int
    money: Decimal
    r: int
    f: int
    m: int

    @property
    def segment(self) -> str:
        """The segment, by its value."""
        return segment_of(self.r, self.f, self.m, self.often)


def segment_of(r: int, f: int, m: int, often: int) -> str:
    """The name for three classes: who bought lately is won or being won, who did not is fading or lost."""
    good = (f + m) / 2
    if r >= 4:
        if often == 1:
            return "new"
        return "champions" if good >= 4.5 else "loyal" if good >= 3.5 else "promising"
    if r == 3:
        return "loyal" if good >= 3.5 else "fading"
    if good >= 3:
        return "at_risk"
    return "hibernating" if r == 2 else "lost"


def place(purchases: Purchases) -> list[Placed]:
    """Every customer in fifths among all."""
    return _asked(purchases, PLACED)


def place_by(purchases: Purchases, limits: Limits) -> list[Placed]:
    """Every customer by limits between the classes that were found earlier."""
    return _asked(purchases, BY_LIMITS, {name: list(limits[name]) for name in ("r", "f", "m")})


def limits_of(placed: Sequence[Placed]) -> dict[str, list[int]]:
    """Where the classes 2 to 5 begin: at the most days, the fewest purchases, the least money."""
    return {
        "r": [max((each.days for each in placed if each.r >= best), default=NEVER) for best in (2, 3, 4, 5)],
        "f": [min((each.often for each in placed if each.f >= best), default=ALWAYS) for best in (2, 3, 4, 5)],
        "m": [min((int(each.money * CENT) for each in placed if each.m >= best), default=ALWAYS)
              for best in (2, 3, 4, 5)],
    }  # fmt: skip


def _asked(purchases: Purchases, sql: str, limits: Mapping[str, list[int]] | None = None) -> list[Placed]:
    """What DuckDB makes of the purchases."""
    import duckdb

    names = purchases.customers
    table = {"customer": purchases.whose, "day": purchases.days, "amount": purchases.amounts}
    with duckdb.connect() as connection:
        connection.register("purchases", table)
        connection.execute(EACH_ONE, {"until": purchases.until.toordinal()})
        rows = connection.execute(sql, limits or {}).fetchall()
    return [
        Placed(names[code], days, often, Decimal(int(money)) / CENT, r, f, m)
        for code, days, often, money, r, f, m in rows
    ]  # fmt: skip


# As a model ----------------------------------------------------------------------------------------------------------


def train(work: Work) -> Trained:
    """Where the limits between the fifths are today, and how well the classes tell who buys again."""
    purchases = work.purchases()
    placed = place(purchases)
    if len(placed) < FEWEST:
        raise Invalid(_("There are too few customers with purchases: at least %(fewest)s are needed.", fewest=FEWEST))
    parameters = {
        "limits": limits_of(placed), "segments": shares(placed), "currency": purchases.currency,
        "left_out": dict(purchases.left_out),
    }  # fmt: skip
    ahead = min(90, (purchases.until - purchases.since).days // 3)
    errors = try_out(purchases, purchases.until - dt.timedelta(days=ahead)) if ahead > 0 else {}
    return Trained(parameters, len(placed), purchases.until, errors, _note(errors))


def shares(placed: Sequence[Placed]) -> dict[str, int]:
    """How many customers are in each segment."""
    found: dict[str, int] = {}
    for each in placed:
        found[each.segment] = found.get(each.segment, 0) + 1
    return found


def try_out(purchases: Purchases, cut: dt.date) -> dict[str, dict[str, float]]:
    """How often, of one who bought after a day and one who did not, the classes before it put the first one higher.

    Beside it stands the same by money alone: who has spent most so far. 0.5 is as good as a coin.
    """
    placed = place(purchases.up_to(cut))
    again = {row[0] for row in purchases.rows if row[1] > cut}
    outcomes = [each.customer in again for each in placed]
    if all(outcomes) or not any(outcomes):
        return {}
    model = auc([each.r + each.f + each.m for each in placed], outcomes)
    return {"auc": {"model": round(model, 4), "baseline": round(auc([each.money for each in placed], outcomes), 4)}}


def auc(figures: Sequence[Any], outcomes: Sequence[bool]) -> float:
    """Mann and Whitney's U over the number of pairs (1947); equal figures count half."""
    order = sorted(range(len(figures)), key=lambda at: figures[at])
    total, start, good = 0.0, 0, sum(outcomes)
    while start < len(order):
        end = start
        while end < len(order) and figures[order[end]] == figures[order[start]]:
            end += 1
        total += sum(outcomes[at] for at in order[start:end]) * (start + 1 + end) / 2
        start = end
    return (total - good * (good + 1) / 2) / (good * (len(order) - good))


def _note(errors: Mapping[str, Mapping[str, float]]) -> str:
    if not errors:
        return _("The classes are set. There is too little time to measure what they foretell.")
    if errors["auc"]["model"] > errors["auc"]["baseline"]:
        return _("The classes tell better who buys again than the money spent so far does.")
    return _("The classes tell no better who buys again than the money spent so far does.")


def score(work: Work, parameters: Mapping[str, Any]) -> Scores:
    """Every customer's classes and segment, by the limits that were found in training."""
    purchases = work.purchases()
    return {
        each.customer: {
            "rfm_segment": each.segment, "rfm_recency": each.r, "rfm_frequency": each.f, "rfm_money": each.m,
            "last_purchase_on": purchases.until - dt.timedelta(days=each.days), "purchases": each.often,
            "spent": each.money,
        }
        for each in place_by(purchases, parameters["limits"])
    }  # fmt: skip
