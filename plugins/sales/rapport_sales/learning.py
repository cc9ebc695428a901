"""A chance learned from examples: logistic regression, written out, with its error on examples that were held out.

Every field becomes a few buckets (values that are frequent enough, ranges of numbers, "empty", "others"), and every
bucket has a weight. The chance is 1 / (1 + exp(-(bias + the sum of the weights))). The weights are those that make
the examples most likely, less a small price on large weights (ridge), found by Newton's method (iteratively
reweighted least squares; Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 4.4.1).
"""

from __future__ import annotations

import bisect
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import mul
from typing import Any

from rapport import gettext as _

EMPTY = ""
OTHERS = "\x01"
MOST_VALUES = 30
RANGES = 8
CHANCE = Decimal("0.5")
RIDGE = 1.0
STEPS = 25
NUMBERS = {"integer", "decimal", "money"}
VALUES = {"text", "choice", "flag", "url"}
FILLED = {"email", "phone"}
"""Nobody's address repeats; that there is one tells something."""
Values = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Feature:
    """One field, as weights of its buckets. Numbers have edges: a bucket is the range between two of them."""

    name: str
    weights: Mapping[str, float]
    edges: tuple[float, ...] = ()

    def bucket(self, value: Any) -> str:
        """The bucket a value falls into."""
        if value is None or value == "":
            return EMPTY
        if self.edges:
            return str(bisect.bisect_left(self.edges, float(value)))
        return str(value) if str(value) in self.weights else OTHERS

    def weight(self, bucket: str) -> float:
        """What a bucket adds; one that was never seen adds nothing."""
        return self.weights.get(bucket, 0.0)


@dataclass(frozen=True, slots=True)
class Model:
    """What was learned. Each field's weights are around their mean, so 0 is an ordinary lead."""

    bias: float
    features: tuple[Feature, ...]

    @property
    def names(self) -> list[str]:
        """The fields it asks for."""
        return [feature.name for feature in self.features]

    def chance(self, values: Values) -> float:
        """How likely it is, between 0 and 1."""
        return logistic(self.bias + sum(each.weight(each.bucket(values[each.name])) for each in self.features))

    def reasons(self, values: Values, most: int = 6, least: float = 0.1) -> list[tuple[str, str, float]]:
        """The fields that move the chance most: name, bucket, and by how much the odds are multiplied."""
        found = [(each.name, bucket, each.weight(bucket)) for each in self.features
                 for bucket in [each.bucket(values[each.name])]]  # fmt: skip
        strongest = sorted((one for one in found if abs(one[2]) >= least), key=lambda one: -abs(one[2]))
        return [(name, bucket, math.exp(weight)) for name, bucket, weight in strongest[:most]]

    def kept(self) -> dict[str, Any]:
        """As JSON."""
        features = [{"name": f.name, "weights": {b: round(w, 5) for b, w in f.weights.items()}, "edges": list(f.edges)}
                    for f in self.features]  # fmt: skip
        return {"bias": round(self.bias, 5), "features": features}

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Model:
        """From what `kept` gave."""
        features = [Feature(each["name"], each["weights"], tuple(each["edges"])) for each in kept["features"]]
        return cls(kept["bias"], tuple(features))


# What a lead tells ---------------------------------------------------------------------------------------------------


def suits(field: Any) -> bool:
    """Whether a field can be learned from: short, and told by people or programs, not worked out here."""
    return field.kind in NUMBERS | VALUES | FILLED | {"address"} and not (
        field.readonly or field.secret or field.hidden
    )


def values_of(names: Sequence[str], meta: Any, record: Any) -> dict[str, Any]:
    """The values of a record to learn from or to ask about, in a plain form. A field that is gone is empty."""
    values: dict[str, Any] = {}
    for name in names:
        field = meta.fields.get(name)
        value = None if field is None else getattr(record, name)
        if field is None or value is None:
            values[name] = None
        elif field.kind in NUMBERS:
            values[name] = float(value)
        elif field.kind in FILLED:
            values[name] = "filled" if value else ""
        elif field.kind == "address":
            values[name] = value.get("country", "")
        else:
            values[name] = str(value).strip()
    return values


def in_words(meta: Any, model: Model, name: str, bucket: str) -> str:
    """A bucket as people say it: “Source: Fair”, “Visits: 3 to 5”."""
    field = meta.fields.get(name)
    label = _(field.label) if field is not None else name
    feature = next(each for each in model.features if each.name == name)
    return f"{label}: {_said(field, feature, bucket)}"


def _said(field: Any, feature: Feature, bucket: str) -> str:
    if bucket == EMPTY:
        return _("empty")
    if bucket == OTHERS:
        return _("something rare")
    if feature.edges:
        at = int(bucket)
        low, high = feature.edges[at - 1] if at else None, feature.edges[at] if at < len(feature.edges) else None
        if low is None:
            return _("up to %(high)s", high=f"{high:g}")
        if high is None:
            return _("more than %(low)s", low=f"{low:g}")
        return _("more than %(low)s, up to %(high)s", low=f"{low:g}", high=f"{high:g}")
    if bucket == "filled":
        return _("known")
    if field is not None and field.kind == "flag":
        return _("Yes") if bucket == "True" else _("No")
    known = next((choice.label for choice in field.choices if choice.value == bucket), None) if field else None
    return _(known) if known else bucket


# Learning ------------------------------------------------------------------------------------------------------------


def learn(rows: Sequence[Values], outcomes: Sequence[int], names: Sequence[str], tell: Callable[[int], None]) -> Model:
    """Learn from examples. `tell` hears of every step, so that whoever waits can see it go on."""
    features = [feature for name in names if (feature := _buckets(name, [row[name] for row in rows])) is not None]
    places = {pair: at + 1 for at, pair in enumerate((f.name, b) for f in features for b in f.weights)}
    found = [_places(row, features, places) for row in rows]
    weights = _newton(found, outcomes, len(places) + 1, tell)
    bias = weights[0]
    learned = []
    for feature in features:
        counts = Counter(feature.bucket(row[feature.name]) for row in rows)
        own = {bucket: weights[places[feature.name, bucket]] for bucket in feature.weights}
        mean = sum(own[bucket] * counts[bucket] for bucket in own) / len(rows)
        bias += mean
        learned.append(Feature(feature.name, {b: w - mean for b, w in own.items()}, feature.edges))
    return Model(bias, tuple(learned))


def _places(row: Values, features: Sequence[Feature], places: Mapping[tuple[str, str], int]) -> list[int]:
    """The numbers of the buckets a row falls into; 0 is the bias, which every row has."""
    pairs = ((feature.name, feature.bucket(row[feature.name])) for feature in features)
    return [0, *(places[pair] for pair in pairs if pair in places)]


def _buckets(name: str, values: Sequence[Any]) -> Feature | None:
    """The buckets of a field, still without weights; None when it does not tell leads apart."""
    least = max(10, len(values) // 200)
    numbers = sorted(value for value in values if isinstance(value, float))
    edges: tuple[float, ...] = ()
    if numbers:
        cuts = {numbers[len(numbers) * part // RANGES] for part in range(1, RANGES)}
        edges = tuple(sorted(cut for cut in cuts if cut < numbers[-1]))
        if not edges:
            return None
        frequent = [str(at) for at in range(len(edges) + 1)]
    else:
        counts = Counter(str(value) for value in values if value not in (None, ""))
        frequent = [value for value, count in counts.most_common(MOST_VALUES) if count >= least]
    draft = Feature(name, dict.fromkeys((EMPTY, OTHERS, *frequent), 0.0), edges)
    seen = Counter(draft.bucket(value) for value in values)
    kept = {bucket: 0.0 for bucket in draft.weights if seen[bucket] >= (1 if edges and bucket != EMPTY else least)}
    return Feature(name, kept, edges) if len(kept) > 1 else None


def _newton(
    rows: Sequence[Sequence[int]], outcomes: Sequence[int], size: int, tell: Callable[[int], None]
) -> list[float]:
    share = (sum(outcomes) + 0.5) / (len(outcomes) + 1)
    weights = [math.log(share / (1 - share)), *[0.0] * (size - 1)]
    for step in range(STEPS):
        tell(step)
        slope = [0.0, *(-RIDGE * weight for weight in weights[1:])]
        bend = [[0.0] * size for _ in range(size)]
        for at in range(size):
            bend[at][at] = RIDGE if at else 1e-9
        for row, outcome in zip(rows, outcomes, strict=True):
            chance = logistic(sum([weights[at] for at in row]))
            miss, spread = outcome - chance, chance * (1 - chance)
            for at in row:
                slope[at] += miss
                line = bend[at]
                for other in row:
                    line[other] += spread
        change = solve(bend, slope)
        weights = [weight + moved for weight, moved in zip(weights, change, strict=True)]
        if max(map(abs, change)) < 1e-6:
            break
    return weights


def solve(matrix: list[list[float]], right: Sequence[float]) -> list[float]:
    """The solution of matrix times x = right, for a symmetric positive definite matrix (Cholesky)."""
    size = len(right)
    lower = [[0.0] * size for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i][j] - sum(map(mul, lower[i][:j], lower[j][:j]))
            lower[i][j] = math.sqrt(max(rest, 1e-12)) if i == j else rest / lower[j][j]
    found = [0.0] * size
    for i in range(size):
        found[i] = (right[i] - sum(map(mul, lower[i][:i], found[:i]))) / lower[i][i]
    for i in reversed(range(size)):
        found[i] = (found[i] - sum(lower[k][i] * found[k] for k in range(i + 1, size))) / lower[i][i]
    return found


def logistic(x: float) -> float:
    """1 / (1 + exp(-x)), also far out."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


# How well it foretells -----------------------------------------------------------------------------------------------


def auc(chances: Sequence[float], outcomes: Sequence[int]) -> float:
    """How often, of a pair with different outcomes, the one that came to something has the higher chance (ties half).

    By ranks: Mann and Whitney's U over the number of pairs.
    """
    order = sorted(range(len(chances)), key=lambda at: chances[at])
    ranks = [0.0] * len(chances)
    start = 0
    while start < len(order):
        end = start
        while end + 1 < len(order) and chances[order[end + 1]] == chances[order[start]]:
            end += 1
        for at in order[start : end + 1]:
            ranks[at] = (start + end) / 2 + 1
        start = end + 1
    good = sum(outcomes)
    bad = len(outcomes) - good
    if not good or not bad:
        return 0.5
    return (sum(rank for rank, outcome in zip(ranks, outcomes, strict=True) if outcome) - good * (good + 1) / 2) / (
        good * bad
    )


def brier(chances: Sequence[float], outcomes: Sequence[int]) -> float:
    """The mean squared distance between chance and outcome (Brier 1950)."""
    return sum((chance - outcome) ** 2 for chance, outcome in zip(chances, outcomes, strict=True)) / len(outcomes)


def log_loss(chances: Sequence[float], outcomes: Sequence[int]) -> float:
    """The mean of minus the logarithm of the chance that was given to what came true."""
    given = (chance if outcome else 1 - chance for chance, outcome in zip(chances, outcomes, strict=True))
    return -sum(math.log(max(one, 1e-12)) for one in given) / len(outcomes)


def calibration(chances: Sequence[float], outcomes: Sequence[int], groups: int = 10) -> list[tuple[float, float, int]]:
    """Leads in groups of about the same chance: the chance foretold, the share that came true, and how many."""
    order = sorted(range(len(chances)), key=lambda at: chances[at])
    found = []
    for group in range(groups):
        some = order[len(order) * group // groups : len(order) * (group + 1) // groups]
        if some:
            told, true = sum(chances[at] for at in some) / len(some), sum(outcomes[at] for at in some) / len(some)
            found.append((round(told, 4), round(true, 4), len(some)))
    return found


@dataclass(frozen=True, slots=True)
class Trial:
    """What was learned from some examples, and how it did on the others."""

    model: Model
    auc: Decimal
    brier: Decimal
    base_brier: Decimal
    log_loss: Decimal
    base_log_loss: Decimal
    best_field: str
    best_auc: Decimal
    calibration: list[tuple[float, float, int]]


def try_out(
    rows: Sequence[Values], outcomes: Sequence[int], held_rows: Sequence[Values], held: Sequence[int],
    names: Sequence[str], tell: Callable[[int], None] = lambda step: None,
) -> Trial:  # fmt: skip
    """Learn from `rows`, foretell `held_rows`, and compare with plain ways: the share, and the best single field."""
    model = learn(rows, outcomes, names, tell)
    chances = [model.chance(row) for row in held_rows]
    share = sum(outcomes) / len(outcomes)
    alike = [share] * len(held)
    singles = [
        (auc(_single(feature, rows, outcomes, held_rows, share), held), feature.name) for feature in model.features
    ]
    best_auc, best = max(singles, default=(0.5, ""))
    return Trial(
        model, _figure(auc(chances, held)), _figure(brier(chances, held)), _figure(brier(alike, held)),
        _figure(log_loss(chances, held)), _figure(log_loss(alike, held)), best, _figure(best_auc),
        calibration(chances, held),
    )  # fmt: skip


def _single(
    feature: Feature, rows: Sequence[Values], outcomes: Sequence[int], held_rows: Sequence[Values], share: float
) -> list[float]:
    """The chances that one field alone gives: the share among the examples of the same bucket."""
    many: Counter[str] = Counter()
    good: Counter[str] = Counter()
    for row, outcome in zip(rows, outcomes, strict=True):
        bucket = feature.bucket(row[feature.name])
        many[bucket] += 1
        good[bucket] += outcome
    buckets = (feature.bucket(row[feature.name]) for row in held_rows)
    return [(good[bucket] + share) / (many[bucket] + 1) for bucket in buckets]


def _figure(value: float) -> Decimal:
    return Decimal(str(round(value, 4)))
