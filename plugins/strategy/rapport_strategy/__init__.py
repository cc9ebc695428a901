"""Strategy: objectives, what the CRM brings, who uses it, what customers are worth, handing over, improvements."""

from rapport_strategy.acquisition import Spending
from rapport_strategy.adoption import Activity, Rollout
from rapport_strategy.handover import Handover, begin, counted
from rapport_strategy.hookspecs import Acquired, Bought, Duty, NextStep, Worth
from rapport_strategy.objectives import Objective, Reading
from rapport_strategy.roi import Case, Factor, Part, worked_out
from rapport_strategy.suggestions import Suggestion, Vote
from rapport_strategy.worth import Tenth

__all__ = [
    "Acquired",
    "Activity",
    "Bought",
    "Case",
    "Duty",
    "Factor",
    "Handover",
    "NextStep",
    "Objective",
    "Part",
    "Reading",
    "Rollout",
    "Spending",
    "Suggestion",
    "Tenth",
    "Vote",
    "Worth",
    "begin",
    "counted",
    "worked_out",
]
