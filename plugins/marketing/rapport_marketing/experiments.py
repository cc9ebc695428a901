"""Tests of variants, told honestly: nothing is said before the planned number was reached and the time is over.

- How many each variant needs, to find a difference between two shares with 5 % error and 80 % power:
  n = (z(1-α/2) + z(1-β))² (p1 q1 + p2 q2) / (p1 - p2)², as in J. Fleiss, B. Levin, M. Paik, "Statistical Methods for
  Rates and Proportions", 3rd edition, Wiley 2003, section 4.2, without the correction for continuity.
- Whether two shares differ: the two-proportion z test with the pooled share, e-Handbook section 7.3.3.1.
- How much they may differ: the interval of R. Newcombe, "Interval estimation for the difference between independent
  proportions", Statistics in Medicine 17 (1998), method 10, made of Wilson's intervals.
- With more than two variants each is compared with the first one, and the error is shared among the comparisons
  (Bonferroni), so that many variants find no difference by chance alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

ERROR, POWER = 0.05, 0.80
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Arm:
    """A variant: to how many it went out, and how many of them answered."""

    name: str
    sent: int
    answered: int

    @property
    def rate(self) -> float:
        """The share that answered."""
        return self.answered / self.sent if self.sent else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """A variant beside the first one: the difference of their shares, between which bounds it lies, and p."""

    name: str
    first: str
    difference: float
    low: float
    high: float
    p: float
    differs: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a test tells. Without comparisons it tells nothing yet, and `why` says what it waits for."""

    arms: Sequence[Arm]
    needed: int
    why: str
    """"" when it is judged, "few" while variants miss people, "early" while the time to answer is not over."""
    comparisons: Sequence[Comparison] = ()
    best: str = ""
    """The variant that is better than the first one, surely; empty when no difference was found."""


def sample_size(p1: float, p2: float, *, error: float = ERROR, power: float = POWER) -> int:
    """How many each variant needs, so that a difference from p1 to p2 is found with that power."""
    z = _NORMAL.inv_cdf(1 - error / 2) + _NORMAL.inv_cdf(power)
    return math.ceil(z**2 * (p1 * (1 - p1) + p2 * (1 - p2)) / (p1 - p2) ** 2)


def z_test(one: Arm, other: Arm) -> float:
    """The two-sided p of two shares being the same."""
    if not one.sent or not other.sent:
        return 1.0
    pooled = (one.answered + other.answered) / (one.sent + other.sent)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / one.sent + 1 / other.sent))
    if spread == 0:
        return 1.0
    return 2 * (1 - _NORMAL.cdf(abs(one.rate - other.rate) / spread))


def interval(one: Arm, other: Arm, error: float = ERROR) -> tuple[float, float]:
    """Between which bounds the difference of two shares, `other` less `one`, lies."""
    z = _NORMAL.inv_cdf(1 - error / 2)
    low1, high1 = _wilson(one, z)
    low2, high2 = _wilson(other, z)
    gap = other.rate - one.rate
    return (
        gap - math.sqrt((other.rate - low2) ** 2 + (high1 - one.rate) ** 2),
        gap + math.sqrt((high2 - other.rate) ** 2 + (one.rate - low1) ** 2),
    )


def _wilson(arm: Arm, z: float) -> tuple[float, float]:
    if not arm.sent:
        return 0.0, 1.0
    n, p = arm.sent, arm.rate
    middle, half = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def judge(arms: Sequence[Arm], needed: int, *, over: bool) -> Verdict:
    """Compare variants with the first one, once each has the planned number and the time to answer is over."""
    if len(arms) < 2 or any(arm.sent < needed for arm in arms):
        return Verdict(arms, needed, "few")
    if not over:
        return Verdict(arms, needed, "early")
    error = ERROR / (len(arms) - 1)
    comparisons = []
    for arm in arms[1:]:
        p, (low, high) = z_test(arms[0], arm), interval(arms[0], arm, error)
        comparisons.append(Comparison(arm.name, arms[0].name, arm.rate - arms[0].rate, low, high, p, p < error))
    better = [each for each in comparisons if each.differs and each.difference > 0]
    worse = [each for each in comparisons if each.differs and each.difference < 0]
    best = max(better, key=lambda each: each.difference).name if better else ""
    if not best and len(worse) == len(comparisons):
        best = arms[0].name
    return Verdict(arms, needed, "", comparisons, best)
