"""Scratch folders: gone with the work they are for, and if that was killed, with the next work of the kind."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def scratch_folder(kind: str, parent: Path) -> Iterator[Path]:
    """An empty folder `.rapport-KIND-…` in `parent`. Those that nobody works in any more are taken away first."""
    prefix = f".rapport-{kind}-"
    _sweep(prefix, parent)
    folder, held = _make(prefix, parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _make(prefix: str, parent: Path) -> tuple[Path, int]:
    """A folder that is held: the lock on it ends with the process, however that ends."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with contextlib.suppress(FileNotFoundError):  # somebody swept it before it was held
            held = os.open(folder, os.O_RDONLY)
            fcntl.flock(held, fcntl.LOCK_EX)
            if folder.exists():
                return folder, held
            os.close(held)


def _sweep(prefix: str, parent: Path) -> None:
    ours = re.compile(re.escape(prefix) + r"[a-z0-9_]{8}")
    for folder in [each for each in parent.iterdir() if ours.fullmatch(each.name)]:
        with contextlib.suppress(FileNotFoundError):  # another one sweeps, too
            held = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            except BlockingIOError:  # somebody works in it
                continue
            finally:
                os.close(held)
