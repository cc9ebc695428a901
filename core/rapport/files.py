"""Files that people attach to records: kept beside the database under random names, reached only through a record.

A file enters by `store`, which writes it whole or not at all, and belongs to nobody at first. Once a field of the kind
"file" of some record holds its id, whoever may read that record may read the file. What no record has held for
`KEPT_FOR` is swept away; until then an undo finds it again.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import functools
import hashlib
import mimetypes
import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import IO, TYPE_CHECKING, Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Table,
    Text,
    Uuid,
    delete,
    exists,
    insert,
    inspect,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from rapport.access import Actor
from rapport.contributions import Job, Schedule
from rapport.db.tables import metadata
from rapport.entities import Entity, Field, table_of, utcnow
from rapport.entities.types import Instant
from rapport.errors import Invalid, NotFound, Problem
from rapport.i18n.catalogs import _
from rapport.jobs import JobContext
from rapport.records.log import change_log

if TYPE_CHECKING:
    from rapport.config import Config
    from rapport.records import Reader, Unit
    from rapport.site import Site

FOLDER = "attached"
KEPT_FOR = dt.timedelta(days=30)
SWEEP_EVERY = dt.timedelta(days=1)
SWEPT_AT_ONCE = 1000
CHUNK = 1 << 20
MAX_NAME = 200

stored_file = Table(
    "stored_file",
    metadata,
    Column("id", Uuid, primary_key=True),
    # As it was called where it came from; never part of a path here
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("sha256", Text, nullable=False),
    # Who brought it, a user or a customer: nobody else may put it into a record
    Column("actor_id", Uuid),
    Column("created_at", Instant, nullable=False),
    # Since when no record holds it; empty while one does
    Column("free_since", Instant),
    Index("ix_stored_file_free", "free_since"),
)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What is known of a file without opening it."""

    id: UUID
    name: str
    media_type: str
    size: int


def store(site: Site, source: IO[bytes], name: str, actor: Actor) -> StoredFile:
    """Take a file in, whole or not at all. Invalid when it is larger than the site allows. Call it outside a unit."""
    file_id = uuid4()  # random, unlike other ids: nobody guesses the next one
    name = plain_name(name)
    size, digest = _write(path_of(site.config, file_id), source, site.config.max_upload_mb)
    stored = StoredFile(file_id, name, _media_type(name), size)
    now = utcnow()
    try:
        with site.db.write() as connection:
            connection.execute(
                insert(stored_file).values(
                    id=file_id, name=name, media_type=stored.media_type, size=size, sha256=digest,
                    actor_id=_whose(actor), created_at=now, free_since=now,
                )
            )  # fmt: skip
    except BaseException:
        path_of(site.config, file_id).unlink(missing_ok=True)
        raise
    return stored


def find_files(connection: Any, ids: Iterable[UUID | None], *, by: Actor | None = None) -> dict[UUID, StoredFile]:
    """The files of some ids, in one query. `connection` may be a session.

    Ask for the ids that records hold. Where ids were sent by somebody, say whom: then only their own uploads are told.
    """
    wanted = {file_id for file_id in ids if file_id is not None}
    if not wanted:
        return {}
    columns = (stored_file.c.id, stored_file.c.name, stored_file.c.media_type, stored_file.c.size)
    statement = select(*columns).where(stored_file.c.id.in_(wanted))
    if by is not None:
        statement = statement.where(stored_file.c.actor_id == _whose(by))
    return {row.id: StoredFile(*row) for row in connection.execute(statement)}


def _whose(actor: Actor) -> UUID | None:
    """Whose the files are that somebody brings: a user's, or a customer's in the portal; a job's are nobody's."""
    return actor.id or actor.customer_id


def file_of(connection: Any, record: Entity, field_name: str) -> StoredFile:
    """The file in a field of a record that was read within somebody's reach; NotFound when there is none."""
    field = record.meta.fields.get(field_name)
    if field is not None and field.kind == "file" and not field.secret:
        file_id = getattr(record, field_name)
        if found := find_files(connection, [file_id]).get(file_id):
            return found
    raise NotFound(_("There is no such file."))


def open_file(reader: Reader, record: Entity, field_name: str) -> IO[bytes]:
    """The bytes of a file in a field of a record that was read within somebody's reach, for a `with`."""
    stored = file_of(reader.session, record, field_name)
    path = path_of(reader.site.config, stored.id)
    if not path.exists():
        raise NotFound(
            _("The file “%(name)s” is not where it was kept. An administrator finds it in a backup.", name=stored.name)
        )
    return path.open("rb")


def path_of(config: Config, file_id: UUID) -> Path:
    """Where the bytes of a file lie."""
    return config.files / FOLDER / file_id.hex[:2] / file_id.hex


def plain_name(name: str) -> str:
    """A file's name without folders and signs that could mislead; it is shown and offered, never used as a path."""
    name = PurePath(name.replace("\\", "/")).name
    name = "".join(sign for sign in name if unicodedata.category(sign) not in {"Cc", "Cf", "Cs"} or sign == "\u200c")
    stem, dot, ending = name.strip(" .").rpartition(".")
    if dot and len(ending) <= 20:
        return f"{stem[: MAX_NAME - 21]}.{ending}"
    return name.strip(" .")[:MAX_NAME] or "file"


def _media_type(name: str) -> str:
    """Told by the name, never by whoever sends it; browsers only ever offer it for saving."""
    return mimetypes.guess_type(name, strict=True)[0] or "application/octet-stream"


def _write(path: Path, source: IO[bytes], most_mb: int) -> tuple[int, str]:
    """Write beside the place, make sure it lasts, then give it its name: a power cut leaves the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    digest, size = hashlib.sha256(), 0
    handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            while piece := source.read(CHUNK):
                size += len(piece)
                if size > most_mb * 1024 * 1024:
                    raise Invalid(Problem(None, _("The file is too large: at most %(limit)s MB.", limit=most_mb)))
                digest.update(piece)
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return size, digest.hexdigest()


# Holding a file ------------------------------------------------------------------------------------------------------


def hold_files(unit: Unit, record: Entity) -> list[Problem]:
    """A build and save step: a record takes hold of its files. Only one's own uploads, and what it held before."""
    problems = []
    for field in _file_fields(type(record)):
        file_id = getattr(record, field.name)
        state: Any = inspect(record)
        if file_id is None or (not state.transient and not state.attrs[field.name].history.has_changes()):
            continue
        connection = unit.session.connection()
        owner = connection.execute(select(stored_file.c.actor_id).where(stored_file.c.id == file_id)).one_or_none()
        me = _whose(unit.actor)
        mine = owner is not None and (owner.actor_id == me or me is None)
        if not mine and not (owner is not None and _held_before(connection, record, field, file_id)):
            problems.append(Problem(field.name, _("is no file that you have uploaded.")))
            continue
        connection.execute(update(stored_file).where(stored_file.c.id == file_id).values(free_since=None))
    return problems


@functools.cache
def _file_fields(entity: type[Entity]) -> tuple[Field, ...]:
    return tuple(f for f in entity.meta.fields.values() if f.kind == "file")


def _held_before(connection: Connection, record: Entity, field: Field, file_id: UUID) -> bool:
    """Whether the log says that the record once had the file there: an undo brings it back."""
    logged = connection.scalars(
        select(change_log.c.changes).where(change_log.c.entity == record.meta.name, change_log.c.record_id == record.id)
    )
    return any(str(file_id) in changes.get(field.name, ()) for changes in logged)


# Letting go ----------------------------------------------------------------------------------------------------------


def sweep(context: JobContext) -> None:
    """Note which files no record holds, and delete those that none has held for `KEPT_FOR`, bytes last."""
    site, now = context.site, utcnow()
    with site.db.write() as connection:
        held = _held(site)
        connection.execute(
            update(stored_file).where(stored_file.c.free_since.is_not(None), held).values(free_since=None)
        )
        connection.execute(update(stored_file).where(stored_file.c.free_since.is_(None), ~held).values(free_since=now))
        old = select(stored_file.c.id).where(stored_file.c.free_since < now - KEPT_FOR).limit(SWEPT_AT_ONCE)
        gone = [file_id for file_id in connection.scalars(old).all() if _forget(connection, file_id, now)]
    for file_id in gone:
        path_of(site.config, file_id).unlink(missing_ok=True)
    for path in _strays(site, now):
        path.unlink(missing_ok=True)


def let_go(context: JobContext, ids: Sequence[UUID]) -> None:
    """End a job that alone needed some files, and forget those that no record holds, in one transaction; bytes last."""
    now = utcnow()
    with context.site.db.write() as connection:
        context.finish_in(connection)
        gone = [file_id for file_id in ids if _forget(connection, file_id, now)]
    for file_id in gone:
        path_of(context.site.config, file_id).unlink(missing_ok=True)


def _held(site: Site) -> Any:
    """Whether a row of any entity of the site holds the file."""
    columns = [
        table_of(entity).c[field.name] for entity in site.entities for field in _file_fields(entity)
    ]  # fmt: skip
    return or_(*(exists().where(column == stored_file.c.id) for column in columns))


def _forget(connection: Connection, file_id: UUID, now: dt.datetime) -> bool:
    """Delete the note of a file; False when a module that is switched off still holds it."""
    try:
        with connection.begin_nested():
            connection.execute(delete(stored_file).where(stored_file.c.id == file_id))
    except IntegrityError:
        connection.execute(update(stored_file).where(stored_file.c.id == file_id).values(free_since=now))
        return False
    return True


def _strays(site: Site, now: dt.datetime) -> Iterator[Path]:
    """Bytes that nothing knows of: a process ended between writing them and noting them."""
    yesterday = (now - SWEEP_EVERY).timestamp()
    root = site.config.files / FOLDER
    for folder in sorted(root.iterdir()) if root.exists() else ():
        names = {path.name: path for path in folder.iterdir() if path.stat().st_mtime < yesterday}
        ids = []
        for name in names:
            with contextlib.suppress(ValueError):
                ids.append(UUID(hex=name.removesuffix(".partial")))
        with site.db.read() as connection:
            known = {file_id.hex for file_id in find_files(connection, ids)}
        yield from (path for name, path in names.items() if name not in known)


SWEEP_JOB = Job("core.sweep_files", "Sweep files that no record holds", sweep)
SWEEP_SCHEDULE = Schedule("core.sweep_files", SWEEP_JOB.name, "daily at 03:40")
