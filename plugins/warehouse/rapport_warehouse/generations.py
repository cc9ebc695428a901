"""The files of a warehouse: one for each filling, of which the newest whole one counts and the others are swept away.

Nothing is ever changed that somebody may be reading. A refresh makes a new file under a name that ends in `.making`,
gives it its own name when it is whole and on disk, and then has the file `current` name it, which happens at once or
not at all. A process that is killed on the way leaves a file that nobody counts, and the next refresh sweeps it away.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.pool import NullPool

from rapport import RapportError
from rapport import gettext as _

if TYPE_CHECKING:
    from rapport import Site

MEMORY = 1_500_000_000
"""Bytes that DuckDB may take in one process; a quarter of what the machine has, where that is less."""
QUIET = 60.0
"""Seconds after its last question until a process lets the file go: until then DuckDB keeps in memory what it read."""
TRIES = 5
CACHE_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# This folder can be made again: rapport warehouse refresh\n"
"""By bford.info/cachedir: backups leave the folder out, and it goes when the plugin is purged."""


class NotFilled(RapportError):
    """The warehouse was not filled yet."""


@dataclass(frozen=True, slots=True)
class Current:
    """What is known of the warehouse that counts, without opening it."""

    file: str
    number: int
    seq: int
    """The last change that is in it."""
    mark: str
    """Tells the tables it was filled for."""
    change: str
    """Tells the last change from one of the same number in another database."""
    as_of: dt.datetime
    filled_at: dt.datetime
    """When it was last filled from nothing."""
    seconds: float
    """How long the last refresh took that changed something."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """How many rows each table has."""

    def to_json(self) -> str:
        """As the file `current` has it."""
        facts = asdict(self) | {"as_of": self.as_of.isoformat(), "filled_at": self.filled_at.isoformat()}
        return json.dumps(facts, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Current:
        """Read the file `current`."""
        facts = json.loads(text)
        for name in ("as_of", "filled_at"):
            facts[name] = dt.datetime.fromisoformat(facts[name])
        return cls(**facts)


def folder_of(site: Site) -> Path:
    """Where a site's warehouse is."""
    return site.config.home / "warehouse"


def current(site: Site) -> Current | None:
    """What counts now; None before the first filling."""
    try:
        return Current.from_json((folder_of(site) / "current").read_text("utf-8"))
    except FileNotFoundError:
        return None


def point_at(site: Site, made: Current) -> None:
    """From now on this one counts."""
    folder = folder_of(site)
    beside = folder / "current.making"
    with beside.open("w", encoding="utf-8") as file:
        file.write(made.to_json())
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, folder / "current")
    _sync(folder)


def finish(making: Path) -> Path:
    """A file is whole: see that it is on disk, and give it its own name."""
    with making.open("rb") as file:
        os.fsync(file.fileno())
    done = making.with_suffix("")
    os.replace(making, done)
    _sync(done.parent)
    return done


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(site: Site) -> None:
    """Remove every file that does not count. Only for whoever has the lock; who reads one keeps what they opened."""
    now = current(site)
    for path in folder_of(site).glob("warehouse-*"):
        if now is None or path.name != now.file:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(site: Site, tell: Callable[[], object] | None = None) -> Iterator[Path]:
    """Only one refresh works at a time, in whatever process. `tell` is called while waiting for another to end."""
    folder = folder_of(site)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "CACHEDIR.TAG").write_text(CACHE_TAG, encoding="ascii")
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if tell is not None:
                    tell()
                time.sleep(0.1)
        yield folder
    finally:
        os.close(handle)  # which lets go of the lock


# Opening --------------------------------------------------------------------------------------------------------------


def _settings(folder: Path) -> dict[str, Any]:
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "memory_limit": f"{min(MEMORY, pages // 4) // 1_000_000}MB",
        "threads": str(min(4, os.cpu_count() or 1)),
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
        # What a question needed goes back to the machine within seconds; else the process holds it for good.
        "allocator_background_threads": "true",
        "temp_directory": str(folder / "spilled"),
    }


def prepare(raw: Any) -> Any:
    """Every connection keeps the same time, and draws nothing on a terminal."""
    raw.execute("SET TimeZone = 'UTC'")
    raw.execute("SET enable_progress_bar = false")
    return raw


def open_to_write(path: Path) -> Any:
    """A DuckDB connection to a file that nobody else knows of yet."""
    import duckdb

    return prepare(duckdb.connect(str(path), config=_settings(path.parent)))


@dataclass(slots=True)
class _Opened:
    """A file that this process reads, and how many of its threads do at this moment."""

    engine: Engine
    root: Any
    readers: int = 0
    old: bool = False
    left: float = 0.0
    """When the last of them went, by the clock that never goes back."""

    def close(self) -> None:
        self.engine.dispose()
        self.root.close()


_opened: dict[Path, _Opened] = {}
_lock = threading.Lock()
_process = os.getpid()
_timer: threading.Timer | None = None


@contextlib.contextmanager
def reading(site: Site) -> Iterator[Connection]:
    """A connection to what counts now, which cannot write. What is swapped in meanwhile is for the next one to read."""
    opened = _enter(site)
    try:
        with opened.engine.connect() as connection:
            yield connection
    finally:
        with _lock:
            opened.readers -= 1
            opened.left = time.monotonic()
            if opened.old and not opened.readers:
                opened.close()
            elif _timer is None:
                _look_later()


def _look_later() -> None:
    global _timer  # noqa: PLW0603 - one for the process
    _timer = threading.Timer(QUIET, _close_quiet)
    _timer.name, _timer.daemon = "rapport-warehouse-quiet", True
    _timer.start()


def _close_quiet() -> None:
    """Let go of what nobody has asked for a while; the next question opens it again, within milliseconds."""
    global _timer  # noqa: PLW0603
    with _lock:
        _timer = None
        for path, opened in list(_opened.items()):
            if not opened.readers and time.monotonic() - opened.left >= QUIET:
                del _opened[path]
                opened.close()
        if _opened:
            _look_later()


def _enter(site: Site) -> _Opened:
    global _process, _timer  # what a parent process opened is not ours to use, and its timer stayed there
    for attempt in range(TRIES):
        now = current(site)
        if now is None:
            raise NotFilled(_("The warehouse was not filled yet. It is at the next quarter of an hour."))
        path = folder_of(site) / now.file
        with _lock:
            if _process != os.getpid():
                _opened.clear()
                _process, _timer = os.getpid(), None
            if (opened := _opened.get(path)) is None:
                try:
                    opened = _open(path)
                except Exception:  # swept away between reading its name and opening it: then there is a newer one
                    if path.exists() or attempt == TRIES - 1:
                        raise
                    continue
                _retire(path)
                _opened[path] = opened
            opened.readers += 1
            return opened
    raise AssertionError("the last attempt returns or raises")


def _open(path: Path) -> _Opened:
    import duckdb
    from duckdb_engine import ConnectionWrapper

    import rapport_warehouse.dialect

    assert rapport_warehouse.dialect  # it tells SQLAlchemy how Rapport's own expressions are said
    root = duckdb.connect(str(path), read_only=True, config=_settings(path.parent))
    root.execute("SET enable_external_access = false")  # no statement reads or writes any other file
    engine = create_engine(
        "duckdb:///:memory:", poolclass=NullPool, creator=lambda: ConnectionWrapper(prepare(root.cursor()))
    )
    return _Opened(engine, root)


def _retire(path: Path) -> None:
    """Close what was read before, as soon as nobody in this process reads it any more."""
    for other in [each for each in _opened if each.parent == path.parent]:
        opened = _opened.pop(other)
        opened.old = True
        if not opened.readers:
            opened.close()
