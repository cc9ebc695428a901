"""What strategy brings to Rapport: a table of contents."""

from __future__ import annotations

from uuid import UUID

from flask import Blueprint
from sqlalchemy.orm import Session

from rapport import (
    Action,
    Entity,
    Follower,
    Job,
    ListFilter,
    NavItem,
    Panel,
    SampleData,
    Schedule,
    Setting,
    hookimpl,
)
from rapport_strategy import (
    acquisition,
    adoption,
    handover,
    objectives,
    pages,
    panels,
    roi,
    sample,
    suggestions,
    worth,
)


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [
        objectives.Objective, suggestions.Suggestion, adoption.Rollout, roi.Case, acquisition.Spending,
        objectives.Reading, suggestions.Vote, roi.Factor, adoption.Activity, worth.Tenth, handover.Handover,
    ]  # fmt: skip


@hookimpl
def register_settings() -> list[Setting]:
    return [
        Setting("strategy.active_actions", "Changes in seven days that make somebody active", "integer", 5,
                help="Who changes fewer records does not count as using the system."),
        Setting("strategy.decider", "Who decides about improvements",
                help="An e-mail address. Left empty: a manager of the team that the idea comes from."),
        Setting("strategy.profit_measures", "Measures of profit",
                help="By which customers are put into tenths, such as: sales.margin -service.cost. Left empty: those "
                     "that fit. With marketing, its customer strategy decides instead."),
        Setting("strategy.profit_months", "Months of profit that count", "integer", 12),
        Setting("strategy.invest_tenths", "Tenths to invest in", "integer", 2,
                help="So many of the ten, from those who bring most."),
    ]  # fmt: skip


@hookimpl
def register_pages() -> list[Blueprint]:
    return [pages.make_blueprint()]


@hookimpl
def register_navigation() -> list[NavItem]:
    return [
        NavItem("For the management", "/strategy", "chess", "strategy.objective.read", order=50),
        NavItem("Adoption", "/strategy/adoption", "activity", "strategy.rollout.read", order=51),
    ]


@hookimpl
def register_panels() -> list[Panel]:
    return panels.panels()


@hookimpl
def register_actions() -> list[Action]:
    return [*panels.actions(), *suggestions.actions()]


@hookimpl
def register_sample_data() -> list[SampleData]:
    return [SampleData("strategy", sample.load, order=90)]


@hookimpl
def register_list_filters() -> list[ListFilter]:
    return [
        ListFilter("strategy.objective", "behind", "Behind", 'state = "behind"'),
        ListFilter("customer", "strategy_invest", "First tenth", "strategy_tenth = 1", "customer.read"),
        *suggestions.list_filters(),
    ]


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job(objectives.JOB, "Measure the objectives", objectives.measure_all),
        Job(suggestions.JOB, "Look at what improvements brought", suggestions.look_at_effects),
        Job(adoption.JOB, "Count who works with what", adoption.count_use),
        Job(worth.JOB, "Put customers into tenths by what they bring", worth.decide_all),
        Job(handover.JOB, "Hand over what somebody is responsible for", handover.hand_over),
        Job(handover.UNDO_JOB, "Take a handover back", handover.take_back),
    ]


@hookimpl
def register_schedules() -> list[Schedule]:
    return [
        Schedule("strategy.use", adoption.JOB, "daily at 03:35"),
        Schedule("strategy.tenths", worth.JOB, "daily at 04:10"),
        Schedule("strategy.objectives", objectives.JOB, "daily at 04:20"),
        Schedule("strategy.effects", suggestions.JOB, "daily at 04:30"),
    ]


@hookimpl
def register_followers() -> list[Follower]:
    return [Follower("strategy.improvements", suggestions.follow, wants=lambda site: ["strategy.suggestion"])]


@hookimpl
def assign_owner(record: suggestions.Suggestion, session: Session) -> UUID | None:
    return suggestions.choose_owner(record, session)
