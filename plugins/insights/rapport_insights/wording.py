"""What insights says to people: errors by name, and what purchases tell of one customer in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rapport import N_
from rapport import gettext as _
from rapport_insights.entities import SEGMENTS

ERRORS = {
    "purchases_mae": (N_("Purchases per customer: mean error"), N_("at the pace so far")),
    "purchases_rmse": (N_("The same, where large errors count more"), N_("at the pace so far")),
    "money_mae": (N_("Money per customer: mean error"), N_("at the pace so far")),
    "auc": (N_("Puts the one first who buys again: share of pairs"), N_("by the money spent")),
    "share_distance": (N_("Share who came back: error"), N_("without counting how long each was watched")),
}
"""Each measure of error: its name, and the plain way it stands beside."""
MORE_IS_BETTER = ("auc", "lift", "hit rate")
MEANING = {
    "champions": N_("bought lately, often and for much"),
    "loyal": N_("buys again and again"),
    "promising": N_("bought lately, and not yet often"),
    "new": N_("bought for the first time lately"),
    "fading": N_("bought seldom, and not lately"),
    "at_risk": N_("was a good customer, and has not bought for long"),
    "hibernating": N_("bought little, long ago"),
    "lost": N_("bought little, longest ago of all"),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """One error of a model, beside that of the plain way."""

    title: str
    model: float
    baseline: float | None
    beside: str
    better: bool


def measured(errors: Mapping[str, Mapping[str, float]]) -> list[Measured]:
    """The errors of a model in words."""
    found = []
    for name, values in errors.items():
        title, beside = ERRORS.get(name, (name, ""))
        model, plain = values["model"], values.get("baseline")
        more = name.lower().startswith(MORE_IS_BETTER)
        better = plain is not None and (model > plain if more else model < plain)
        found.append(Measured(_(title), model, plain, _(beside) if beside else "", better))
    return found


def meaning(segment: str) -> str:
    """What it means to be in a segment."""
    return _(MEANING.get(segment, ""))


def segment_label(segment: str) -> tuple[str, str]:
    """A segment's name and colour."""
    return next(((_(each.label), each.color) for each in SEGMENTS if each.value == segment), (segment, "secondary"))


def explained(record: Any, formats: Any, currency: str, months: int) -> list[str]:
    """What is known of a customer from their purchases, as sentences."""
    told = []
    if record.insights_purchases:
        told.append(_(
            "Bought on %(days)s days so far, for %(money)s in all, the last time on %(day)s.",
            days=formats.number(record.insights_purchases), money=formats.money(record.insights_spent, currency),
            day=formats.date(record.insights_last_purchase_on),
        ) if record.insights_purchases > 1 else _(
            "Bought once so far, for %(money)s, on %(day)s.",
            money=formats.money(record.insights_spent, currency), day=formats.date(record.insights_last_purchase_on),
        ))  # fmt: skip
    if record.insights_rfm_recency:
        places = [(_("how lately"), record.insights_rfm_recency), (_("how often"), record.insights_rfm_frequency),
                  (_("how much"), record.insights_rfm_money)]  # fmt: skip
        parts = ", ".join(_("%(what)s %(place)s of 5", what=what, place=formats.number(at)) for what, at in places)
        told.append(_("Among all customers, 5 being the best fifth: %(parts)s.", parts=parts))
    if record.insights_expected_purchases is not None:
        told.append(_(
            "In the next %(months)s months about %(many)s purchases are to be expected, worth %(money)s today.",
            months=formats.number(months), many=formats.number(record.insights_expected_purchases, 1),
            money=formats.money(record.insights_lifetime_value, currency),
        ))  # fmt: skip
    return told
