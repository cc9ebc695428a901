"""How often customers will buy, and whether they are customers still: the BG/NBD model, written out.

Customers buy at a rate of their own (gamma distributed among them), and after each purchase some drop out with a chance
of their own (beta distributed). Fader, Hardie, Lee 2005: "Counting Your Customers" the Easy Way: An Alternative to the
Pareto/NBD Model, Marketing Science 24(2). The chance to be a customer still is from Fader, Hardie, Lee 2008: Computing
P(alive) Using the BG/NBD Model. A customer is told by three figures: `x`, on how many days they bought after the first
one; `t_x`, the time from the first purchase to the last; `age`, the time from the first purchase until today.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, expit, gammaln, hyp2f1

Array = Any
"""An array of numbers; numpy's own types say no more of what is meant here."""
STARTS = ((1.0, 1.0, 1.0, 1.0), (0.3, 0.5, 0.5, 2.0), (2.0, 2.0, 0.2, 5.0))
"""Where the search begins: r, alpha as a part of the mean age, a and b."""
FARTHEST = 12.0
"""Of the logarithm of a parameter: beyond lies nothing that data can tell apart."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """Of the purchase rates: shape r and rate alpha; of the chances to drop out: a and b."""

    r: float
    alpha: float
    a: float
    b: float


def fit(x: Array, t_x: Array, age: Array) -> Parameters:
    """The parameters under which what was seen is most likely (maximum likelihood, by L-BFGS on their logarithms)."""
    rows, weights = np.unique(np.column_stack([x, t_x, age]), axis=0, return_counts=True)
    scale = float(age.mean()) or 1.0  # the unit of time is made such that alpha is of the size of the others
    times = rows[:, 0], rows[:, 1] / scale, rows[:, 2] / scale
    count = float(weights.sum())

    def loss(logs: Array) -> tuple[float, Array]:
        value, slope = _likelihood(np.exp(logs), *times, weights)
        return -value / count, -slope * np.exp(logs) / count

    found = [
        minimize(loss, np.log(start), jac=True, method="L-BFGS-B", bounds=[(-FARTHEST, FARTHEST)] * 4,
                 options={"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-9})
        for start in STARTS
    ]  # fmt: skip
    best = min(found, key=lambda each: float(each.fun))
    r, alpha, a, b = (float(each) for each in np.exp(best.x))
    return Parameters(r, alpha * scale, a, b)


def log_likelihood(parameters: Parameters, x: Array, t_x: Array, age: Array) -> float:
    """How likely what was seen is under some parameters, as a logarithm."""
    value, _slope = _likelihood(np.array(astuple(parameters)), x, t_x, age, np.ones(len(x)))
    return value


def _likelihood(four: Array, x: Array, t_x: Array, age: Array, weights: Array) -> tuple[float, Array]:
    """The logarithm of the likelihood (the paper's equation 6) and its slope in r, alpha, a and b."""
    r, alpha, a, b = four
    again = x > 0
    others = np.where(again, b + x - 1, 1.0)  # where nobody bought again, this part counts for nothing
    both = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    beta = gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    stays = -(r + x) * np.log(alpha + age)
    left = np.where(again, np.log(a) - np.log(others) - (r + x) * np.log(alpha + t_x), -np.inf)
    value = float(weights @ (both + beta + np.logaddexp(stays, left)))
    gone = np.where(again, expit(np.where(again, left - stays, 0.0)), 0.0)
    here = 1 - gone
    slope = np.array([
        weights @ (digamma(r + x) - digamma(r) + np.log(alpha)
                   - here * np.log(alpha + age) - gone * np.log(alpha + t_x)),
        weights @ (r / alpha - here * (r + x) / (alpha + age) - gone * (r + x) / (alpha + t_x)),
        weights @ (digamma(a + b) - digamma(a + b + x) + gone / a),
        weights @ (digamma(a + b) + digamma(b + x) - digamma(b) - digamma(a + b + x) - gone / others),
    ])  # fmt: skip
    return value, slope


def alive(parameters: Parameters, x: Array, t_x: Array, age: Array) -> Array:
    """How likely each is a customer still. Who bought once only is one: dropping out comes after a later purchase."""
    r, alpha, a, b = astuple(parameters)
    return 1 / (1 + _odds_to_be_gone(r, alpha, a, b, x, t_x, age))


def expected(parameters: Parameters, x: Array, t_x: Array, age: Array, ahead: float) -> Array:
    """How many purchases each will make within the time ahead (the paper's equation 10)."""
    r, alpha, a, b = astuple(parameters)
    if abs(a - 1) < 1e-6:  # the formula divides by a - 1, and both sides go to the same limit
        a = 1 + 1e-6
    left = alpha + age + ahead
    series = hyp2f1(r + x, b + x, a + b + x - 1, ahead / left)
    many = (a + b + x - 1) / (a - 1) * (1 - ((alpha + age) / left) ** (r + x) * series)
    return many / (1 + _odds_to_be_gone(r, alpha, a, b, x, t_x, age))


def expected_of_new(parameters: Parameters, ahead: float) -> float:
    """How many purchases somebody makes within a time after the first (the paper's equation 9)."""
    nothing = np.zeros(1)
    return float(expected(parameters, nothing, nothing, nothing, ahead)[0])


def _odds_to_be_gone(r: float, alpha: float, a: float, b: float, x: Array, t_x: Array, age: Array) -> Array:
    again = x > 0
    others = np.where(again, b + x - 1, 1.0)
    return np.where(again, a / others * np.exp((r + x) * np.log((alpha + age) / (alpha + t_x))), 0.0)
