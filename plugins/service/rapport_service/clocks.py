"""Clocks: what is left until a case must be answered or solved. They stand still while others are to act.

Each clock is a row, and waits for its next moment in a job that is due exactly then: nothing looks through the table.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from email.utils import make_msgid
from typing import Any
from uuid import UUID

from sqlalchemy import select, update

from rapport import JobContext, Unit, User, enqueue_job, system, use_language, utcnow
from rapport import gettext as _
from rapport_service.entities import DONE, PAUSED, PRIORITIES, SCOPED, Case
from rapport_service.hours import ALWAYS, Schedule
from rapport_service.queues import hand_out, meeting
from rapport_service.sla import GOALS, Clock, Escalation, Sla, Target, schedules_of

JOB = "service.clock"
RUNNING = ("running", "paused")


# Which service level -------------------------------------------------------------------------------------------------


def choose_levels(unit: Unit, cases: Sequence[Case]) -> list[Case]:
    """Give cases the service level whose condition they meet; returns those of which it changed."""
    left = {each.id: each for each in cases}
    chosen: dict[UUID, UUID | None] = dict.fromkeys(left)
    levels = unit.reader.all(
        Sla, Sla.active.is_(True), Sla.archived_at.is_(None), order=(Sla.position, Sla.id), limit=200
    )
    # What is for all that no other is for comes last, wherever it stands.
    for level in sorted(levels, key=lambda each: not each.filter):
        for case_id in meeting(unit.reader, Case, level.filter, left):
            chosen[case_id] = level.id
            left.pop(case_id)
    changed = [each for each in cases if each.sla_id != chosen[each.id]]
    for level_id in {chosen[each.id] for each in changed}:
        _quietly(unit, [each for each in changed if chosen[each.id] == level_id], sla_id=level_id)
    return changed


def targets_of(unit: Unit, cases: Iterable[Case]) -> Mapping[UUID, Target]:
    """What holds for each case: the target of its priority, else the one for every other."""
    cases = list(cases)
    levels = {each.sla_id for each in cases if each.sla_id is not None}
    statement = select(Target).where(Target.sla_id.in_(levels), Target.archived_at.is_(None))
    known = {(each.sla_id, each.priority): each for each in unit.session.scalars(statement, execution_options=SCOPED)}
    found = {each.id: known.get((each.sla_id, each.priority)) or known.get((each.sla_id, "any")) for each in cases}  # type: ignore[arg-type]  # a level that is not there has no target
    return {case_id: target for case_id, target in found.items() if target is not None}


# Running -------------------------------------------------------------------------------------------------------------


def begin(unit: Unit, cases: Sequence[Case]) -> None:
    """New cases: their clocks start when they were opened, and have ended where that has happened before."""
    choose_levels(unit, cases)
    targets = targets_of(unit, cases)
    schedules = schedules_of(unit.session, [each.sla_id for each in cases])
    over: list[Clock] = []
    for each in cases:
        if (target := targets.get(each.id)) is None:
            continue
        schedule = schedules[target.sla_id]
        for goal, ended in (
            ("first_response", each.first_response_at or each.solved_at),
            ("resolution", each.solved_at),
        ):
            minutes = getattr(target, goal)
            if minutes is not None and ended is not None:
                over.append(_over(each, goal, minutes, schedule, ended))
            elif minutes is not None:
                _start(unit, each, goal, minutes, schedule, each.opened_at)
    unit.session.add_all(over)
    unit.flush()
    known = {each.case_id for each in over}
    missed = {each.case_id for each in over if each.missed_at is not None}
    done = [each for each in cases if each.status in DONE and each.id in known]
    _quietly(unit, [each for each in done if each.id in missed], on_time="missed")
    _quietly(unit, [each for each in done if each.id not in missed], on_time="kept")
    for each in cases:
        if each.id in targets and each.status not in DONE:
            refresh(unit, each)


def _over(case: Case, goal: str, minutes: int, schedule: Schedule, ended: dt.datetime) -> Clock:
    """The clock of what was done before anybody looked."""
    due = schedule.after(case.opened_at, minutes * 60)
    return Clock(
        case_id=case.id, goal=goal, minutes=minutes, state="done", started_at=case.opened_at, ended_at=ended,
        left_seconds=minutes * 60 - schedule.between(case.opened_at, ended), missed_at=due if ended > due else None,
    )  # fmt: skip


def _start(unit: Unit, case: Case, goal: str, minutes: int, schedule: Schedule, at: dt.datetime) -> None:
    clock = Clock(case_id=case.id, goal=goal, minutes=minutes, left_seconds=minutes * 60, started_at=at, state="paused")
    unit.session.add(clock)
    unit.flush()
    if case.status not in PAUSED:
        _run(unit, clock, case, schedule, at)


def _run(unit: Unit, clock: Clock, case: Case, schedule: Schedule, at: dt.datetime) -> None:
    clock.state, clock.since = "running", at
    clock.due_at = schedule.after(at, clock.left_seconds)
    unit.flush()
    moments = _moments(clock, _escalations(unit, case.sla_id), schedule)
    _wait(unit, clock, moments)


def _stop(clock: Clock, schedule: Schedule, at: dt.datetime) -> None:
    """Take off what has passed."""
    if clock.state == "running" and clock.since is not None:
        clock.left_seconds -= schedule.between(clock.since, at)
        if clock.due_at is not None and at > clock.due_at and clock.missed_at is None:
            clock.missed_at = clock.due_at
    clock.since = clock.due_at = None


def pause(unit: Unit, case: Case, at: dt.datetime) -> None:
    """Others are to act now: what is left stays."""
    schedule = _schedule(unit, case)
    for clock in clocks_of(unit, case, "running"):
        _stop(clock, schedule, at)
        clock.state = "paused"
    unit.flush()
    refresh(unit, case)


def resume(unit: Unit, case: Case, at: dt.datetime) -> None:
    """We are to act again: what was left runs on; that of a case that was solved too."""
    schedule = _schedule(unit, case)
    clocks = clocks_of(unit, case, "paused", "done")
    for clock in clocks:
        if clock.state == "paused" or (clock.goal == "resolution" and clock.ended_at is not None):
            clock.ended_at = None
            _run(unit, clock, case, schedule, at)
    refresh(unit, case)


def finish(unit: Unit, case: Case, at: dt.datetime, *goals: str) -> None:
    """What was to be done is done: for good, or until the case is opened again."""
    schedule = _schedule(unit, case)
    for clock in clocks_of(unit, case, *RUNNING):
        if not goals or clock.goal in goals:
            _stop(clock, schedule, at)
            clock.state, clock.ended_at = "done", at
    unit.flush()
    refresh(unit, case)


def await_response(unit: Unit, case: Case, at: dt.datetime) -> None:
    """The customer has written again: the next response has its own clock."""
    target = targets_of(unit, [case]).get(case.id)
    if target is None or target.next_response is None or clocks_of(unit, case, *RUNNING, goal="next_response"):
        return
    _start(unit, case, "next_response", target.next_response, _schedule(unit, case), at)
    refresh(unit, case)


def adjust(unit: Unit, case: Case, at: dt.datetime) -> None:
    """Priority or whatever else decides about the service level has changed: so many minutes more or less are left."""
    choose_levels(unit, [case])
    target = targets_of(unit, [case]).get(case.id)
    schedule = _schedule(unit, case)
    for clock in clocks_of(unit, case, *RUNNING):
        minutes = getattr(target, clock.goal) if target is not None else None
        if minutes is None and clock.missed_at is None:
            unit.session.delete(clock)
        if minutes is None or minutes == clock.minutes:
            continue
        running = clock.state == "running"
        missed = clock.missed_at
        _stop(clock, schedule, at)
        clock.left_seconds += (minutes - clock.minutes) * 60
        clock.minutes, clock.missed_at = minutes, missed if clock.left_seconds < 0 else None
        if running:
            _run(unit, clock, case, schedule, at)
    unit.flush()
    if target is not None and case.status not in DONE:
        have = {each.goal for each in clocks_of(unit, case, *RUNNING, "done")}
        if "first_response" not in have and case.first_response_at is None and target.first_response is not None:
            _start(unit, case, "first_response", target.first_response, schedule, case.opened_at)
        if "resolution" not in have and target.resolution is not None:
            _start(unit, case, "resolution", target.resolution, schedule, case.opened_at)
    refresh(unit, case)


def refresh(unit: Unit, case: Case) -> None:
    """Show on the case what its clocks say: when the next is due, and whether all is on time."""
    clocks = clocks_of(unit, case)
    active = [each for each in clocks if each.state in RUNNING]
    running = [each.due_at for each in active if each.due_at is not None]
    late = any(each.missed_at is not None for each in active)
    if active:
        on_time = "late" if late else "running" if running else "paused"
    else:
        on_time = "" if not clocks else "missed" if any(each.missed_at for each in clocks) else "kept"
    _quietly(unit, [case], due_at=min(running, default=None), on_time=on_time)


def clocks_of(unit: Unit, case: Case, *states: str, goal: str = "") -> list[Clock]:
    """The clocks of a case, the oldest first."""
    statement = select(Clock).where(Clock.case_id == case.id, Clock.archived_at.is_(None)).order_by(Clock.id)
    if states:
        statement = statement.where(Clock.state.in_(states))
    if goal:
        statement = statement.where(Clock.goal == goal)
    return list(unit.session.scalars(statement, execution_options=SCOPED))


def _schedule(unit: Unit, case: Case) -> Schedule:
    return schedules_of(unit.session, [case.sla_id]).get(case.sla_id, ALWAYS) if case.sla_id is not None else ALWAYS


def _quietly(unit: Unit, cases: Sequence[Case], **values: Any) -> None:
    """Note what follows from clocks without a new version: whoever has the case open in a form may still save it."""
    todo = [each.id for each in cases if any(getattr(each, name) != value for name, value in values.items())]
    if todo:
        unit.flush()
        options = {**SCOPED, "synchronize_session": "evaluate"}
        unit.session.execute(update(Case).where(Case.id.in_(todo)).values(**values), execution_options=options)


def wake(unit: Unit, case: Case) -> None:
    """The running clocks of a case wait for their moments again."""
    schedule, escalations = _schedule(unit, case), _escalations(unit, case.sla_id)
    for clock in clocks_of(unit, case, "running"):
        _wait(unit, clock, _moments(clock, escalations, schedule))


# When it is time -----------------------------------------------------------------------------------------------------


def _escalations(unit: Unit, sla_id: UUID | None) -> list[Escalation]:
    if sla_id is None:
        return []
    statement = select(Escalation).where(Escalation.sla_id == sla_id, Escalation.archived_at.is_(None))
    return list(unit.session.scalars(statement.order_by(Escalation.id), execution_options=SCOPED))


def _moments(
    clock: Clock, escalations: Sequence[Escalation], schedule: Schedule
) -> list[tuple[dt.datetime, Escalation | None]]:
    """What is still to come for a running clock: each moment, and what is done then; None: it is missed."""
    assert clock.since is not None
    found: list[tuple[dt.datetime, Escalation | None]] = []
    if clock.missed_at is None and clock.due_at is not None:
        found.append((clock.due_at, None))
    for each in escalations:
        if each.goal in {"any", clock.goal} and str(each.id) not in clock.escalated:
            found.append((schedule.after(clock.since, clock.left_seconds - each.minutes_before * 60), each))
    return sorted(found, key=lambda moment: moment[0])


def _wait(unit: Unit, clock: Clock, moments: Sequence[tuple[dt.datetime, Escalation | None]]) -> None:
    if moments:
        enqueue_job(
            unit.session.connection(), JOB, {"clock_id": str(clock.id)}, actor=system("service"), due_at=moments[0][0],
            key=str(clock.id),
        )  # fmt: skip


def strike(context: JobContext, *, clock_id: str) -> str:
    """The job: note that a target is missed, escalate what is to be escalated now, and wait for the next moment."""
    with context.site.write(system("service level")) as unit:
        held = select(Clock).where(Clock.id == UUID(clock_id)).with_for_update()
        clock = unit.session.scalars(held, execution_options=SCOPED).one_or_none()
        if clock is None or clock.state != "running" or clock.since is None:
            return _("It does not run any more.")
        case = unit.get(Case, clock.case_id)
        schedule, now = _schedule(unit, case), utcnow()
        moments = _moments(clock, _escalations(unit, case.sla_id), schedule)
        for at, escalation in [each for each in moments if each[0] <= now]:
            if escalation is None:
                clock.missed_at = at
            else:
                clock.escalated = [*clock.escalated, str(escalation.id)]
                escalate(unit, case, clock, escalation)
        unit.flush()
        refresh(unit, case)
        _wait(unit, clock, [each for each in moments if each[0] > now])
    return ""


def escalate(unit: Unit, case: Case, clock: Clock, escalation: Escalation) -> None:
    """Raise the priority, hand the case over and tell people, as the service level says."""
    values: dict[str, Any] = {}
    ranks = [choice.value for choice in PRIORITIES]
    if escalation.raise_priority and case.priority != ranks[0]:
        values["priority"] = ranks[ranks.index(case.priority) - 1]
    if escalation.queue_id is not None:
        values |= {"queue_id": escalation.queue_id, "owner_id": None}
    if escalation.owner_id is not None:
        values["owner_id"] = escalation.owner_id
    told = {escalation.notify_id, case.owner_id if escalation.notify_owner else None, escalation.owner_id}
    if values:
        unit.update(case, values)
        if escalation.queue_id is not None and case.owner_id is None:
            hand_out(unit, [escalation.queue_id])
    people = select(User).where(User.id.in_([each for each in told if each is not None]), User.active.is_(True))
    for user in unit.session.scalars(people.order_by(User.id), execution_options=SCOPED):
        _tell(unit, user, case, clock)


def _tell(unit: Unit, user: User, case: Case, clock: Clock) -> None:
    goals = {choice.value: choice.label for choice in GOALS}
    with use_language(user.language, ["rapport_service"]):
        goal = _(goals[clock.goal])
        if clock.missed_at is not None:
            subject = _("Late: %(goal)s for case %(number)s", goal=goal, number=case.number)
        else:
            subject = _("Soon due: %(goal)s for case %(number)s", goal=goal, number=case.number)
        link = f"{unit.site.config.base_url.rstrip('/')}/service.case/{case.id}"
    mail_user(unit, user.email, subject, f"{case.subject}\n\n{link}")


def mail_user(unit: Unit, to: str, subject: str, text: str) -> None:
    """A mail to one of us, which goes out if this unit commits."""
    if unit.site.config.mail_url:
        arguments = {"to": to, "subject": subject, "text": text, "message_id": make_msgid(domain="rapport.invalid")}
        enqueue_job(unit.session.connection(), "core.mail", arguments, actor=system("service"))
