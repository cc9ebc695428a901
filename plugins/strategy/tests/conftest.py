"""What the stories of strategy have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rapport import Actor, enqueue_job, system
from rapport.testing import TestApp


class Strategy:
    """An app with strategy switched on, and short ways to tell a story about it."""

    def __init__(self, app: TestApp) -> None:
        self.app = app

    def make(self, entity: Any, *, by: Actor | None = None, **values: Any) -> Any:
        """Make a record, as the administrator if nobody else does."""
        with self.app.site.write(by or self.app.admin) as unit:
            return unit.create(entity, values)

    def change(self, record: Any, **values: Any) -> Any:
        """Change a record as the administrator."""
        with self.app.site.write(self.app.admin) as unit:
            return unit.update(unit.get(type(record), record.id), values)

    def again(self, record: Any) -> Any:
        """A record as it is now."""
        with self.app.site.read(self.app.admin) as reader:
            return reader.get(type(record), record.id)

    def all(self, entity: Any, *where: Any) -> list[Any]:
        """Records as they are now, the oldest first."""
        with self.app.site.read(self.app.admin) as reader:
            return list(reader.all(entity, *where))

    def setting(self, name: str, value: Any) -> None:
        """Decide something for the site."""
        with self.app.site.db.write() as connection:
            self.app.site.settings.set(connection, name, value)

    def run(self, job: str, **arguments: Any) -> None:
        """Have a job done that comes round by itself."""
        with self.app.site.db.write() as connection:
            enqueue_job(connection, job, arguments, actor=system("test"))
        self.app.settle()

    def do(self, record: Any, action: str, *, by: Actor | None = None, **values: Any) -> Any:
        """Press a button on a record's page."""
        browser = self.app.browser(by)
        return self.app.submit(browser, f"/{record.meta.name}/{record.id}/do/{action}", values)


@pytest.fixture
def strategy(make_app: Callable[..., contextlib.AbstractContextManager[TestApp]]) -> Iterator[Strategy]:
    """An app with strategy and nothing else."""
    with make_app(plugins=["strategy"]) as app:
        yield Strategy(app)
