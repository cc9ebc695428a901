"""The figures of service that can be asked for by any dimension: cases, how quickly, how satisfied, what comes back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import case

from rapport import N_, Dimension, Measure, hours_between

CASE, ANSWER, RETURN = "service.case", "service.answer", "service.return"
COUNTED = "merged_into_id is empty"
"""What was merged into another case is counted there."""
SOLVED = 'status in ("solved", "closed")'
AGREED = 'on_time in ("kept", "missed", "late")'
RECOMMENDED = 'kind in ("recommend_product", "recommend_store")'
MARKED = 'kind in ("product", "service", "purchase", "mark")'


def measures() -> list[Measure]:
    """Every figure of service."""
    return [*_of_cases(), *_of_care()]


def _of_cases() -> list[Measure]:
    def cases(name: str, title: str, condition: str = "", **more: Any) -> Measure:
        which = f"{COUNTED} and {condition}" if condition else COUNTED
        return Measure(name, title, of=CASE, filter=which, **{"at": "opened_at", **more})

    return [
        cases("service.cases", N_("Cases opened"), better="down"),
        cases("service.solved", N_("Cases solved"), SOLVED, at="solved_at"),
        cases("service.solved_at_once", N_("Cases solved at the first go"), f"{SOLVED} and reopened = 0",
              at="solved_at"),
        Measure("service.first_time_right", "Solved at the first go, share",
                over=("service.solved_at_once", "service.solved"), kind="percent",
                help=N_("Of the cases solved, how many never had to be opened again.")),
        cases("service.waiting", N_("Cases not solved"), 'not status in ("solved", "closed")', better="down",
              help=N_("By the day they were opened.")),
        cases("service.complaints", N_("Complaints"), 'kind = "complaint"', better="down"),
        cases("service.reopened", N_("Cases reopened"), "reopened > 0", better="down"),
        cases("service.answer_time", N_("Hours to the first answer"), "first_response_at is not empty", how="average",
              value=_to_answer, kind="hours", better="down"),
        cases("service.solution_time", N_("Hours to the solution"), "solved_at is not empty", how="average",
              value=_to_solution, kind="hours", better="down"),
        cases("service.agreed", N_("Cases with agreed times"), AGREED,
              help=N_("Those that were kept or missed, or are late.")),
        cases("service.kept", N_("Agreed times kept"), 'on_time = "kept"'),
        Measure("service.kept_share", "Agreed times kept, share", over=("service.kept", "service.agreed"),
                kind="percent"),
        cases("service.satisfaction", N_("Satisfaction with the solution"), "satisfaction is not empty", how="average",
              value="satisfaction", kind="decimal", help=N_("From 1 to 10, as customers said.")),
    ]  # fmt: skip


def _of_care() -> list[Measure]:
    answered: dict[str, Any] = {"of": ANSWER, "at": "invitation.answered_on"}
    return [
        Measure("service.returns", "Returns", of=RETURN, at="requested_on", better="down"),
        Measure("service.units_returned", "Units returned", of=RETURN, how="sum", value="quantity", at="requested_on",
                better="down"),
        Measure("service.returned_worth", "Worth of returns", of=RETURN, how="sum", value="amount", at="requested_on",
                filter='status in ("refunded", "credited", "closed")', kind="money", currency="currency",
                better="down", help="Of what was refunded or credited."),
        Measure("service.surveys", "Customers asked", of="service.invitation", at="asked_on",
                filter='not state in ("call", "refused")'),
        Measure("service.surveys_answered", "Surveys answered", of="service.invitation", at="asked_on",
                filter='state = "answered"', help="By the day they were asked."),
        Measure("service.survey_rate", "Surveys answered, share",
                over=("service.surveys_answered", "service.surveys"), kind="percent"),
        Measure("service.marks", "Marks given", filter=f"{MARKED} and mark is not empty", **answered),
        Measure("service.average_mark", "Average mark", how="average", value="mark", kind="decimal",
                filter=f"{MARKED} and mark is not empty", help="From 1 to 10.", **answered),
        Measure("service.recommendations", "Answers to “would you recommend”",
                filter=f"{RECOMMENDED} and mark is not empty", **answered),
        Measure("service.recommend_points", "Promoters less detractors", how="sum", value=_promoters,
                filter=f"{RECOMMENDED} and mark is not empty", help="Marks of 9 and 10 less those of 0 to 6.",
                **answered),
        Measure("service.recommend_score", "Net promoter score", kind="percent",
                over=("service.recommend_points", "service.recommendations"),
                help="The share of marks 9 and 10 less the share of 0 to 6 (F. Reichheld, Harvard Business Review, "
                     "December 2003)."),
        Measure("service.registered", "Products registered", of="service.registration", at="purchased_on"),
        Measure("service.suggestions", "Suggestions", of="service.suggestion"),
    ]  # fmt: skip


def dimensions() -> list[Dimension]:
    """What is told apart in service."""
    return [
        Dimension("service.kind", "Kind of case", of=CASE, value="kind"),
        Dimension("service.priority", "Priority of the case", of=CASE, value="priority"),
        Dimension("service.status", "Status of the case", of=CASE, value="status"),
        Dimension("service.category", "Category of the case", of=CASE, value="category"),
        Dimension("service.channel", "Channel of the case", of=CASE, value="channel"),
        Dimension("service.queue", "Queue of cases", of="service.queue", value="id"),
        Dimension("service.sla", "Service level", of="service.sla", value="id"),
        Dimension("service.on_time", "Agreed times of the case", of=CASE, value="on_time"),
        Dimension("service.return_reason", "Reason of the return", of=RETURN, value="reason"),
        Dimension("service.return_status", "Status of the return", of=RETURN, value="status"),
        Dimension("service.remedy", "What the return led to", of=RETURN, value="remedy"),
        Dimension("service.survey", "Survey", of="service.invitation", value="survey_id"),
        Dimension("service.question", "What was asked", of=ANSWER, value="kind"),
        Dimension("service.about", "What the suggestion is about", of="service.suggestion", value="about"),
    ]


def _to_answer(record: Any) -> Any:
    return hours_between(record.opened_at, record.first_response_at)


def _to_solution(record: Any) -> Any:
    return hours_between(record.opened_at, record.solved_at)


def _promoters(answer: Any) -> Any:
    return case((answer.mark >= 9, 1), (answer.mark <= 6, -1), else_=0)
