"""Lifetime value: how often customers will buy in the time ahead, what for, and what that is worth today.

How often is told by BG/NBD, for how much by Gamma-Gamma; see there for the sources. The value is the margin of the
purchases expected in each month ahead, discounted to today (Fader, Hardie, Lee 2005: RFM and CLV).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np

from rapport import Invalid, Site
from rapport import gettext as _
from rapport_insights import bgnbd, gamma_gamma
from rapport_insights.kinds import Scores, Trained, Work
from rapport_insights.purchases import Purchases
from rapport_insights.summaries import WEEK, Summaries, counts_within, summaries

MONTH = 30.4375
FEWEST = 50
"""Customers who came back, to learn from."""
SHORTEST = 56
"""Days of purchases, to learn from."""
GROUPS = 7
"""Customers are told apart by how often they came back up to so many times; then all together."""


@dataclass(frozen=True, slots=True)
class Foretold:
    """What was foretold of the days that were held out, and what came true: one place of each array is a customer."""

    x: Any
    model: Any
    pace: Any
    """At the pace so far: as many as before, for the same time."""
    last: Any
    """As many as in the time before, equally long."""
    true: Any
    money_model: Any
    money_pace: Any
    money_true: Any


def train(work: Work) -> Trained:
    """Learn from all purchases; how well that foretells is measured on the later ones, after learning from the rest."""
    purchases, months = work.purchases(), months_ahead(work.site)
    check(purchases)
    ahead = min(months * MONTH, (purchases.until - purchases.since).days / 2)
    cut = purchases.until - dt.timedelta(days=round(ahead))
    work.tell(1, 4, _("Measuring on the days held out"))
    foretold = try_out(purchases, cut)
    work.tell(2, 4, _("Learning from all days"))
    known = summaries(purchases)
    rates, amounts = learn(known)
    work.tell(3, 4)
    parameters = {
        "rates": asdict(rates), "amounts": asdict(amounts), "currency": purchases.currency,
        "held_out_after": cut.isoformat(), "groups": groups(foretold), "left_out": dict(purchases.left_out),
        "link": round(link(known), 4),
    }  # fmt: skip
    return Trained(parameters, len(known), purchases.until, errors(foretold), _note(foretold))


def check(purchases: Purchases) -> None:
    """Invalid where there is too little to learn from."""
    again = sum(len(days) > 1 for _customer, days in purchases.by_customer())
    days = (purchases.until - purchases.since).days
    if again < FEWEST or days < SHORTEST:
        raise Invalid(_(
            "There is too little to learn from: %(again)s customers who came back, within %(days)s days. At least "
            "%(fewest)s within %(shortest)s days are needed.",
            again=again, days=days, fewest=FEWEST, shortest=SHORTEST,
        ))  # fmt: skip


def learn(known: Summaries) -> tuple[bgnbd.Parameters, gamma_gamma.Parameters]:
    """The parameters of both models. Who never came back tells how often, but not for how much."""
    paid = (known.x > 0) & (known.mean > 0)
    return bgnbd.fit(known.x, known.t_x, known.age), gamma_gamma.fit(known.x[paid], known.mean[paid])


def link(known: Summaries) -> float:
    """How closely amounts go with how often (Pearson's correlation). Gamma-Gamma takes for granted that they do not."""
    paid = (known.x > 0) & (known.mean > 0)
    return float(np.corrcoef(known.x[paid], known.mean[paid])[0, 1]) if paid.sum() > 2 else 0.0


# How well it foretells -----------------------------------------------------------------------------------------------


def try_out(purchases: Purchases, cut: dt.date) -> Foretold:
    """Learn from the purchases up to a day, and foretell those after it."""
    known = summaries(purchases.up_to(cut))
    ahead = (purchases.until - cut).days / WEEK
    rates, amounts = learn(known)
    model = bgnbd.expected(rates, known.x, known.t_x, known.age, ahead)
    pace = known.x / np.maximum(known.age, 1 / WEEK) * ahead
    true, money_true = counts_within(purchases, cut, known.customers)
    before, _money = counts_within(purchases.up_to(cut), cut - (purchases.until - cut), known.customers)
    each = mean_amounts(amounts, known)
    return Foretold(known.x, model, pace, before, true, model * each, pace * known.mean, money_true)


def mean_amounts(amounts: gamma_gamma.Parameters, known: Summaries) -> Any:
    """What each customer spends at a purchase to come."""
    paid = known.mean > 0
    return gamma_gamma.expected(amounts, np.where(paid, known.x, 0), known.mean)


def errors(foretold: Foretold) -> dict[str, dict[str, float]]:
    """The errors per customer, beside those of the pace so far and of the time before."""
    true = foretold.true
    return {
        "purchases_mae": {"model": _mae(foretold.model, true), "baseline": _mae(foretold.pace, true),
                          "last": _mae(foretold.last, true)},
        "purchases_rmse": {"model": _rmse(foretold.model, true), "baseline": _rmse(foretold.pace, true),
                           "last": _rmse(foretold.last, true)},
        "money_mae": {"model": _mae(foretold.money_model, foretold.money_true),
                      "baseline": _mae(foretold.money_pace, foretold.money_true)},
    }  # fmt: skip


def groups(foretold: Foretold) -> list[dict[str, float]]:
    """By how often customers had come back: how many they are, and their purchases as foretold and as they came."""
    x, found = np.minimum(foretold.x, GROUPS), []
    for often in range(GROUPS + 1):
        these = x == often
        if these.any():
            found.append({
                "often": often, "customers": int(these.sum()), "told": round(float(foretold.model[these].mean()), 4),
                "pace": round(float(foretold.pace[these].mean()), 4),
                "true": round(float(foretold.true[these].mean()), 4),
            })  # fmt: skip
    return found


def _mae(told: Any, true: Any) -> float:
    """The mean distance."""
    return round(float(np.abs(told - true).mean()), 4)


def _rmse(told: Any, true: Any) -> float:
    """The root of the mean squared distance: large errors count more."""
    return round(float(np.sqrt(((told - true) ** 2).mean())), 4)


def _note(foretold: Foretold) -> str:
    found = errors(foretold)
    better = all(found[name]["model"] < min(found[name]["baseline"], found[name]["last"])
                 for name in ("purchases_mae", "purchases_rmse"))  # fmt: skip
    if better:
        return _("It foretells purchases better than the pace so far and than the time before.")
    return _("It does not foretell better than the plain ways beside it. Do not rely on single customers’ values.")


# What it says of customers -------------------------------------------------------------------------------------------


def months_ahead(site: Site) -> int:
    """How far ahead values go, by the settings."""
    return max(1, int(site.settings.get("insights.months") or 12))


def score(work: Work, parameters: Mapping[str, Any]) -> Scores:
    """Every customer's chance to be one still, the purchases to expect, and what those are worth."""
    settings, known = work.site.settings, summaries(work.purchases())
    found = values(
        known, bgnbd.Parameters(**parameters["rates"]), gamma_gamma.Parameters(**parameters["amounts"]),
        months_ahead(work.site), float(settings.get("insights.margin") or 0) / 100,
        float(settings.get("insights.discount") or 0) / 100,
    )  # fmt: skip
    return {
        customer: {
            # Of whoever bought once the model knows nothing: nobody drops out before coming back.
            "alive_chance": round(100 * float(chance)) if again else None,
            "expected_purchases": Decimal(str(round(float(many), 2))),
            "lifetime_value": Decimal(str(round(float(worth), 2))),
        }
        for customer, again, chance, many, worth in zip(known.customers, known.x, *found, strict=True)
    }


def values(
    known: Summaries, rates: bgnbd.Parameters, amounts: gamma_gamma.Parameters, months: int, margin: float,
    discount: float,
) -> Sequence[Any]:  # fmt: skip
    """The chance to be a customer still, the purchases in the months ahead, and their margin as it is worth today."""
    each, earlier = mean_amounts(amounts, known) * margin, np.zeros(len(known))
    worth = np.zeros(len(known))
    for month in range(1, months + 1):
        many = bgnbd.expected(rates, known.x, known.t_x, known.age, month * MONTH / WEEK)
        # The purchases of a month count as if they came in its middle.
        worth += (many - earlier) * each / (1 + discount) ** ((month - 0.5) / 12)
        earlier = many
    return bgnbd.alive(rates, known.x, known.t_x, known.age), earlier, worth
