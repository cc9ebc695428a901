"""What a series of figures will be next: seasonal smoothing beside “as a season ago”, and how far off either is.

The level, its trend and the season are smoothed, each by a weight of its own (Holt 1957; Winters 1960), the season
added or multiplied, the trend dying away or not (Gardner, McKenzie 1985). Which of the ways, and with which weights, is
found by trying: from several days of the past the next stretch is foretold and compared (rolling origin; Tashman 2000)
by the mean absolute scaled error (Hyndman, Koehler 2006): the error beside that of the plain way one step ahead. The
later of those days did not take part in the choice; the error that is told is theirs. Low and high are quantiles of the
errors made, by distance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

NAIVE = "naive"
WAYS = (
    NAIVE,
    "level",
    "trend",
    "damped",
    "season",
    "season_trend",
    "season_damped",
    "times_season",
    "times_season_trend",
)
"""What is tried; those with a season need two whole ones, and those that multiply it figures above 0."""
LEVELS, TRENDS, SEASONS, DYING = (0.02, 0.08, 0.2, 0.4, 0.7), (0.0, 0.02, 0.1, 0.3), (0.0, 0.05, 0.15, 0.4), 0.9
ORIGINS = 6
NONE = 0.05
"""Of what is counted, less than one in twenty periods is none."""
INNER = (0.1, 0.9)
"""Four of five figures are expected between low and high."""
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected, and the error made on stretches of the past that took no part in the choice."""

    way: str
    expected: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    mase: float
    naive_mase: float
    smape: float
    naive_smape: float
    covered: float
    """The share of those figures that lay between low and high; 0.8 is meant."""
    origins: int
    """From how many days of the past the error is."""

    @property
    def better(self) -> bool:
        """Whether it beats the plain way where that was not known before."""
        return self.way != NAIVE and self.mase < self.naive_mase


def forecast(values: Sequence[float], season: int, horizon: int, *, counts: bool = False,
             tell: Tell = lambda done, total: None) -> Forecast:  # fmt: skip
    """What comes after `values`: `horizon` figures. `counts`: they are never below 0, and vary more where many.

    ValueError when there is too little to judge by.
    """
    import numpy as np

    y = np.asarray(values, dtype=np.float64)
    origins = _origins(len(y), season, horizon)
    if not origins:
        raise ValueError(f"{len(y)} figures are too few for {horizon} to come with a season of {season}.")
    positive = bool(y.min() > 0)
    ways = [way for way in WAYS if ("season" not in way or origins[0] >= 2 * season > 2) and
            ("times" not in way or positive)]  # fmt: skip
    scale = _scale(y[: origins[0]], season)
    errors: dict[str, list[Floats]] = {way: [] for way in ways}
    told: dict[str, list[Floats]] = {way: [] for way in ways}
    for at, origin in enumerate(origins):
        truth = y[origin : origin + horizon]
        for way in ways:
            guess = _tidy(_next(y[:origin], season, horizon, way), counts)
            told[way].append(guess)
            errors[way].append(truth - guess)
        tell(at + 1, len(origins) + 1)
    chosen_by = max(1, len(origins) - max(1, len(origins) // 2))  # the earlier ones choose, the later ones judge
    judged = slice(chosen_by, None) if len(origins) > 1 else slice(0, None)
    way = min(ways, key=lambda each: float(np.mean(np.abs(errors[each][:chosen_by]))))
    truths = [y[origin : origin + horizon] for origin in origins]
    low, high = _between(told[way][:chosen_by], errors[way][:chosen_by], counts)
    inside = [
        (truth >= low(guess)) & (truth <= high(guess)) for truth, guess in zip(truths[judged], told[way][judged],
                                                                               strict=True)
    ]  # fmt: skip
    expected = _tidy(_next(y, season, horizon, way), counts)
    low, high = _between(told[way], errors[way], counts)
    tell(len(origins) + 1, len(origins) + 1)
    return Forecast(
        way, tuple(expected.tolist()), tuple(_tidy(low(expected), counts).tolist()), tuple(high(expected).tolist()),
        float(np.mean(np.abs(errors[way][judged])) / scale), float(np.mean(np.abs(errors[NAIVE][judged])) / scale),
        _smape(truths[judged], told[way][judged]), _smape(truths[judged], told[NAIVE][judged]),
        float(np.mean(inside)), len(errors[way][judged]),
    )  # fmt: skip


def _origins(length: int, season: int, horizon: int) -> list[int]:
    """The lengths after which the next stretch is foretold: the last ends where the series ends."""
    least = max(2 * season, season + 2, 8) if length >= 2 * season + 2 * horizon else max(season + 1, 8)
    room = length - horizon - least
    if room < 0:
        return []
    many = max(1, min(ORIGINS, room + 1))
    step = max(1, min(horizon, room // max(1, many - 1))) if many > 1 else 1
    starts = [length - horizon - step * at for at in range(many)]
    return sorted(start for start in starts if start >= least)


def _scale(y: Floats, season: int) -> float:
    """How far the plain way is off by one season, within what was known: what MASE divides by."""
    import numpy as np

    lag = season if len(y) > season else 1
    found = float(np.mean(np.abs(y[lag:] - y[:-lag])))
    return found or 1.0


def _tidy(values: Floats, counts: bool) -> Floats:
    import numpy as np

    return np.where(values < NONE, 0.0, values) if counts else values


def _smape(truths: Sequence[Floats], told: Sequence[Floats]) -> float:
    """The mean of twice the distance over the sum (Makridakis 1993); where both are 0, nothing is off."""
    import numpy as np

    truth, guess = np.concatenate(truths), np.concatenate(told)
    whole = np.abs(truth) + np.abs(guess)
    return float(np.mean(np.where(whole > 0, 2 * np.abs(truth - guess) / np.where(whole > 0, whole, 1), 0.0)))


def _between(
    told: Sequence[Floats], errors: Sequence[Floats], counts: bool
) -> tuple[Callable[[Floats], Floats], Callable[[Floats], Floats]]:
    """What the errors of the past say about low and high. Counts are off by more where they are more (by the root)."""
    import numpy as np

    guess, off = np.array(told), np.array(errors)
    size = np.sqrt(np.maximum(guess, 1.0)) if counts else np.ones_like(guess)
    scaled = off / size
    horizon = scaled.shape[1]
    wide = horizon if scaled.shape[0] * horizon < 60 else max(3, horizon // 4)
    lows, highs = np.empty(horizon), np.empty(horizon)
    for at in range(horizon):
        near = scaled[:, max(0, at - wide) : at + wide + 1]
        lows[at], highs[at] = np.quantile(near, INNER)

    def low(values: Floats) -> Floats:
        return values + np.minimum(lows, 0) * (np.sqrt(np.maximum(values, 1.0)) if counts else 1.0)

    def high(values: Floats) -> Floats:
        return values + np.maximum(highs, 0) * (np.sqrt(np.maximum(values, 1.0)) if counts else 1.0)

    return low, high


def _next(y: Floats, season: int, horizon: int, way: str) -> Floats:
    """The next figures by one way, with the weights that would have been best one step ahead."""
    import numpy as np

    if way == NAIVE:
        lag = season if len(y) >= season else 1
        return np.array([y[len(y) - lag + at % lag] for at in range(horizon)])
    lag = season if "season" in way else 1
    trends = TRENDS[1:] if "trend" in way or "damped" in way else (0.0,)
    seasons = SEASONS if "season" in way else (0.0,)
    grid = np.array(list(product(LEVELS, trends, seasons))).T
    dying = DYING if "damped" in way else 1.0
    return _smooth(y, lag, horizon, grid, dying, way.startswith("times"))


def _smooth(y: Floats, season: int, horizon: int, grid: Any, dying: float, times: bool) -> Floats:
    """Smooth with all the weights of the grid at once, and go on with those that were least off."""
    import numpy as np

    alpha, beta, gamma = grid
    size, trended, seasonal = len(alpha), bool(beta.any()), season > 1
    first, second = float(y[:season].mean()), float(y[season : 2 * season].mean())
    level = np.full(size, first)
    trend = np.full(size, (second - first) / season if trended else 0.0)
    around = _around(y, season, times)
    index = np.repeat(around[:, None], size, axis=1)
    start = season if seasonal else 1
    off = np.zeros(size)
    for at in range(len(y)):
        place = at % season
        old, swing = level + dying * trend, index[place]
        guess = (old * swing if times else old + swing) if seasonal else old
        if at >= start:
            off += (y[at] - guess) ** 2
        clean = (y[at] / np.maximum(swing, 1e-9) if times else y[at] - swing) if seasonal else y[at]
        new = alpha * clean + (1 - alpha) * old
        if trended:
            trend = beta * (new - level) + (1 - beta) * dying * trend
        if seasonal:
            seen = y[at] / np.where(np.abs(new) > 1e-9, new, 1e-9) if times else y[at] - new
            index[place] = gamma * seen + (1 - gamma) * swing
        level = new
    best = int(np.nanargmin(off))
    steps = np.arange(1, horizon + 1)
    grown = np.cumsum(dying**steps) * trend[best] if trended else np.zeros(horizon)
    line = level[best] + grown
    if not seasonal:
        return np.asarray(line, dtype=np.float64)
    swings = np.array([index[(len(y) + at) % season, best] for at in range(horizon)])
    return np.asarray(line * swings if times else line + swings, dtype=np.float64)


def _around(y: Floats, season: int, times: bool) -> Floats:
    """The season to begin with: how each place is beside the mean of its own season, over the whole ones there are."""
    import numpy as np

    if season == 1:
        return np.zeros(1)
    whole = max(1, len(y) // season)
    table = y[: whole * season].reshape(whole, season)
    means = table.mean(axis=1, keepdims=True)
    found = (table / np.where(means > 0, means, 1) if times else table - means).mean(axis=0)
    return np.asarray(found, dtype=np.float64)
