"""The one world that the tests of access ask, and every request there is to ask it with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
def requests(world: World) -> list[Request]:
    """Every request there is."""
    return list(Asking(world).all())
