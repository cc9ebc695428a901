"""The demo, made once in a run of the tests and then copied: making it takes longer than what most tests do with it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from rapport.testing.databases import SHARED


def copy_demo(home: Path) -> None:
    """Put a demo into `home`, as `rapport demo` makes it on SQLite."""
    shared = Path(os.environ[SHARED])
    kept = shared / "demo"
    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the other processes of the run wait for the one that makes it
        if not kept.exists():
            command = [sys.executable, "-m", "rapport_cli", "demo", str(kept), "--no-serve"]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(kept, home)
