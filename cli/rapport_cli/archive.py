"""Backups: a whole site in one file that proves itself, and a site made from such a file.

The file is a ZIP: `database.sqlite`, `files/…`, `rapport.toml`, `secret.key`, and `manifest.json` with the SHA-256 of
each and the rows of each table. The database inside is SQLite whichever the site runs on, so that a backup of one kind
can be restored as the other. Database files are never copied as files: they are read through the database.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import json
import os
import re
import shutil
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath

from rapport.config import Config, load_config
from rapport.db.engine import Database
from rapport.errors import RapportError
from rapport.query.fold import install_functions
from rapport_cli.place import FILE_NAME
from rapport_cli.portable import copy_database, count_tables, has_tables
from rapport_cli.scratch import scratch_folder

FORMAT = 1
DATABASE = "database.sqlite"
MANIFEST = "manifest.json"
CHUNK = 1 << 20
FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What reading a damaged ZIP may raise."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    format: int
    rapport: str
    made_at: str
    database: str
    """Which kind the site ran on: sqlite or postgresql."""
    tables: dict[str, int]
    """Rows of each table."""
    files: dict[str, str]
    """SHA-256 of each file."""

    @property
    def rows(self) -> int:
        """All rows together."""
        return sum(self.tables.values())


def make_backup(config: Config, target: Path, progress: Progress = lambda done, total: None) -> Manifest:
    """Write a backup of a site, also while it is in use: what was committed when it began, nothing half."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder("backup", target.parent) as scratch:
        database, whole = scratch / DATABASE, scratch / "backup.zip"
        snapshot(config, database, progress)
        check_database(database)
        sources = {DATABASE: database}
        sources |= {name: config.home / name for name in (FILE_NAME, "secret.key") if (config.home / name).exists()}
        sources |= {f"files/{path.relative_to(config.files).as_posix()}": path for path in _files_in(config.files)}
        manifest = _pack(config, whole, sources, progress)
        whole.replace(target)
        _sync_folder(target.parent)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """What a backup says of itself. RapportError when the file is damaged, cut short, or not a backup at all."""
    with _opened(path) as archive:
        try:
            facts = json.loads(archive.read(MANIFEST))
        except KeyError:
            raise RapportError(f"{path} is no backup of Rapport: it has no {MANIFEST}.") from None
        except (*FAULTS, ValueError) as error:
            raise _damaged(path, f"{MANIFEST}: {error}") from None
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        raise RapportError(
            f"{path} was written by rapport {facts.get('rapport', '?')} in a format this version does not know. "
            f"Restore it with that version, or update this one."
        )
    return Manifest(**facts)


def unpack(path: Path, folder: Path, progress: Progress = lambda done, total: None) -> Manifest:
    """Take a backup apart into an empty folder, checking every file, the database inside, and its rows."""
    manifest = read_manifest(path)
    with _opened(path) as archive:
        inside = {info.filename for info in archive.infolist()} - {MANIFEST}
        if missing := sorted(set(manifest.files) - inside):
            raise _damaged(path, f"{missing[0]} is missing")
        if surplus := sorted(inside - set(manifest.files)):
            raise _damaged(path, f"{surplus[0]} does not belong to it")
        for number, (name, digest) in enumerate(manifest.files.items()):
            _extract(path, archive, name, digest, folder)
            progress(number + 1, len(manifest.files))
    check_database(folder / DATABASE)
    if (found := count_rows(folder / DATABASE)) != manifest.tables:
        wrong = sorted(name for name in found.keys() | manifest.tables if found.get(name) != manifest.tables.get(name))
        raise _damaged(path, f"the table {wrong[0]} does not have the rows it should")
    return manifest


def verify(path: Path, progress: Progress = lambda done, total: None) -> Manifest:
    """Restore a backup into a scratch folder and compare everything. A backup nobody restored is only a hope."""
    with scratch_folder("verify", path.parent) as scratch:
        return unpack(path, scratch, progress)


def restore(
    path: Path,
    home: Path,
    database_url: str = "",
    progress: Progress = lambda done, total: None,
    *,
    replace: bool = False,
) -> Manifest:
    """Make the site of a backup in `home`, whole or not at all. With `replace`, a site there is moved aside first.

    Once the new site is whole it waits beside its place, where `finish_restore` finds it, whatever ends this process.
    """
    home = home.resolve()
    taken = home.exists() and any(home.iterdir())
    if taken and not replace:
        raise RapportError(
            f"{home} is not empty. Restore beside it with --to OTHER, or move the old site aside with --replace."
        )
    home.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(f"restoring-{home.name}", home.parent) as scratch:
        manifest = unpack(path, scratch, progress)
        _settle_database(manifest, scratch, database_url, progress)
        (scratch / "files").mkdir(exist_ok=True)
        if taken:
            _refuse_in_use(home)
        waiting = _waiting_for(home)
        shutil.rmtree(waiting, ignore_errors=True)  # of a restore that was cut off before it moved the old site
        scratch.rename(waiting)
        _sync_folder(home.parent)
    if taken:
        home.rename(home.with_name(f"{home.name}.before-{dt.datetime.now(dt.UTC):%Y%m%d-%H%M%S}"))
    elif home.exists():
        home.rmdir()
    finish_restore(home)
    return manifest


def finish_restore(home: Path) -> bool:
    """Put the site in its place that a restore has made whole and was cut off before it could; whether there was one.

    The site that was there before lies beside it, as HOME.before-…, as after any other restore.
    """
    waiting = _waiting_for(home)
    if home.exists() or not waiting.exists():
        return False
    waiting.rename(home)
    _sync_folder(home.parent)
    return True


def _waiting_for(home: Path) -> Path:
    return home.with_name(f".rapport-restored-{home.name}")


def check_database(path: Path) -> None:
    """RapportError unless SQLite finds every page, index and reference of the file in order."""
    try:
        with contextlib.closing(_connect(path)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA integrity_check(3)")]
            orphans = connection.execute("PRAGMA foreign_key_check").fetchmany(1)
    except sqlite3.DatabaseError as error:
        found, orphans = [str(error)], []
    if found != ["ok"]:
        raise RapportError(f"The database {path.name} is damaged: {found[0]}. Use an earlier backup.")
    if orphans:
        raise RapportError(f"The database {path.name} has a row in {orphans[0][0]} that refers to nothing.")


def count_rows(path: Path) -> dict[str, int]:
    """The rows of each table of an SQLite file."""
    with contextlib.closing(file_database(path)) as db, db.read() as connection:
        counts = count_tables(connection)
    _close_wal(path)
    return counts


def snapshot(config: Config, target: Path, progress: Progress) -> None:
    """One moment of the site's database, as an SQLite file of its own."""
    if config.is_sqlite:
        source_path = Path(config.database_url.removeprefix("sqlite:///"))
        with contextlib.closing(_connect(source_path)) as source, contextlib.closing(_connect(target)) as copy:
            # All pages in one step: a read transaction, which writers neither disturb nor wait for.
            source.backup(copy, pages=-1)
            copy.execute("PRAGMA journal_mode = DELETE")
        return
    with contextlib.closing(Database(config)) as source_db, contextlib.closing(file_database(target)) as copy_db:
        copy_database(source_db, copy_db, progress)
    _close_wal(target)


def _pack(config: Config, target: Path, sources: dict[str, Path], progress: Progress) -> Manifest:
    digests = {}
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)  # it holds the site's secret key
    with os.fdopen(handle, "wb") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            for number, (name, path) in enumerate(sources.items()):
                digests[name] = _add(archive, name, path)
                progress(number + 1, len(sources))
            manifest = Manifest(
                format=FORMAT,
                rapport=version("rapport-crm"),
                made_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                database="sqlite" if config.is_sqlite else "postgresql",
                tables=count_rows(sources[DATABASE]),
                files=digests,
            )
            archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))
        file.flush()
        os.fsync(file.fileno())
    return manifest


def _add(archive: zipfile.ZipFile, name: str, path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source, archive.open(name, "w", force_zip64=True) as target:
        while piece := source.read(CHUNK):
            digest.update(piece)
            target.write(piece)
    return digest.hexdigest()


def _extract(path: Path, archive: zipfile.ZipFile, name: str, expected: str, folder: Path) -> None:
    parts = PurePosixPath(name).parts
    if name not in {DATABASE, FILE_NAME, "secret.key"} and (parts[:1] != ("files",) or ".." in parts or "\\" in name):
        raise _damaged(path, f"{name} is no name for a file of a backup")
    target = folder.joinpath(*parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file, archive.open(name) as source:
            while piece := source.read(CHUNK):
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
    except FAULTS as error:
        raise _damaged(path, f"{name}: {error}") from error
    if digest.hexdigest() != expected:
        raise _damaged(path, f"{name} is not what was backed up")


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.exists():
        raise RapportError(f"There is no file {path}.")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise _damaged(path, str(error)) from error
    with archive:
        yield archive


def _damaged(path: Path, reason: str) -> RapportError:
    return RapportError(
        f"{path} is damaged or was cut short ({reason.rstrip('.')}). Nothing was restored. Use another backup."
    )


def _settle_database(manifest: Manifest, folder: Path, database_url: str, progress: Progress) -> None:
    """Put the database where the restored site will look for it."""
    if manifest.database == "postgresql" and not database_url:
        raise RapportError(
            "This is the backup of a site on PostgreSQL. Name an empty database with --database-url "
            "postgresql://user@host/name, or keep it in one file with --database-url sqlite."
        )
    if not database_url or database_url == "sqlite":
        (folder / DATABASE).rename(folder / "rapport.db")
        _point(folder, "")
        return
    if database_url.startswith("sqlite"):
        raise RapportError("A restored SQLite database lies in the site's directory: write --database-url sqlite.")
    config = load_config(folder, {}, database_url=database_url)
    source = file_database(folder / DATABASE)
    with contextlib.closing(source) as source_db, contextlib.closing(Database(config)) as target_db:
        if has_tables(target_db):
            raise RapportError("The database of --database-url is not empty. Make a new one: createdb NAME")
        copied = copy_database(source_db, target_db, progress)
    if copied != manifest.tables:
        raise RapportError("The rows in PostgreSQL are not those of the backup. Nothing may be used; empty it again.")
    for name in (DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (folder / name).unlink(missing_ok=True)
    _point(folder, database_url)


def _point(folder: Path, database_url: str) -> None:
    """Have rapport.toml name the database; the rest of the file, comments too, stays as it was."""
    from rapport_cli.init import write_private

    path = folder / FILE_NAME
    text = path.read_text("utf-8") if path.exists() else ""
    text = re.sub(r"(?m)^\s*database_url\s*=.*\n?", "", text)
    if database_url:
        text = f"database_url = {json.dumps(database_url, ensure_ascii=False)}\n{text}"
    write_private(path, text)


def _refuse_in_use(home: Path) -> None:
    """RapportError while anybody has the database of a site open, which is to be moved aside."""
    database = home / "rapport.db"
    if database.exists():
        try:
            with contextlib.closing(sqlite3.connect(database, timeout=0)) as connection:
                # Leaving WAL needs the file alone, and brings what is still in the WAL into it.
                connection.execute("PRAGMA journal_mode = DELETE")
        except sqlite3.OperationalError:
            raise RapportError(
                f"The site in {home} is in use. Stop `rapport serve` and `rapport worker` first."
            ) from None


def file_database(path: Path) -> Database:
    """An SQLite file that is no site's."""
    return Database(Config(home=path.parent, database_url=f"sqlite:///{path}", secret_key="none needed"))  # noqa: S106


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30)
    install_functions(connection)  # indexes may be built with them
    return connection


def _close_wal(path: Path) -> None:
    """Make the file complete in itself."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(".partial"))


def _sync_folder(folder: Path) -> None:
    """A rename lasts through a power cut only when its directory was written too."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
