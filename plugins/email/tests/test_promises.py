"""What every plugin promises."""

from pathlib import Path

from rapport.testing.contract import broken


def test_it_keeps_what_every_plugin_promises(database_url: str, tmp_path: Path) -> None:
    assert broken("email", database_url, tmp_path) == []
