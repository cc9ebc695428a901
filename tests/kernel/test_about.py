"""A plugin that has a say about one kind of record is not asked about the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rapport import Customer, Task

CODE = '''
"""Gives every new task to somebody else, and says whatever it is asked about."""

from uuid import UUID

from sqlalchemy.orm import Session

from rapport import Task, hookimpl

ASKED = []


@hookimpl
def assign_owner(record: Task, session: Session) -> UUID | None:
    ASKED.append(type(record).__name__)
    return OWNER
'''


def test_a_choice_about_one_kind_of_record_is_not_asked_about_others(
    make_app: Callable[..., Any], plugin_on_disk: Any
) -> None:
    plugin_on_disk("alpha", CODE)
    with make_app(plugins=["alpha"]) as app:
        module = app.site.modules["alpha"]
        module.OWNER = app.user("Bea").id
        with app.site.write(app.admin) as unit:
            customer = unit.create(Customer, {"name": "Ada"})
            task = unit.create(Task, {"title": "Call"})
            assert (customer.owner_id, task.owner_id) == (app.admin.id, module.OWNER)
        assert module.ASKED == ["Task"]
