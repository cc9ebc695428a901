"""What insights brings to Rapport: a table of contents."""

from __future__ import annotations

from rapport import Action, Entity, Job, Schedule, Setting, hookimpl
from rapport_insights import training
from rapport_insights.entities import Model, Score


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Model, Score]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job(training.TRAIN, "Train a model", training.train, attempts=2),
        Job(training.SCORE, "Give customers their scores", training.score, attempts=2),
        Job(training.RENEW, "Look after the models", training.renew),
    ]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [Schedule("insights.renew", training.RENEW, "daily at 03:40")]


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("insights.purchases", "Purchases are",
                help="A measure of amounts by its name, such as sales.order_amount. Left empty: orders, or where there "
                     "are none opportunities won."),
        Setting("insights.months", "Values go so many months ahead", "integer", 12),
        Setting("insights.margin", "Margin of purchases, in %", "integer", 100,
                help="What is left of a purchase for expected values. 100 shows what customers will spend."),
        Setting("insights.discount", "Discount a year, in %", "integer", 10,
                help="By so much less is counted what comes in a year."),
        Setting("insights.train_days", "Train models anew after days", "integer", 30,
                help="Between, customers get their scores anew every night. 0: only when somebody asks for it."),
    ]  # fmt: skip


@hookimpl
def register_actions() -> list[Action]:
    return training.model_actions()
