"""Finishing tasks, from their page or many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rapport.entities import utcnow
from rapport.i18n.catalogs import _, ngettext
from rapport.interactions.model import Task
from rapport.records import Unit


def finish(unit: Unit, records: Sequence[Task], values: Mapping[str, Any]) -> str:
    """Tick open tasks off."""
    todo = [task for task in records if task.done_at is None]
    for task in todo:
        unit.update(task, {"done_at": utcnow()})
    return ngettext("%(num)s task is done.", "%(num)s tasks are done.", len(todo))


def reopen(unit: Unit, records: Sequence[Task], values: Mapping[str, Any]) -> str:
    """There is more to do after all."""
    for task in records:
        unit.update(task, {"done_at": None})
    return _("The task is open again.")
