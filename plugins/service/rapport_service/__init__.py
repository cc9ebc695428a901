"""Service: cases of customers from every channel, in queues, on time; and what follows a purchase."""

from rapport_service.care import CarePlan, CareStep
from rapport_service.cases import answer, case_from, note
from rapport_service.entities import Case
from rapport_service.entitlements import Entitlement, EntitlementUse
from rapport_service.hours import Schedule
from rapport_service.knowledge import Article
from rapport_service.macros import Macro
from rapport_service.queues import Agent, Queue, take_next
from rapport_service.registration import Registration, Terms
from rapport_service.returns import Return
from rapport_service.sla import Clock, Escalation, Holiday, Hours, Sla, Target
from rapport_service.suggestions import Suggestion, SuggestionRule
from rapport_service.surveys import Answer, Invitation, Purchase, Question, Survey, invite

__all__ = [
    "Agent",
    "Answer",
    "Article",
    "CarePlan",
    "CareStep",
    "Case",
    "Clock",
    "Entitlement",
    "EntitlementUse",
    "Escalation",
    "Holiday",
    "Hours",
    "Invitation",
    "Macro",
    "Purchase",
    "Question",
    "Queue",
    "Registration",
    "Return",
    "Schedule",
    "Sla",
    "Suggestion",
    "SuggestionRule",
    "Survey",
    "Target",
    "Terms",
    "answer",
    "case_from",
    "invite",
    "note",
    "take_next",
]
