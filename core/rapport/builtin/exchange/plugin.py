"""What import and export bring: their long work as jobs."""

from __future__ import annotations

from rapport.builtin.exchange import imports
from rapport.contributions import Job, Slot
from rapport.hookspecs import hookimpl


@hookimpl
def register_slots() -> list[Slot]:
    return [
        Slot("{entity}.import", "A check or change of an import's rows, offered beside its columns", "/import/{run}",
             filled_by="ImportStep", hook="register_import_steps"),
    ]  # fmt: skip


@hookimpl
def register_jobs() -> list[Job]:
    return [
        Job("exchange.check", "Check an import", imports.check_job),
        Job("exchange.run", "Import", imports.run_job),
        Job("exchange.undo", "Undo an import", imports.undo_job),
    ]
