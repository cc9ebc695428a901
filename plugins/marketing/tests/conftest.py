"""What the stories of marketing have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from rapport_marketing import Campaign

from rapport import Customer, enqueue_job, system
from rapport.testing import TestApp


class Marketing:
    """An app with marketing switched on, and short ways to tell a story about it."""

    def __init__(self, app: TestApp) -> None:
        self.app = app

    def make(self, entity: Any, **values: Any) -> Any:
        """Make a record as the administrator."""
        with self.app.site.write(self.app.admin) as unit:
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

    def people(self, count: int, **values: Any) -> list[Customer]:
        """Some customers, made at once."""
        with self.app.site.write(self.app.admin) as unit:
            facts = [{"name": f"Person {number:04}", "email": f"p{number}@example.com"} for number in range(count)]
            made = [unit.build(Customer, {**each, **values})[0] for each in facts]
            unit.insert_many(made)
        return made

    def campaign(self, name: str = "Skimmer", **values: Any) -> Campaign:
        """A campaign."""
        made: Campaign = self.make(Campaign, name=name, **values)
        return made

    def setting(self, name: str, value: Any) -> None:
        """Decide something for the site."""
        with self.app.site.db.write() as connection:
            self.app.site.settings.set(connection, name, value)

    def run(self, job: str) -> None:
        """Have a job done that comes round by itself."""
        with self.app.site.db.write() as connection:
            enqueue_job(connection, job, {}, actor=system("test"))
        self.app.settle()


@pytest.fixture
def marketing(make_app: Callable[..., contextlib.AbstractContextManager[TestApp]], paper: Any) -> Iterator[Marketing]:
    """An app with marketing and two channels, and nothing else."""
    with make_app(plugins=["paper", "marketing"]) as app:
        yield Marketing(app)
