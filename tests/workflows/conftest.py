"""What the stories about workflows share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from rapport import Actor, Entity, WorkflowInstance
from rapport.testing.app import TestApp
from rapport.workflows import Approval, Workflow
from rapport.workflows.store import step_table


@dataclass
class Workflows:
    """Workflows of an app, told briefly."""

    app: TestApp

    def make(self, source: str, **values: Any) -> Workflow:
        with self.app.site.write(self.app.admin) as unit:
            return unit.create(Workflow, {"source": source, **values})

    def change(self, workflow: Workflow, source: str) -> None:
        with self.app.site.write(self.app.admin) as unit:
            unit.update(unit.get(Workflow, workflow.id), {"source": source})

    def all(self, record: Entity | None = None) -> list[WorkflowInstance]:
        where = [WorkflowInstance.record_id == record.id] if record is not None else []
        with self.app.site.read(self.app.admin) as reader:
            return reader.all(WorkflowInstance, *where)

    def of(self, record: Entity) -> WorkflowInstance:
        found = self.all(record)
        assert len(found) == 1, [(each.status, each.states) for each in found]
        return found[0]

    def every(self, entity: type[Any]) -> list[Any]:
        with self.app.site.read(self.app.admin) as reader:
            return reader.all(entity)

    def states(self, record: Entity) -> tuple[str, ...]:
        return self.of(record).states

    def steps(self, instance: WorkflowInstance | None = None) -> list[Any]:
        statement = select(step_table).order_by(step_table.c.at, step_table.c.id)
        if instance is not None:
            statement = statement.where(step_table.c.instance_id == instance.id)
        with self.app.site.db.read() as connection:
            return list(connection.execute(statement))

    def asked(self, actor: Actor) -> list[Approval]:
        """The open questions to somebody, as they see them."""
        with self.app.site.read(actor) as reader:
            return reader.all(Approval, Approval.decision == "", Approval.owner_id == actor.id)

    def get(self, entity: type[Any], record_id: UUID) -> Any:
        with self.app.site.read(self.app.admin) as reader:
            return reader.get(entity, record_id)

    def update(self, record: Any, actor: Actor | None = None, **values: Any) -> None:
        with self.app.site.write(actor or self.app.admin) as unit:
            unit.update(unit.get(type(record), record.id), values)
        self.app.settle()


@pytest.fixture(autouse=True)
def _still(clock: Any) -> None:
    """Time stands still before anything is made, so that nothing is due later than now."""


@pytest.fixture
def workflows(app: TestApp) -> Workflows:
    """The workflows of `app`."""
    return Workflows(app)
