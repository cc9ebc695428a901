"""How long until customers come back, or leave; and how many of those who came together are still there."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rapport import Invalid
from rapport import gettext as _
from rapport_insights.kinds import Trained, Work
from rapport_insights.purchases import Purchases, purchases_from

NORMAL = 1.959963984540054
"""95 % of a normal distribution lie within so many standard deviations."""
MOST_MONTHS = 24
STEPS = 120
"""More points of a curve than these nobody can tell apart."""


@dataclass(frozen=True, slots=True)
class Step:
    """A point of the curve: for how many it holds at this time that nothing has happened to them yet."""

    time: float
    at_risk: int
    """How many had been watched for so long, and nothing had happened."""
    happened: int
    share: float
    """To whom nothing has happened by then."""
    low: float
    high: float


def survival(times: Iterable[float], happened: Iterable[bool]) -> list[Step]:
    """The share to whom nothing has happened, by time; those only watched so far count for as long as they were.

    Kaplan, Meier 1958: Nonparametric Estimation from Incomplete Observations. The limits of 95 % come from Greenwood's
    variance (The Natural Duration of Cancer, 1926), taken of log(-log) so that they stay between 0 and 1 (Kalbfleisch,
    Prentice 1980: The Statistical Analysis of Failure Time Data).
    """
    ended: Counter[float] = Counter()
    events: Counter[float] = Counter()
    for time, event in zip(times, happened, strict=True):
        ended[time] += 1
        events[time] += event
    at_risk, share, spread, steps = sum(ended.values()), 1.0, 0.0, []
    for time in sorted(ended):
        if many := events[time]:
            share *= 1 - many / at_risk
            spread += many / (at_risk * (at_risk - many)) if at_risk > many else math.inf
            steps.append(Step(time, at_risk, many, share, *_limits(share, spread)))
        at_risk -= ended[time]
    return steps


def _limits(share: float, spread: float) -> tuple[float, float]:
    if not 0 < share < 1 or math.isinf(spread):
        return 0.0, share if share == 1 else 1.0 if share > 0 else 0.0
    width = NORMAL * math.sqrt(spread) / -math.log(share)
    return share ** math.exp(width), share ** math.exp(-width)


def share_at(steps: Sequence[Step], time: float) -> float:
    """The share to whom nothing has happened by a time."""
    return next((step.share for step in reversed(steps) if step.time <= time), 1.0)


def time_at(steps: Sequence[Step], share: float) -> float | None:
    """When the share has fallen to this for the first time; None: it has not."""
    return next((step.time for step in steps if step.share <= share), None)


def second_purchases(purchases: Purchases) -> tuple[list[int], list[bool]]:
    """Of every customer the days from the first purchase to the second, or so far without one, and which it is."""
    times, came = [], []
    for _customer, days in purchases.by_customer():
        second = days[1][0] if len(days) > 1 else None
        times.append(((second or purchases.until) - days[0][0]).days)
        came.append(second is not None)
    return times, came


@dataclass(frozen=True, slots=True)
class Cohort:
    """The customers who bought first in one month, and how many of them bought in each month from then on."""

    month: dt.date
    """Its first day."""
    active: tuple[int, ...]
    """The first is all of them. The last month may not be over."""

    @property
    def size(self) -> int:
        """How many they are."""
        return self.active[0]


def cohorts(purchases: Purchases) -> list[Cohort]:
    """Customers by the month of their first purchase, the earliest first, and who bought in which month after it."""
    active: dict[int, Counter[int]] = {}
    for _customer, days in purchases.by_customer():
        first = _number(days[0][0])
        active.setdefault(first, Counter()).update({_number(day) - first for day, _amount in days})
    last = _number(purchases.until)
    return [
        Cohort(dt.date(first // 12, first % 12 + 1, 1), tuple(active[first][each] for each in range(last - first + 1)))
        for first in sorted(active)
    ]


def _number(day: dt.date) -> int:
    return 12 * day.year + day.month - 1


# As a model ----------------------------------------------------------------------------------------------------------


def train(work: Work) -> Trained:
    """The retention of each month's new customers, and the curve of second purchases."""
    purchases = work.purchases()
    if not purchases.rows:
        raise Invalid(_("There are no purchases."))
    times, came = second_purchases(purchases)
    steps = survival(times, came)
    months = cohorts(purchases)[-MOST_MONTHS:]
    half = time_at(steps, 0.5)
    parameters = {
        "cohorts": [{"month": each.month.isoformat(), "active": list(each.active)} for each in months],
        "curve": [_kept(each) for each in _fewer(steps)], "customers": len(times), "came_back": sum(came),
        "half": half, "left_out": dict(purchases.left_out),
    }  # fmt: skip
    note = (
        _("Half of the customers come back within %(days)s days.", days=round(half)) if half is not None
        else _("Of the customers, %(share)s %% have come back so far.", share=round(100 * sum(came) / len(came)))
    )  # fmt: skip
    return Trained(parameters, len(times), purchases.until, errors(purchases), note)


def errors(purchases: Purchases) -> Mapping[str, Mapping[str, float]]:
    """How far the curve of the earlier customers is from that of the later ones, at its middle.

    The later half of the customers, by their first purchase, is held out. Beside it stands the plain share of those
    who had come back at all, as if everybody had been watched for long enough.
    """
    customers = sorted(purchases.by_customer(), key=lambda each: each[1][0][0])
    cut = customers[len(customers) // 2][1][0][0] if customers else purchases.until
    days = min((purchases.until - cut).days, (cut - purchases.since).days) // 2  # so long, both halves were watched
    earlier = [each for each in customers if each[1][0][0] < cut]
    later = [each for each in customers if cut <= each[1][0][0] <= purchases.until - dt.timedelta(days=days)]
    if days < 1 or not earlier or not later:
        return {}
    known = purchases_from(((c, d, a) for c, rows in earlier for d, a in rows if d <= cut), cut)
    times, came = second_purchases(known)
    true = sum(len(rows) > 1 and (rows[1][0] - rows[0][0]).days <= days for _customer, rows in later) / len(later)
    told, plain = 1 - share_at(survival(times, came), days), sum(came) / len(came)
    return {"share_distance": {"model": round(abs(told - true), 4), "baseline": round(abs(plain - true), 4)}}


def _fewer(steps: Sequence[Step]) -> Sequence[Step]:
    if len(steps) <= STEPS:
        return steps
    return [steps[round(at * (len(steps) - 1) / (STEPS - 1))] for at in range(STEPS)]


def _kept(step: Step) -> dict[str, Any]:
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in asdict(step).items()}
