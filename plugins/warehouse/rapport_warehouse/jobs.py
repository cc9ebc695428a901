"""The warehouse kept up to date by itself."""

from __future__ import annotations

from rapport import JobContext
from rapport_warehouse.store import refresh

REFRESH = "warehouse.refresh"


def run_refresh(context: JobContext, full: bool = False) -> str:
    """Take up what changed; cancelled, it leaves the warehouse as it was."""
    done = refresh(context.site, full=full, tell=lambda what: context.progress(0))
    return f"{done.rows} rows in {done.seconds:.1f} s"
