"""What the stories of sales have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rapport_sales import Opportunity
from rapport_sales.service import ENTITY
from sqlalchemy import event

from rapport import Stage, stages_of
from rapport.testing import TestApp


class Sales:
    """An app with sales switched on, and short ways to tell a story about it."""

    def __init__(self, app: TestApp) -> None:
        self.app = app

    def stage(self, title: str) -> Stage:
        """The stage of the default pipeline with this title."""
        with self.app.site.read(self.app.admin) as reader:
            return next(each for each in stages_of(reader.session, ENTITY) if each.title == title)

    def make(self, entity: Any, **values: Any) -> Any:
        """Make a record as the administrator."""
        with self.app.site.write(self.app.admin) as unit:
            return unit.create(entity, values)

    def change(self, record: Any, **values: Any) -> Any:
        """Change a record as the administrator."""
        with self.app.site.write(self.app.admin) as unit:
            return unit.update(unit.get(type(record), record.id), values)

    def deal(self, **values: Any) -> Opportunity:
        """An opportunity, with a customer of its own unless one is given."""
        if "customer_id" not in values:
            values["customer_id"] = self.app.create_customer(name="Acme").id
        if "stage" in values:
            values["stage_id"] = self.stage(values.pop("stage")).id
        made: Opportunity = self.make(Opportunity, **{"name": "Roof", **values})
        return made

    @contextlib.contextmanager
    def counted(self) -> Iterator[list[str]]:
        """The statements that are sent to read with."""
        sent: list[str] = []

        def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
            if statement.startswith("SELECT"):
                sent.append(statement)

        event.listen(self.app.site.db.reading, "before_cursor_execute", note)
        try:
            yield sent
        finally:
            event.remove(self.app.site.db.reading, "before_cursor_execute", note)


@pytest.fixture
def sales(make_app: Callable[..., contextlib.AbstractContextManager[TestApp]]) -> Iterator[Sales]:
    """An app with sales switched on, and its pipeline in place."""
    with make_app(plugins=["sales"]) as app:
        yield Sales(app)
