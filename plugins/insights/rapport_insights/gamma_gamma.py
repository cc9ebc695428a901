"""How much customers spend at a purchase: the Gamma-Gamma model, written out.

What a customer spends varies around a mean of their own, and the means vary among customers; whoever has bought seldom
is drawn towards the mean of all. Fader, Hardie 2013: The Gamma-Gamma Model of Monetary Value; first in Fader, Hardie,
Lee 2005: RFM and CLV: Using Iso-Value Curves for Customer Base Analysis, Journal of Marketing Research 42. It takes for
granted that how much somebody spends has nothing to do with how often they buy.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, gammaln

Array = Any
FARTHEST = 12.0
STARTS = ((1.0, 2.0, 1.0), (6.0, 4.0, 0.5))
"""Where the search begins: p, q, and gamma as a part of the mean amount."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of the amounts around a customer's mean: shape p; of the means among customers: q and gamma."""

    p: float
    q: float
    gamma: float


def fit(x: Array, mean: Array) -> Parameters:
    """The parameters under which the means of `x` purchases each are most likely; all means are above 0."""
    scale = float(mean.mean())
    means = mean / scale

    def loss(logs: Array) -> tuple[float, Array]:
        value, slope = _likelihood(np.exp(logs), x, means)
        return -value / len(x), -slope * np.exp(logs) / len(x)

    found = [
        minimize(loss, np.log(start), jac=True, method="L-BFGS-B", bounds=[(-FARTHEST, FARTHEST)] * 3,
                 options={"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-9})
        for start in STARTS
    ]  # fmt: skip
    best = min(found, key=lambda each: float(each.fun))
    p, q, gamma = (float(each) for each in np.exp(best.x))
    return Parameters(p, q, gamma * scale)


def log_likelihood(parameters: Parameters, x: Array, mean: Array) -> float:
    """How likely the means are under some parameters, as a logarithm."""
    value, _slope = _likelihood(np.array(astuple(parameters)), x, mean)
    return value


def _likelihood(three: Array, x: Array, mean: Array) -> tuple[float, Array]:
    """The logarithm of the likelihood (the note's equation 1a) and its slope in p, q and gamma."""
    p, q, gamma = three
    total = gamma + x * mean
    value = (
        gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(gamma) + (p * x - 1) * np.log(mean)
        + p * x * np.log(x) - (p * x + q) * np.log(total)
    ).sum()  # fmt: skip
    slope = np.array([
        (x * (digamma(p * x + q) - digamma(p * x) + np.log(mean) + np.log(x) - np.log(total))).sum(),
        (digamma(p * x + q) - digamma(q) + np.log(gamma) - np.log(total)).sum(),
        (q / gamma - (p * x + q) / total).sum(),
    ])  # fmt: skip
    return float(value), slope


def expected(parameters: Parameters, x: Array, mean: Array) -> Array:
    """What each spends at a purchase to come (the note's equation 5); of whoever never bought again, what all do."""
    p, q, gamma = astuple(parameters)
    least = np.maximum(p * x + q - 1, 1e-9)
    return p * (gamma + x * mean) / least
