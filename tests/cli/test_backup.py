"""Backups that prove themselves, and sites made from them; on one kind of database and across to the other."""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import select, text

from rapport import Customer
from rapport.access import system
from rapport.config import load_config
from rapport.db.tables import index_names, metadata
from rapport.fit import CustomEntity, CustomField
from rapport.lifecycle import enable
from rapport.query.search import search_ids
from rapport.testing.databases import fresh_postgres, postgres_server
from rapport_cli import archive
from rapport_cli.archive import read_manifest
from tests.torture import tally, tries

from .conftest import Type, opened

NAMES = ["Ada Lovelace", "Zoë Müller", "دریا کریمی", "נועה לוי", "王伟", "O'Brien & Sons"]


def _fill(home: Path) -> None:
    with opened(home) as site:
        enable(site.config, "loyalty")
        with site.write(system("test")) as unit:  # the site is fitted to its business, too
            unit.create(CustomEntity, {"name": "custom.pool", "title": "Pool"})
            fields = {"label": "Volume", "kind": "decimal", "indexed": True}
            for entity in ("customer", "custom.pool"):
                unit.create(CustomField, {"entity": entity, "name": "x_volume", **fields})
    with opened(home) as site, site.write(system("test")) as unit:
        unit.create(site.entities["custom.pool"], {"name": "Garden", "x_volume": "12.5"})
        for name in NAMES:
            values = {"tags": ["vip", "gold"], "email": f"{len(name)}@example.com", "x_volume": len(name)}
            unit.create(Customer, {"name": name, **values})
    (home / "files" / "ab").mkdir(parents=True)
    (home / "files" / "ab" / "photo").write_bytes(b"\x89PNG" * 1000)


def _contents(home: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table, in the words of Python, so that both kinds of database compare."""
    found = {}
    with opened(home) as site, site.db.read() as connection:
        for table in metadata.sorted_tables:
            if not site.db.reading.dialect.has_table(connection, table.name):
                continue
            columns = [column for column in table.columns if (table.name, column.name) != ("search_document", "words")]
            rows = connection.execute(select(*columns)).all()
            found[table.name] = sorted((tuple(row) for row in rows), key=repr)
        for name in ("customer", "custom_pool"):
            indexes = {each for each in index_names(connection, name) if each.startswith("ix_custom_")}
            found[f"{name}, indexed"] = [(each,) for each in sorted(indexes)]
    return {name: rows for name, rows in found.items() if rows}


def test_a_restored_site_is_the_site(type_: Type, home: Path, tmp_path: Path, database_url: str) -> None:
    _fill(home)
    before = _contents(home)
    made = type_("--home", home, "backup", "kept.zip", "--verify")
    assert made.exit_code == 0, made.output
    assert "It was restored into a scratch folder and compared: everything is there." in made.output
    assert (tmp_path / "kept.zip").stat().st_mode & 0o077 == 0
    other = tmp_path / "other"
    with contextlib.ExitStack() as stack:
        where = ()
        if not database_url.startswith("sqlite"):
            where = ("--database-url", stack.enter_context(fresh_postgres()))
        back = type_("restore", "kept.zip", "--to", other, *where)
        assert back.exit_code == 0, back.output
        assert _contents(other) == before
        _go_on(other)
    assert (other / "files" / "ab" / "photo").read_bytes() == b"\x89PNG" * 1000
    assert (other / "secret.key").read_text() == (home / "secret.key").read_text()


@pytest.mark.parametrize("home_kind", ["sqlite"])
def test_a_site_moves_to_postgresql_and_back(type_: Type, sqlite_home: Path, tmp_path: Path, home_kind: str) -> None:
    if postgres_server() is None:
        pytest.skip("no PostgreSQL server")
    _fill(sqlite_home)
    before = _contents(sqlite_home)
    type_("--home", sqlite_home, "backup", "one.zip")
    with fresh_postgres() as url:
        moved = type_("restore", "one.zip", "--to", "moved", "--database-url", url)
        assert moved.exit_code == 0, moved.output
        assert _contents(tmp_path / "moved") == before
        assert type_("--home", "moved", "backup", "two.zip", "--verify").exit_code == 0
        _go_on(tmp_path / "moved")
        asked = type_("restore", "two.zip", "--to", "back")
        assert asked.exit_code == 1
        assert asked.stderr.startswith("This is the backup of a site on PostgreSQL. Name an empty database with")
        taken = type_("restore", "two.zip", "--to", "back", "--database-url", url)
        assert taken.stderr == "The database of --database-url is not empty. Make a new one: createdb NAME\n"
    back = type_("restore", "two.zip", "--to", "back", "--database-url", "sqlite")
    assert back.exit_code == 0, back.output
    assert _contents(tmp_path / "back") == before
    _go_on(tmp_path / "back")


def _go_on(home: Path) -> None:
    """The restored site can be worked with: people are found, new rows get new numbers."""
    with opened(home) as site:
        with site.write(system("test")) as unit:
            unit.create(Customer, {"name": "Grace Hopper"})
        with site.db.read() as connection:
            for name in [*NAMES, "Grace Hopper"]:
                assert search_ids(connection, name, ["customer"]), name


def test_a_backup_under_write_load_holds_all_that_was_committed_before(type_: Type, home: Path, tmp_path: Path) -> None:
    stop, committed, broken = threading.Event(), [], []

    def write() -> None:
        try:
            with opened(home) as site:
                while not stop.is_set():
                    with site.write(system("test")) as unit:
                        name = f"Customer {len(committed)}"
                        unit.create(Customer, {"name": name})
                    committed.append(name)
        except Exception as error:
            broken.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(tries(3, long=40)):
            sure = list(committed)
            made = type_("--home", home, "backup", f"{number}.zip", "--verify")
            assert made.exit_code == 0, made.output
            back = type_("restore", f"{number}.zip", "--to", f"restored-{number}", "--database-url", "sqlite")
            assert back.exit_code == 0, back.output
            with opened(tmp_path / f"restored-{number}") as site, site.read(system("test")) as reader:
                names = {customer.name for customer in reader.all(Customer, limit=1_000_000)}
                with site.db.read() as connection:
                    logged = connection.scalar(
                        text("SELECT count(*) FROM change_log WHERE entity = 'customer' AND action = 'created'")
                    )
            assert set(sure) <= names
            assert logged == len(names)  # no transaction came apart
    finally:
        stop.set()
        writer.join()
    assert not broken
    assert committed
    tally("D12", "backups under load, restored", tried=number + 1, corrupt=0, missing=0)


def test_a_copy_of_the_file_would_miss_what_was_committed(
    type_: Type, sqlite_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The control: a backup as some make it, by copying the database while it is in use."""
    database = sqlite_home / "rapport.db"
    monkeypatch.setattr(archive, "snapshot", lambda config, target, progress: shutil.copyfile(database, target))
    with opened(sqlite_home) as site:
        with site.write(system("test")) as unit:
            unit.create(Customer, {"name": "Ada"})
        made = type_("--home", sqlite_home, "backup", "copied.zip")
        back = type_("restore", "copied.zip", "--to", "copied")
    names = set()
    if (made.exit_code, back.exit_code) == (0, 0):
        with opened(tmp_path / "copied") as site, site.read(system("test")) as reader:
            names = {customer.name for customer in reader.all(Customer)}
    assert "Ada" not in names
    tally("D12", "backups under load, restored", control=1)


@pytest.fixture
def kept(type_: Type, sqlite_home: Path, tmp_path: Path) -> Path:
    """A sound backup."""
    (sqlite_home / "files" / "letter").write_text("Dear Ada")
    assert type_("--home", sqlite_home, "backup", "kept.zip").exit_code == 0
    return tmp_path / "kept.zip"


def test_a_backup_cut_short_anywhere_is_refused(type_: Type, kept: Path, tmp_path: Path) -> None:
    whole = kept.read_bytes()
    for part in (0, 1, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        kept.write_bytes(whole[:part])
        answer = type_("restore", kept, "--to", "other")
        assert answer.exit_code == 1, part
        assert answer.stderr.startswith(f"{kept} is damaged or was cut short (")
        assert answer.stderr.endswith("Nothing was restored. Use another backup.\n")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.zip", "site"]
    tally("D12", "damaged backups", tried=5, accepted=0)


def test_a_changed_byte_is_noticed_unless_it_changes_nothing(type_: Type, kept: Path) -> None:
    whole = bytearray(kept.read_bytes())
    sound = read_manifest(kept)
    noticed = 0
    for place in range(200, len(whole) - 200, len(whole) // 12):
        changed = bytearray(whole)
        changed[place] ^= 0xFF
        kept.write_bytes(changed)
        answer = type_("backup", "--verify", kept)
        noticed += answer.exit_code
        if answer.exit_code:
            assert answer.stderr.startswith(f"{kept} is "), answer.stderr
        else:  # a time stamp or the like in the ZIP's own lists: every file is still what it was
            assert read_manifest(kept) == sound
    assert noticed > 6
    tally("D12", "damaged backups", tried=noticed, accepted=0)


def test_a_backup_that_lies_about_its_rows_or_reaches_outside_is_refused(
    type_: Type, kept: Path, tmp_path: Path
) -> None:
    def rewritten(change) -> Path:
        target = tmp_path / "changed.zip"
        with zipfile.ZipFile(kept) as old, zipfile.ZipFile(target, "w") as new:
            manifest = json.loads(old.read("manifest.json"))
            contents = {info.filename: old.read(info) for info in old.infolist() if info.filename != "manifest.json"}
            change(manifest, contents)
            for name, data in contents.items():
                new.writestr(name, data)
            new.writestr("manifest.json", json.dumps(manifest))
        return target

    def lie(manifest, contents) -> None:
        manifest["tables"]["user"] += 1

    def reach(manifest, contents) -> None:
        manifest["files"]["files/../../outside"] = manifest["files"]["files/letter"]
        contents["files/../../outside"] = contents["files/letter"]

    def swap(manifest, contents) -> None:
        contents["files/letter"] = b"Dear Bob"

    def age(manifest, contents) -> None:
        manifest["format"] = 99

    lied = type_("restore", rewritten(lie), "--to", "other").stderr
    assert "the table user does not have the rows it should" in lied
    outside = type_("restore", rewritten(reach), "--to", "other").stderr
    assert "files/../../outside is no name for a file of a backup" in outside
    swapped = type_("restore", rewritten(swap), "--to", "other").stderr
    assert "files/letter is not what was backed up" in swapped
    newer = type_("restore", rewritten(age), "--to", "other").stderr
    assert "in a format this version does not know. Restore it with that version, or update this one." in newer
    assert not (tmp_path / "other").exists()
    assert not (tmp_path.parent / "outside").exists()


def test_restoring_never_goes_over_something(type_: Type, kept: Path, sqlite_home: Path) -> None:
    answer = type_("restore", kept, "--to", sqlite_home)
    assert answer.stderr == (
        f"{sqlite_home} is not empty. Restore beside it with --to OTHER, or move the old site aside with --replace.\n"
    )


def test_replacing_a_site_in_use_is_refused_and_an_idle_one_is_moved_aside(
    type_: Type, kept: Path, sqlite_home: Path, tmp_path: Path
) -> None:
    with opened(sqlite_home) as site:
        with site.write(system("test")) as unit:
            unit.create(Customer, {"name": "Only in the WAL"})
        with site.db.read() as connection:
            connection.execute(text("SELECT 1 FROM customer"))
            answer = type_("restore", kept, "--to", sqlite_home, "--replace")
            assert answer.stderr == (
                f"The site in {sqlite_home} is in use. Stop `rapport serve` and `rapport worker` first.\n"
            )
    done = type_("restore", kept, "--to", sqlite_home, "--replace")
    assert done.exit_code == 0, done.output
    (aside,) = tmp_path.glob("site.before-*")
    with opened(aside) as old, old.read(system("test")) as reader:
        assert [customer.name for customer in reader.all(Customer)] == ["Only in the WAL"]
    with opened(sqlite_home) as new, new.read(system("test")) as reader:
        assert reader.all(Customer) == []


def test_a_failed_restore_leaves_nothing_behind(type_: Type, kept: Path, tmp_path: Path) -> None:
    answer = type_("restore", kept, "--to", "other", "--database-url", "postgresql+psycopg://nobody@127.0.0.1:1/none")
    assert answer.exit_code == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept.zip", "site"]


def test_a_site_restored_here_has_its_keys_and_configuration(type_: Type, kept: Path, tmp_path: Path) -> None:
    assert type_("restore", kept, "--to", "other").exit_code == 0
    config = load_config(tmp_path / "other")
    assert config.database_url == f"sqlite:///{tmp_path / 'other' / 'rapport.db'}"
    assert config.language == "en"
    assert (tmp_path / "other" / "files" / "letter").read_text() == "Dear Ada"
