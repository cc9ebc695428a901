"""Service keeps what every plugin promises."""

from __future__ import annotations

from pathlib import Path

from rapport.testing.contract import broken


def test_it_keeps_what_every_plugin_promises(database_url: str, tmp_path: Path) -> None:
    assert broken("service", database_url, tmp_path) == []
