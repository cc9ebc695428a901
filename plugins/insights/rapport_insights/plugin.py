"""What insights brings to Rapport: a table of contents."""

from __future__ import annotations

from flask import Blueprint

from rapport import Action, Entity, Job, ListFilter, Measure, NavItem, Panel, Schedule, Setting, hookimpl
from rapport_insights import outlook_panels, pages, panels, training
from rapport_insights.entities import Model, Score
from rapport_insights.outlook import Forecast, Outlook


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [Model, Score, Outlook, Forecast]


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
        Setting("insights.churn_by", "A customer has left when", default="purchases", choices=("purchases", "field"),
                help="Purchases: nothing is bought within the days below. Field: the field below says so."),
        Setting("insights.churn_days", "Days without a purchase", "integer", 90,
                help="Who buys nothing within so many days counts as one who has left."),
        Setting("insights.churn_field", "Field that says who has left",
                help="As the API names it, such as x_cancelled: a choice, a text or a flag."),
        Setting("insights.churn_left", "Its values for those who have left",
                help="With commas between them. A flag needs none: yes means that they have left."),
        Setting("insights.churn_without", "Fields that churn is not learned from",
                help="Such as are filled in when somebody leaves, by name, with commas between them."),
        Setting("insights.suggest_again", "Suggest products again", "flag", False,
                help="Also what a customer has bought already, for goods that are used up."),
        Setting("insights.sales_forecast_of", "Measure of sales that is forecast", default="sales.order_amount",
                help="By its name, such as sales.order_amount or sales.won_amount."),
        Setting("insights.sales_forecast_by", "Sales are forecast by", default="week", choices=("week", "month")),
        Setting("insights.call_forecast_of", "Measure of calls that is forecast", default="callcenter.calls_in",
                help="By its name, such as callcenter.calls_in."),
        Setting("insights.call_forecast_by", "Calls are forecast by", default="hour", choices=("hour", "day")),
        Setting("insights.keeper", "E-mail of who looks after models",
                help="They get a task when a model no longer suits. Empty: the first administrator."),
    ]  # fmt: skip


@hookimpl
def register_actions() -> list[Action]:
    return training.model_actions()


@hookimpl
def register_panels() -> list[Panel]:
    return [*panels.panels(), *outlook_panels.panels()]


@hookimpl
def register_measures() -> list[Measure]:
    return [
        Measure("insights.expected_sales", "Expected sales", of="insights.forecast", how="sum", value="expected",
                at="starts_on", filter='kind = "sales_forecast"', kind="money", currency="currency",
                help="By the first day of the week or month."),
        Measure("insights.expected_calls", "Expected calls", of="insights.forecast", how="sum", value="expected",
                at="starts_on", filter='kind = "call_forecast"', kind="decimal"),
    ]  # fmt: skip


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [
        ListFilter("customer", "leaving", "Likely to leave", "insights_churn >= 50"),
        ListFilter("customer", "suggested", "With a suggestion", "insights_next_product is not empty"),
    ]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [pages.make_blueprint()]


@hookimpl
def register_navigation() -> list[NavItem]:
    return [NavItem("Insights", "/insights", "bulb", "insights.model.read", 60)]
