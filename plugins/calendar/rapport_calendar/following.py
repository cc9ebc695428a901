"""What follows from what happens elsewhere: a task that comes again, and the answer to an invitation in a mail."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Sequence
from zoneinfo import ZoneInfo

from rapport import Attachment, Interaction, Logged, NotFound, Site, Task, Unit, User, open_file, utcnow
from rapport_calendar import invitations, recurrence


def wants(site: Site) -> Collection[str]:
    """Whose changes are followed."""
    return ["task", "attachment"]


def follow(unit: Unit, changes: Sequence[Logged]) -> None:
    """Answer each change that asks for it."""
    for change in changes:
        try:
            if change.entity == "task" and _was_done(change):
                come_again(unit, unit.get(Task, change.record_id))
            elif change.entity == "attachment" and change.action == "created":
                _read_attachment(unit, unit.get(Attachment, change.record_id))
        except NotFound:  # deleted in the meantime
            continue


def _was_done(change: Logged) -> bool:
    before, after = change.changes.get("done_at", (None, None))
    return change.action == "updated" and before is None and after is not None


def come_again(unit: Unit, task: Task) -> Task | None:
    """Make the next of a task that was done: due at its first time after today, counted from the day it was due."""
    rule: str = getattr(task, "calendar_repeats", "")  # a field of ours on a record of the core
    if not rule or task.done_at is None:
        return None
    owner = unit.reader.all(User, User.id == task.owner_id, limit=1) if task.owner_id is not None else []
    today = utcnow().astimezone(ZoneInfo(owner[0].time_zone if owner else "UTC")).date()
    due = next_due(task.due_on or today, rule, today)
    if due is None:
        return None
    values = {
        name: getattr(task, name) for name in ("title", "customer_id", "priority", "note", "about_entity", "about_id")
    }
    again = unit.create(
        Task, {**values, "owner_id": task.owner_id, "team_id": task.team_id, "due_on": due, "calendar_repeats": rule}
    )
    unit.update(task, {"calendar_repeats": ""})  # opened and done once more, it makes no second next one
    return again


def next_due(due: dt.date, rule: str, today: dt.date) -> dt.date | None:
    """The first day after today, and after the day it was due, that a rule comes to."""
    start = dt.datetime.combine(due, dt.time())
    after = dt.datetime.combine(max(due, today), dt.time()) + dt.timedelta(days=1)
    found = recurrence.walk(start, rule, zone="UTC", after=after, before=after + dt.timedelta(days=1500))
    return found[0].date() if found else None


def _read_attachment(unit: Unit, attachment: Attachment) -> None:
    """A calendar file in a mail that came in may be the answer of somebody who was invited."""
    if not attachment.name.lower().endswith(".ics"):
        return
    interaction = unit.get(Interaction, attachment.interaction_id)
    if interaction.direction != "in":
        return
    with open_file(unit.reader, attachment, "file") as source:
        data = source.read(invitations.MOST_BYTES + 1)
    invitations.take_reply(unit, data, sender=_sender(unit, interaction))


def _sender(unit: Unit, interaction: Interaction) -> str:
    """The address a mail came from."""
    from rapport import Participant

    here = (Participant.interaction_id == interaction.id, Participant.role == "from")
    return next((each.address for each in unit.reader.all(Participant, *here, limit=1)), "")
