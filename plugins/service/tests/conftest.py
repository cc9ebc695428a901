"""What the stories of service have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rapport.testing import TestApp


class Service:
    """An app with service switched on, and short ways to tell a story about it."""

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
        """The record as it stands now."""
        with self.app.site.read(self.app.admin) as reader:
            return reader.get(type(record), record.id)


@pytest.fixture
def service(make_app: Callable[..., contextlib.AbstractContextManager[TestApp]]) -> Iterator[Service]:
    """An app with service switched on."""
    with make_app(plugins=["service"]) as app:
        yield Service(app)
