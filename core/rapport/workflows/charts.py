"""The workflows that are on, ready to be asked: read from the database once, and kept by version."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Connection, Select, select

from rapport.entities import table_of
from rapport.errors import NotFound
from rapport.i18n.catalogs import _
from rapport.workflows.definition import Definition
from rapport.workflows.reading import read_text
from rapport.workflows.store import Workflow, WorkflowVersion

if TYPE_CHECKING:
    from rapport.site import Site

SECONDS = 1.0
"""How long a worker trusts what it knows of life cycles, as it does with rights."""
KEPT = 500


@dataclass(frozen=True, slots=True)
class Chart:
    """A workflow in the version that new instances get."""

    workflow_id: UUID
    version_id: UUID
    number: int
    definition: Definition
    since: dt.datetime
    """What happened before is not its business."""


class Charts:
    """The workflows of a site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._definitions: dict[UUID, Definition | None] = {}
        self._recent: tuple[float, Sequence[Chart]] = (0.0, ())

    def active(self, connection: Connection | None = None) -> Sequence[Chart]:
        """Those that are on; each with a definition that the active plugins still understand the words of."""
        if connection is None:
            with self._site.db.read() as own:
                return self.active(own)
        return [chart for row in connection.execute(_newest().where(_is_on())) if (chart := self._chart(row))]

    def recent(self) -> Sequence[Chart]:
        """The same, at most a second old: for what is asked at every save."""
        until, charts = self._recent
        if until < time.monotonic():
            charts = self.active()
            self._recent = (time.monotonic() + SECONDS, charts)
        return charts

    def forget(self) -> None:
        """Read anew at once."""
        self._recent = (0.0, ())

    def named(self, connection: Connection, name: str) -> Chart:
        """The workflow of a name, if it is on; NotFound otherwise."""
        row = connection.execute(_newest().where(_is_on(), table_of(Workflow).c.name == name)).one_or_none()
        chart = None if row is None else self._chart(row)
        if chart is None:
            raise NotFound(_("There is no workflow '%(name)s' that is on.", name=name))
        return chart

    def definition(self, connection: Connection, version_id: UUID) -> Definition:
        """What a version says. NotFound where this Rapport cannot read it any more."""
        if version_id not in self._definitions:
            versions = table_of(WorkflowVersion)
            source = connection.scalar(select(versions.c.source).where(versions.c.id == version_id))
            self._keep(version_id, source or "")
        found = self._definitions[version_id]
        if found is None:
            raise NotFound(_("This version of the workflow cannot be read any more. Move what runs to a newer one."))
        return found

    def read(self, source: str) -> Definition | None:
        """What a text says, if it can be read."""
        return read_text(source)[0]

    def _chart(self, row: Any) -> Chart | None:
        if row.version_id not in self._definitions:
            self._keep(row.version_id, row.source)
        found = self._definitions[row.version_id]
        if found is None or found.entity not in self._site.entities:
            return None  # its plugin is off: it waits with it
        return Chart(row.id, row.version_id, row.number, found, row.active_since or row.created_at)

    def _keep(self, version_id: UUID, source: str) -> None:
        if len(self._definitions) >= KEPT:
            self._definitions.clear()
        self._definitions[version_id] = read_text(source)[0]


def _newest() -> Select[Any]:
    workflows, versions = table_of(Workflow), table_of(WorkflowVersion)
    columns = (workflows.c.id, workflows.c.active_since, workflows.c.created_at, versions.c.number, versions.c.source)
    current = (versions.c.workflow_id == workflows.c.id) & (versions.c.number == workflows.c.number)
    return select(*columns, versions.c.id.label("version_id")).join(versions, current).order_by(workflows.c.name)


def _is_on() -> Any:
    workflows = table_of(Workflow)
    return workflows.c.active & workflows.c.archived_at.is_(None)
