"""What insights keeps: the models that were trained, and the scores they give to customers."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Index, UniqueConstraint, false
from sqlalchemy.orm import Mapped

from rapport import N_, Actor, Choice, Entity, Extension, field

READ = {"manager": "read export train", "member": "read", "viewer": "read"}
KIND_CHOICES = [
    Choice("rfm", "Recency, frequency, money", "azure"),
    Choice("lifetime", "Lifetime value", "teal"),
    Choice("retention", "Retention", "lime"),
    Choice("churn", "Churn", "orange"),
    Choice("next_product", "Next product", "indigo"),
    Choice("lead_score", "Lead score", "purple"),
    Choice("sales_forecast", "Forecast of sales", "green"),
    Choice("call_forecast", "Forecast of calls", "cyan"),
]
SEGMENTS = [
    Choice("champions", "Champions", "green"),
    Choice("loyal", "Loyal", "teal"),
    Choice("promising", "Promising", "azure"),
    Choice("new", "New", "blue"),
    Choice("fading", "Fading", "yellow"),
    Choice("at_risk", "At risk", "orange"),
    Choice("hibernating", "Hibernating", "secondary"),
    Choice("lost", "Lost for now", "red"),
]


class Model(
    Entity, name="insights.model", title="Model", icon="brain", roles=READ, display="name",
    verbs={"train": N_("Train")},
):  # fmt: skip
    """Something that was learned from data, in one of its versions, with its error beside that of a plain way.

    Jobs make and change models, nobody else. Of each kind, one version is in use.
    """

    __table_args__ = (UniqueConstraint("kind", "number"), Index("ix_insights_model_current", "kind", "state"))

    name: Mapped[str] = field(label="Name", default="", readonly=True, in_list=True)
    kind: Mapped[str] = field(label="Kind", choices=KIND_CHOICES, readonly=True, in_list=True)
    number: Mapped[int] = field(label="Version", readonly=True)
    state: Mapped[str] = field(
        label="State",
        choices=[
            Choice("training", "Being trained", "blue"),
            Choice("current", "In use", "green"),
            Choice("former", "Former", "secondary"),
            Choice("failed", "Failed", "red"),
        ],
        default="training", readonly=True, in_list=True,
    )  # fmt: skip
    note: Mapped[str] = field(label="In words", kind="longtext", default="", readonly=True, in_list=True)
    trained_at: Mapped[dt.datetime | None] = field(label="Trained", readonly=True, in_list=True)
    count: Mapped[int] = field(label="Learned from", default=0, readonly=True, in_list=True, help="So many examples.")
    until: Mapped[dt.date | None] = field(label="Data until", readonly=True)
    parameters: Mapped[dict[str, Any]] = field(
        label="Parameters", kind="json", default=dict, readonly=True, hidden=True
    )
    errors: Mapped[dict[str, Any]] = field(
        label="Errors", kind="json", default=dict, readonly=True, hidden=True,
        help="On data that were held out, by measure: the model’s, and beside it that of a plain way.",
    )  # fmt: skip
    drift: Mapped[Decimal | None] = field(
        label="Drift", readonly=True, help="How far the customers of today are from those it was learned from."
    )
    scored_at: Mapped[dt.datetime | None] = field(label="Scores given", readonly=True)
    scored: Mapped[int | None] = field(label="Customers with scores", readonly=True)

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """Models tell of all customers, so they are for those who may see all customers."""
        return scope if actor.reach("customer.read") == "all" else false()


class Score(Extension, of="customer", name="insights.score", title="Insights"):
    """What models say of a customer. Jobs fill it in, and only where something changed."""

    __table_args__ = (
        Index("ix_insights_score_segment", "rfm_segment"),
        Index("ix_insights_score_value", "lifetime_value"),
    )

    rfm_segment: Mapped[str | None] = field(label="Segment by purchases", choices=SEGMENTS, readonly=True)
    rfm_recency: Mapped[int | None] = field(label="Recency class", readonly=True, help="5: bought lately, 1: long ago.")
    rfm_frequency: Mapped[int | None] = field(label="Frequency class", readonly=True, help="5: buys often, 1: seldom.")
    rfm_money: Mapped[int | None] = field(label="Money class", readonly=True, help="5: spends much, 1: little.")
    last_purchase_on: Mapped[dt.date | None] = field(label="Last purchase on", readonly=True)
    purchases: Mapped[int | None] = field(label="Days with a purchase", readonly=True)
    spent: Mapped[Decimal | None] = field(label="Spent so far", kind="money", readonly=True)
    alive_chance: Mapped[int | None] = field(
        label="Chance to buy again in %",
        readonly=True,
        help="How likely they are a customer still; of those who came back at least once.",
    )
    expected_purchases: Mapped[Decimal | None] = field(
        label="Expected purchases", readonly=True, help="In the period that the settings say."
    )
    lifetime_value: Mapped[Decimal | None] = field(
        label="Expected value", kind="money", readonly=True,
        help="The margin of the purchases expected in the period that the settings say, as it is worth today.",
    )  # fmt: skip
