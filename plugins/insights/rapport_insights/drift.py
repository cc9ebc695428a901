"""How far the customers of today are from those a model was learned from.

The population stability index adds up, over the buckets of a fact, (today's share - share then) × ln(today's share /
share then) (Lewis, An Introduction to Credit Scoring, 1994; Siddiqi, Credit Risk Scorecards, 2006; it is Jeffreys'
divergence of 1946). By the rule of thumb of those books, below 0.1 nothing has changed, above 0.2 a model is to be
learned anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

from rapport_insights.features import Feature, Values

MUCH = Decimal("0.2")
"""Above this, the people who look after models are told."""
LEAST = 0.0005
"""A bucket that nobody fell into counts as this share, else the index would be endless."""


def stability(then: Sequence[float], today: Sequence[float]) -> float:
    """The population stability index of two distributions over the same buckets."""
    pairs = [(max(old, LEAST), max(new, LEAST)) for old, new in zip(then, today, strict=True)]
    return sum((new - old) * math.log(new / old) for old, new in pairs)


def drifted(features: Sequence[Feature], rows: Sequence[Values]) -> dict[str, float]:
    """The index of every fact, the most changed first. Nobody there to compare with: nothing has drifted."""
    if not rows:
        return {}
    found = {each.name: stability(each.shares, each.spread([row.get(each.name) for row in rows])) for each in features}
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def most(indices: Mapping[str, float]) -> Decimal | None:
    """The index of what has changed most."""
    return Decimal(str(round(max(indices.values()), 4))) if indices else None
