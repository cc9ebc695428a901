"""The warehouse kept up to date by itself."""

from __future__ import annotations

import time

from rapport import JobContext
from rapport import gettext as _
from rapport_warehouse.store import refresh

REFRESH = "warehouse.refresh"
SECONDS = 2.0
"""How often a refresh says that it is still at work; then it also hears that it was cancelled."""


def run_refresh(context: JobContext, full: bool = False) -> str:
    """Take up what changed; cancelled, it leaves the warehouse as it was."""
    told, steps = 0.0, 0

    def tell(what: str) -> None:
        nonlocal told, steps
        steps += 1
        if time.monotonic() - told > SECONDS:
            context.progress(steps, message=what)
            told = time.monotonic()

    done = refresh(context.site, full=full, tell=tell)
    return _("%(rows)s rows were read in %(seconds)s s.", rows=done.rows, seconds=f"{done.seconds:.1f}")
