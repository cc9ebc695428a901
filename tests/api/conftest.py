"""What the API's tests share: the state of a whole database as one text, and statements counted."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from sqlalchemy import event, inspect, text

from rapport.testing import TestApp

LEFT_OUT = {"token"}  # "last used" is noted beside the request


@pytest.fixture
def state(app: TestApp) -> Callable[[], str]:
    """Gives a hash of every row of every table: the same before and after means that nothing changed."""

    def hashed() -> str:
        found = hashlib.sha256()
        with app.site.db.read() as connection:
            for table in sorted(inspect(connection).get_table_names()):
                if table not in LEFT_OUT:
                    rows = sorted(map(repr, connection.execute(text(f'SELECT * FROM "{table}"'))))
                    found.update(f"{table}:{rows}".encode())
        return found.hexdigest()

    return hashed


@pytest.fixture
def statements(app: TestApp) -> Callable[[], AbstractContextManager[list[str]]]:
    """Collects the statements that reach the database, without BEGIN, locks and the note of a token's use."""

    @contextmanager
    def collected() -> Iterator[list[str]]:
        seen: list[str] = []

        def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if not statement.startswith(("BEGIN", "UPDATE token SET last_used_at", "SELECT pg_advisory")):
                seen.append(statement)

        engines = (app.site.db.reading, app.site.db.writing)
        for engine in engines:
            event.listen(engine, "before_cursor_execute", note)
        try:
            yield seen
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", note)

    return collected


@pytest.fixture
def fields_of() -> Callable[[Any], list[str | None]]:
    """Gives the fields that a problem names."""
    return lambda answer: [each["field"] for each in answer.get_json().get("errors", [])]
