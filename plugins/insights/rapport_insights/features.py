"""What is told of a customer, as buckets that can be learned from and said in words: “Contract: month to month”.

Every fact becomes a few buckets: values that are frequent enough, ranges of numbers, “empty”, “something rare”. A blank
is a bucket of its own, so that nothing is guessed in its place.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

EMPTY = ""
OTHERS = "\x01"
MOST_VALUES = 30
RANGES = 16
FEWEST = 10
"""So many examples at least make a bucket; of many examples, one in 200."""
Values = Mapping[str, Any]
"""What is known of one customer, by the name of the fact: a number, a text, or None."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One fact and its buckets. Numbers have edges: a bucket is the range between two of them."""

    name: str
    buckets: tuple[str, ...]
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()
    """Of the examples it was made from, how many fell into each bucket: what drift is measured against."""

    def bucket(self, value: Any) -> str:
        """The bucket a value falls into."""
        if value is None or value == "":
            found = EMPTY
        elif self.edges:
            found = str(bisect.bisect_left(self.edges, float(value)))
        else:
            found = str(value)
        return found if found in self.buckets else OTHERS

    def spread(self, values: Sequence[Any]) -> tuple[float, ...]:
        """Which share of the values falls into each bucket."""
        seen = Counter(self.bucket(value) for value in values)
        return tuple(seen[bucket] / max(len(values), 1) for bucket in self.buckets)

    def range(self, bucket: str) -> tuple[float | None, float | None]:
        """The numbers of a bucket: more than the first, up to the second."""
        at = int(bucket)
        return self.edges[at - 1] if at else None, self.edges[at] if at < len(self.edges) else None

    def kept(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name, "buckets": list(self.buckets), "edges": list(self.edges),
            "shares": [round(share, 5) for share in self.shares],
        }  # fmt: skip

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Feature:
        """From what `kept` gave."""
        return cls(kept["name"], tuple(kept["buckets"]), tuple(kept["edges"]), tuple(kept["shares"]))


def feature_of(name: str, values: Sequence[Any]) -> Feature | None:
    """The buckets of a fact; None when it does not tell customers apart."""
    least = max(FEWEST, len(values) // 200)
    known = [value for value in values if value is not None and value != ""]
    edges: tuple[float, ...] = ()
    if known and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known):
        numbers = sorted(float(value) for value in known)
        cuts = {numbers[len(numbers) * part // RANGES] for part in range(1, RANGES)}
        edges = tuple(sorted(cut for cut in cuts if cut < numbers[-1]))
        if numbers[0] not in edges and numbers.count(numbers[0]) >= least and numbers[0] < numbers[-1]:
            edges = (numbers[0], *edges)  # the many who have none, apart from those who have little
        buckets = [str(at) for at in range(len(edges) + 1)] if edges else []
    else:
        counts = Counter(str(value) for value in known)
        buckets = [value for value, count in counts.most_common(MOST_VALUES) if count >= least]
    draft = Feature(name, (EMPTY, OTHERS, *buckets), edges)
    seen = Counter(draft.bucket(value) for value in values)
    told_apart = [bucket for bucket in draft.buckets if seen[bucket] >= least]
    if len(told_apart) < 2:
        return None
    kept = tuple(bucket for bucket in draft.buckets if seen[bucket] or bucket == OTHERS)
    made = Feature(name, kept, edges)
    return Feature(name, kept, edges, made.spread(values))


def features_of(rows: Sequence[Values], names: Sequence[str]) -> tuple[Feature, ...]:
    """The facts that tell the rows apart."""
    found = (feature_of(name, [row.get(name) for row in rows]) for name in names)
    return tuple(feature for feature in found if feature is not None)


def columns_of(features: Sequence[Feature]) -> list[tuple[str, str]]:
    """The columns of `matrix_of`: fact and bucket."""
    return [(feature.name, bucket) for feature in features for bucket in feature.buckets]


def matrix_of(features: Sequence[Feature], rows: Sequence[Values]) -> Floats:
    """One row each, with a 1 in the column of each bucket that it falls into."""
    import numpy as np

    places = {column: at for at, column in enumerate(columns_of(features))}
    matrix = np.zeros((len(rows), len(places)))
    for feature in features:
        found = [places.get((feature.name, feature.bucket(row.get(feature.name))), -1) for row in rows]
        at = np.array(found, dtype=np.int64)
        known = at >= 0
        matrix[np.flatnonzero(known), at[known]] = 1.0
    return matrix
