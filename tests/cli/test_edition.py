"""Editions from the terminal: what is said at each step."""

from __future__ import annotations

from pathlib import Path

from .conftest import Type


def test_an_edition_is_looked_at_applied_upgraded_and_taken_back(type_: Type, home: Path, tmp_path: Path) -> None:
    at = ("--home", home, "edition")
    folder = tmp_path / "pools"
    _write(folder, "1.0.0", title="Marketing")
    looked = type_(*at, "diff", folder)
    assert looked.output == '+ module loyalty\n+ role/marketing\n~ setting/core.name\n    value: "Rapport" → "Lagoon"\n'
    done = type_(*at, "apply", folder)
    assert done.output == (
        "loyalty is on.\npools 1.0.0 is applied: 1 items made, 1 changed, 0 removed.\n"
        "Take it back: rapport edition rollback\n"
    )
    assert "pools – applied: 1.0.0 Pool supplies" in " ".join(type_(*at, "list").output.split())
    assert type_(*at, "diff", folder).output == "Nothing: the site is as the edition wants it.\n"

    _write(folder, "1.1.0", title="Marketing and sales")
    _write(tmp_path / "ours", "2.0.0", title="Ours", name="ours")
    type_(*at, "apply", tmp_path / "ours")
    clash = type_(*at, "apply", folder)
    assert clash.exit_code == 0, clash.output
    assert type_(*at, "rollback").output == "pools 1.1.0 is taken back: 0 items made, 1 changed, 0 removed.\n"
    assert "ours – applied: 2.0.0" in " ".join(type_(*at, "list").output.split())


def test_what_is_mistyped_is_answered_with_the_nearest(type_: Type, sqlite_home: Path) -> None:
    answer = type_("--home", sqlite_home, "edition", "apply", "nothing_like_it")
    assert answer.exit_code == 1
    assert answer.stderr.startswith(
        "There is no edition 'nothing_like_it', and no folder of that name with an edition.toml. "
    )
    answer = type_("--home", sqlite_home, "edition", "rollback")
    assert answer.stderr == "No edition is applied to this site, so there is nothing to take back.\n"


def _write(folder: Path, version: str, *, title: str, name: str = "pools") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "edition.toml").write_text(
        f'name = "{name}"\nversion = "{version}"\ntitle = "Pool supplies"\n[modules]\nloyalty = "*"\n', "utf-8"
    )
    (folder / "fit.toml").write_text(
        f'[[role]]\nname = "marketing"\ntitle = "{title}"\n[setting]\n"core.name" = "Lagoon"\n', "utf-8"
    )
