"""The chance of something, learned from examples two ways, of which the better is kept, with reasons in plain words.

The plain way is logistic regression with a price on large weights (ridge; Hastie, Tibshirani, Friedman, The Elements of
Statistical Learning, 4.4). The other is gradient boosting of small trees (Friedman 2001), which sees that two facts
together mean more than each by itself. Boosting has to earn its place: it is used where it foretells those folds of the
examples clearly better that it has not seen. Either's chances are then straightened (Platt 1999), so that of all whom
it gives 30 %, about 30 % do it. What was learned is kept as plain numbers, never as a program.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rapport import batched
from rapport_insights.features import Feature, Values, features_of, matrix_of

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

RIDGE = 0.5
FOLDS = 3
CLEARLY = 0.99
"""Boosting is chosen when its log loss is less than this much of the plain way's."""
TREES, DEPTH, RATE, PART = 80, 3, 0.1, 0.5
SEED = 1
AT_ONCE = 5000
"""Rows that are in memory together as a matrix."""
STEPS = 2 * FOLDS + 3
Tell = Callable[[int], None]
Tree = tuple[tuple[int, int, int, float], ...]
"""Its nodes: column, where to go when it is 0 and when it is 1, and what a leaf (column -1) adds."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A fact that moves a chance: which, its bucket, and by how much it multiplies the odds."""

    name: str
    bucket: str
    times: float


@dataclass(frozen=True, slots=True)
class Chances:
    """What was learned: for the plain way weights of buckets, for boosting trees; then what straightens them."""

    features: tuple[Feature, ...]
    bias: float
    weights: tuple[float, ...] = ()
    trees: tuple[Tree, ...] = ()
    straight: tuple[float, float] = (0.0, 1.0)

    @property
    def kind(self) -> str:
        """How it was learned: `logistic` or `boosted`."""
        return "boosted" if self.trees else "logistic"

    @property
    def names(self) -> list[str]:
        """The facts it asks for."""
        return [feature.name for feature in self.features]

    def of_rows(self, rows: Sequence[Values]) -> Floats:
        """How likely it is for each row, between 0 and 1."""
        import numpy as np

        parts = batched(rows, AT_ONCE)
        return np.concatenate([np.zeros(0), *(_chance(self._logits(matrix_of(self.features, part))) for part in parts)])

    def reasons(self, rows: Sequence[Values], most: int = 4, least: float = 0.1) -> list[list[Reason]]:
        """For each row, the facts that move its chance most, beside what customers have in general."""
        return [told for part in batched(rows, AT_ONCE) for told in self._reasons(part, most, least)]

    def _reasons(self, rows: Sequence[Values], most: int, least: float) -> list[list[Reason]]:
        import numpy as np

        matrix = matrix_of(self.features, rows)
        moved = np.zeros((len(rows), len(self.features)))
        if not self.trees:
            add, start = matrix * np.array(self.weights) * self.straight[1], 0
            for at, feature in enumerate(self.features):
                moved[:, at] = add[:, start : start + len(feature.buckets)].sum(axis=1)
                start += len(feature.buckets)
        else:
            whole, start = self._logits(matrix), 0
            for at, feature in enumerate(self.features):
                usual = matrix.copy()
                usual[:, start : start + len(feature.buckets)] = 0
                usual[:, start + int(np.argmax(feature.shares))] = 1
                moved[:, at] = whole - self._logits(usual)
                start += len(feature.buckets)
        told = []
        for row, moves in zip(rows, moved, strict=True):
            strongest = sorted(range(len(moves)), key=lambda at: -abs(moves[at]))[:most]
            told.append([
                Reason(each.name, each.bucket(row.get(each.name)), round(math.exp(moves[at]), 3))
                for at in strongest if abs(moves[at]) >= least for each in [self.features[at]]
            ])  # fmt: skip
        return told

    def kept(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "features": [feature.kept() for feature in self.features], "bias": round(self.bias, 6),
            "weights": [round(weight, 6) for weight in self.weights], "straight": list(self.straight),
            "trees": [[[*node[:3], round(node[3], 6)] for node in tree] for tree in self.trees],
        }  # fmt: skip

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Chances:
        """From what `kept` gave."""
        trees = tuple(
            tuple((int(c), int(no), int(yes), float(adds)) for c, no, yes, adds in tree) for tree in kept["trees"]
        )
        features = tuple(Feature.of(each) for each in kept["features"])
        slope = (float(kept["straight"][0]), float(kept["straight"][1]))
        return cls(features, kept["bias"], tuple(kept["weights"]), trees, slope)

    def _logits(self, matrix: Floats) -> Floats:
        """The logarithms of the odds."""
        import numpy as np

        if self.trees:
            raw = np.full(len(matrix), self.bias)
            rows = np.arange(len(matrix))
            for tree in self.trees:
                column, no, yes = (np.array(part, dtype=np.int64) for part in list(zip(*tree, strict=True))[:3])
                adds, at = np.array([node[3] for node in tree]), np.zeros(len(matrix), dtype=np.int64)
                for _level in range(DEPTH):
                    asked = column[at]
                    there = matrix[rows, np.maximum(asked, 0)] > 0.5
                    at = np.where(asked < 0, at, np.where(there, yes[at], no[at]))
                raw += adds[at]
        else:
            raw = self.bias + matrix @ np.array(self.weights)
        return self.straight[0] + self.straight[1] * raw


@dataclass(frozen=True, slots=True)
class Measured:
    """How well something foretells examples it has not seen."""

    auc: float
    """Of a pair, one it happened to and one it did not: how often the former has the higher chance. 0.5 is luck."""
    brier: float
    """The mean squared distance between chance and outcome (Brier 1950)."""
    log_loss: float
    lift: float
    """In the tenth with the highest chances: how many times as many as overall."""

    def kept(self) -> dict[str, float]:
        """As JSON."""
        return {name: round(getattr(self, name), 4) for name in ("auc", "brier", "log_loss", "lift")}


@dataclass(frozen=True, slots=True)
class Trial:
    """What was learned from some examples, how it did on the others, and how the plain ways beside it did."""

    chances: Chances
    measured: Measured
    share: Measured
    """If everybody were given the share that it happened to."""
    single: Measured
    """If one went by the best single fact."""
    best_field: str
    other: Measured
    """The way of learning that was not kept."""
    folds: Mapping[str, float]
    """The log loss of either way on folds that it had not seen: what the choice went by."""
    calibration: tuple[tuple[float, float, int], ...]
    """Groups of about the same chance: foretold, come true, how many."""
    learned_from: int
    held_out: int
    happened: float
    """The share of the learned examples that it happened to."""

    @property
    def better(self) -> bool:
        """Whether it foretells better than the plain ways."""
        return self.measured.log_loss < self.share.log_loss and self.measured.auc > max(self.single.auc, 0.5)


def try_out(
    rows: Sequence[Values], outcomes: Sequence[int], held_rows: Sequence[Values], held: Sequence[int],
    names: Sequence[str], tell: Tell = lambda step: None,
) -> Trial:  # fmt: skip
    """Learn from `rows` both ways, keep the better, and foretell `held_rows` beside the plain ways."""
    import numpy as np

    y, truth = np.array(outcomes, dtype=np.float64), np.array(held, dtype=np.float64)
    features = features_of(rows, names)
    matrix, asked = matrix_of(features, rows), matrix_of(features, held_rows)
    learned: dict[str, Chances] = {}
    folds: dict[str, float] = {}
    for at, (kind, learn) in enumerate((("logistic", _logistic), ("boosted", _boosted))):
        unseen = _unseen(learn, features, matrix, y, _further(tell, at * (FOLDS + 1)))
        straight = _straightened(unseen, y)
        learned[kind] = replace(learn(features, matrix, y), straight=straight)
        folds[kind] = _log_loss(_chance(straight[0] + straight[1] * unseen), y)
        tell((at + 1) * (FOLDS + 1))
    kind = "boosted" if folds["boosted"] < CLEARLY * folds["logistic"] else "logistic"
    measured = {name: measure(_chance(each._logits(asked)), truth) for name, each in learned.items()}
    share = float(y.mean())
    best, single = _best_single(features, matrix, y, asked, truth)
    chances = _chance(learned[kind]._logits(asked))
    tell(STEPS)
    return Trial(
        learned[kind], measured[kind], measure(np.full(len(truth), share), truth), single, best,
        measured["logistic" if kind == "boosted" else "boosted"], folds, calibration(chances, truth),
        len(rows), len(held_rows), share,
    )  # fmt: skip


def measure(chances: Floats, outcomes: Floats) -> Measured:
    """Hold chances against what came true."""
    import numpy as np
    from sklearn.metrics import roc_auc_score

    both = 0 < outcomes.sum() < len(outcomes)
    auc = float(roc_auc_score(outcomes, chances)) if both else 0.5
    # Those with equal chances share the tenth, so that their order in the file does not count.
    edge = np.sort(chances)[::-1][max(1, len(chances) // 10) - 1]
    above, equal = chances > edge, chances == edge
    room = (max(1, len(chances) // 10) - above.sum()) / equal.sum()
    taken = outcomes[above].sum() + outcomes[equal].sum() * room
    lift = float(taken / max(1, len(chances) // 10) / outcomes.mean()) if outcomes.any() else 1.0
    return Measured(auc, float(np.mean((chances - outcomes) ** 2)), _log_loss(chances, outcomes), lift)


def calibration(chances: Floats, outcomes: Floats, groups: int = 10) -> tuple[tuple[float, float, int], ...]:
    """Examples in groups of about the same chance: the chance foretold, the share that came true, how many."""
    import numpy as np

    parts = np.array_split(np.argsort(chances, kind="stable"), groups)
    return tuple(
        (round(float(chances[part].mean()), 4), round(float(outcomes[part].mean()), 4), len(part))
        for part in parts if len(part)
    )  # fmt: skip


# Learning ------------------------------------------------------------------------------------------------------------


def _logistic(features: tuple[Feature, ...], matrix: Floats, y: Floats) -> Chances:
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1 / (2 * RIDGE), max_iter=2000).fit(matrix, y)
    bias, weights = float(fitted.intercept_[0]), fitted.coef_[0].astype(float)
    # Around their mean, so that 0 is an ordinary customer and a weight is a reason.
    start = 0
    for feature in features:
        own, share = slice(start, start + len(feature.buckets)), matrix[:, start : start + len(feature.buckets)].mean(0)
        mean = float(weights[own] @ share)
        weights[own] -= mean
        bias += mean
        start += len(feature.buckets)
    return Chances(features, bias, tuple(weights.tolist()))


def _boosted(features: tuple[Feature, ...], matrix: Floats, y: Floats) -> Chances:
    from sklearn.ensemble import GradientBoostingClassifier

    fitted = GradientBoostingClassifier(
        n_estimators=TREES, max_depth=DEPTH, learning_rate=RATE, subsample=PART, min_samples_leaf=20, random_state=SEED
    ).fit(matrix, y)
    trees = []
    for (each,) in fitted.estimators_:
        known = each.tree_
        nodes = zip(known.feature, known.children_left, known.children_right, known.value[:, 0, 0], strict=True)
        trees.append(tuple((max(int(c), -1), int(no), int(yes), RATE * float(adds)) for c, no, yes, adds in nodes))
    share = float(y.mean())
    return Chances(features, math.log(share / (1 - share)), trees=tuple(trees))


def _unseen(learn: Any, features: tuple[Feature, ...], matrix: Floats, y: Floats, tell: Tell) -> Floats:
    """The log-odds of every example by what was learned without it."""
    import numpy as np
    from sklearn.model_selection import StratifiedKFold

    raw = np.zeros(len(y))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for step, (seen, left) in enumerate(folds.split(matrix, y)):
        tell(step)
        raw[left] = learn(features, matrix[seen], y[seen])._logits(matrix[left])
    return raw


def _further(tell: Tell, done: int) -> Tell:
    return lambda step: tell(done + step)


def _straightened(raw: Floats, y: Floats) -> tuple[float, float]:
    """Two numbers that make log-odds honest: a + b × log-odds (Platt 1999)."""
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e6, max_iter=1000).fit(raw.reshape(-1, 1), y)
    return round(float(fitted.intercept_[0]), 6), round(float(fitted.coef_[0][0]), 6)


def _best_single(
    features: tuple[Feature, ...], matrix: Floats, y: Floats, asked: Floats, truth: Floats
) -> tuple[str, Measured]:
    """The fact that by itself would have foretold those held out best: the share among examples of its bucket."""
    import numpy as np

    share = float(y.mean())
    name, best, start = "", measure(np.full(len(truth), share), truth), 0
    for feature in features:
        own = slice(start, start + len(feature.buckets))
        many, good = matrix[:, own].sum(0), y @ matrix[:, own]
        here = measure(asked[:, own] @ ((good + share) / (many + 1)), truth)
        if here.auc > best.auc:
            name, best = feature.name, here
        start += len(feature.buckets)
    return name, best


def _chance(logits: Floats) -> Floats:
    import numpy as np

    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))


def _log_loss(chances: Floats, outcomes: Floats) -> float:
    import numpy as np

    given = np.where(outcomes > 0.5, chances, 1 - chances)
    return float(-np.mean(np.log(np.maximum(given, 1e-12))))
