"""What can be learned: each kind of model with its title and where its work is written.

The work is named by its place, `module:function`, and imported when a job needs it: what calculates is heavy.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from importlib import import_module
from typing import TYPE_CHECKING, Any
from uuid import UUID

from rapport import N_, Extension, JobContext, Site, utcnow
from rapport_insights.entities import Score
from rapport_insights.outlook import Outlook

if TYPE_CHECKING:
    from rapport_insights.purchases import Purchases

Scores = Mapping[UUID, Mapping[str, Any]]
"""What a model says of customers: by customer, by field of the kind's extension."""


@dataclass(slots=True)
class Work:
    """What training and scoring get: the site, today, and a way to say how far they are."""

    context: JobContext
    today: dt.date = field(default_factory=lambda: utcnow().date())
    _purchases: Purchases | None = None

    @property
    def site(self) -> Site:
        """The site it is for."""
        return self.context.site

    def tell(self, done: int, total: int = 0, message: str = "") -> None:
        """Say how far the work is. Say it at least once a minute: it also keeps the job."""
        self.context.progress(done, total, message)

    def purchases(self) -> Purchases:
        """Who bought on which day for how much, by the setting `insights.purchases`; read once."""
        if self._purchases is None:
            from rapport_insights.purchases import read_purchases

            self._purchases = read_purchases(self.context)
        return self._purchases


@dataclass(frozen=True, slots=True)
class Trained:
    """What training hands back. Errors are by measure: {"MAE": {"model": 0.4, "baseline": 0.7}}."""

    parameters: Mapping[str, Any]
    count: int
    until: dt.date | None = None
    errors: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""
    """A sentence or two: what it is good for, and how much it is to be relied upon."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model. Invalid, raised by its work, is a reason in plain words why it cannot be done."""

    name: str
    title: str
    help: str
    icon: str
    train: str
    """`module:function` of a function that gets the Work and returns what was Trained."""
    score: str = ""
    """`module:function` of a function that gets the Work and the parameters and returns Scores; empty: gives none."""
    drift: str = ""
    """`module:function` of a function that gets the Work and the parameters and returns a Decimal; empty: none."""
    into: type[Extension] = Score
    fields: tuple[str, ...] = ()
    """The fields of `into` it fills in. Customers it says nothing of have them emptied."""

    def do_train(self, work: Work) -> Trained:
        """Learn."""
        found: Trained = _at(self.train)(work)
        return found

    def do_score(self, work: Work, parameters: Mapping[str, Any]) -> Scores:
        """Say what the model says of customers."""
        found: Scores = _at(self.score)(work, parameters)
        return found

    def do_drift(self, work: Work, parameters: Mapping[str, Any]) -> Decimal | None:
        """How far today is from what it was learned from."""
        found: Decimal | None = _at(self.drift)(work, parameters) if self.drift else None
        return found


def _at(place: str) -> Callable[..., Any]:
    module, _colon, name = place.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


KINDS: tuple[Kind, ...] = (
    Kind(
        "rfm", N_("Recency, frequency, money"),
        N_("Who bought lately, often, and for much: customers in fifths, and segments with plain names."),
        "chart-bubble", "rapport_insights.rfm:train", "rapport_insights.rfm:score",
        fields=("rfm_segment", "rfm_recency", "rfm_frequency", "rfm_money", "last_purchase_on", "purchases", "spent"),
    ),
    Kind(
        "lifetime", N_("Lifetime value"),
        N_("How likely customers are to buy again, how often in the time ahead, and what that is worth today."),
        "coins", "rapport_insights.lifetime:train", "rapport_insights.lifetime:score",
        fields=("alive_chance", "expected_purchases", "lifetime_value"),
    ),
    Kind(
        "retention", N_("Retention"),
        N_("How many of the customers of each month are still buying, and how soon they come back."),
        "chart-grid-dots", "rapport_insights.survival:train",
    ),
    Kind(
        "churn", N_("Churn"), N_("Who is likely to leave, and why: the chance in %, learned from those who have left."),
        "door-exit", "rapport_insights.churn:train", "rapport_insights.churn:score", "rapport_insights.churn:drift",
        into=Outlook, fields=("churn", "churn_reasons"),
    ),
    Kind(
        "next_product", N_("Next product"),
        N_("What customers may buy next: what those bought who bought the same, and they have not yet."),
        "shopping-bag-plus", "rapport_insights.nextproduct:train", "rapport_insights.nextproduct:score",
        into=Outlook, fields=("next_product", "next_products"),
    ),
    Kind(
        "sales_forecast", N_("Forecast of sales"),
        N_("What will be sold in the weeks or months to come, at least and at most."),
        "chart-line", "rapport_insights.forecasts:train_sales", "rapport_insights.forecasts:go_on_sales", into=Outlook,
    ),
    Kind(
        "call_forecast", N_("Forecast of calls"), N_("How many will call, by the hour of the week or by day."),
        "phone-incoming", "rapport_insights.forecasts:train_calls", "rapport_insights.forecasts:go_on_calls",
        into=Outlook,
    ),
)  # fmt: skip


def kind_of(name: str) -> Kind | None:
    """The kind of a name."""
    return next((each for each in KINDS if each.name == name), None)
