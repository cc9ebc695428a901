"""Importing a file: start, decide what its columns mean, check, run, stop, go on, undo. Every row is accounted for."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from sqlalchemy import Connection, update

from rapport.access import Actor
from rapport.builtin.exchange import runs
from rapport.builtin.exchange.cells import DATES, shown
from rapport.builtin.exchange.engine import Importer, Outcome, chosen_steps
from rapport.builtin.exchange.lookups import Lookup
from rapport.builtin.exchange.readers import BadRow, EncodingCandidate, ReadOptions, Table, open_table
from rapport.builtin.exchange.runs import RowProblem, Run, Unknown, import_run, import_unknown
from rapport.builtin.exchange.targets import LINE_COLUMN, REASON_COLUMN, Target, guess_mapping, targets_of
from rapport.builtin.exchange.undoing import Undoing
from rapport.builtin.exchange.writers import CsvWriter
from rapport.entities import Entity, EntityMeta, utcnow, uuid7
from rapport.errors import Conflict, Invalid, NotFound, Problem
from rapport.i18n.catalogs import LANGUAGES, _
from rapport.i18n.values import use_region
from rapport.jobs import JobContext, Lost, cancel_job, enqueue_job

if TYPE_CHECKING:
    from rapport.site import Site

__all__ = [
    "ColumnLook", "Look", "PreviewRow", "RowProblem", "Run", "Target", "Unknown", "check", "choices", "decide",
    "enqueue", "forget", "get", "look", "problems", "recent", "run", "start", "stop", "undo", "unknown",
    "write_refused",
]  # fmt: skip

Progress = Callable[[int, int], None]
Within = Callable[[Connection, int, int], None]
Work = Literal["check", "run", "undo"]
SAMPLES = 50
SHOWN_SAMPLES = 5
NEAREST_FOR = 200
"""For so many values that nobody knows, those of most rows, what looks like them is looked up."""
READING = ("encoding", "delimiter", "header_row", "sheet", "short_rows")
OPTIONS = (*READING, "language", "dates", "steps")
ZERO = dict.fromkeys(
    ("done", "total", "line", "created", "updated", "unchanged", "skipped", "refused", "added"), 0
)  # fmt: skip
MATCHING_KINDS = {"text", "email", "phone", "id", "url", "reference", "date"}


@dataclass(frozen=True, slots=True)
class ColumnLook:
    """A column of the file, some of its values, and the field it is to become ("" for none)."""

    name: str
    samples: list[str]
    field: str


@dataclass(frozen=True, slots=True)
class PreviewRow:
    """A row as it would be read: `values` by field, as they would be shown; `raw` is the text of an unreadable one."""

    line: int
    values: dict[str, str]
    problems: list[RowProblem]
    raw: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What a person needs to see before they let an import go."""

    run: Run
    columns: list[ColumnLook]
    targets: list[Target]
    match_fields: list[Target]
    rows: list[PreviewRow]
    format: str
    encoding: str | None
    encodings: list[EncodingCandidate]
    delimiter: str | None
    header_row: int | None
    sheet: str | None
    sheets: list[str]
    warnings: list[str]


# Preparing -----------------------------------------------------------------------------------------------------------


def start(
    site: Site, actor: Actor, entity_name: str, file: Path | bytes | BinaryIO, file_name: str,
    options: Mapping[str, Any] | None = None,
) -> Run:  # fmt: skip
    """Take a file in: the site keeps a copy, reads its header and guesses what the columns mean. Nothing is imported.

    Unreadable when it is no list of records; Forbidden without the permission to import.
    """
    entity = _entity(site, actor, entity_name)
    chosen = _checked_options(options or {})
    file_name = PurePath(file_name.replace("\\", "/")).name[:200] or "file"
    number = uuid7()
    stored = f"imports/{number.hex}{PurePath(file_name).suffix[:10]}"
    path = site.config.files / stored
    _copy(file, path)
    try:
        table = open_table(path, file_name, _read_options(chosen))
        with _speaking(site, actor):
            if not table.columns:
                raise Invalid(Problem(None, _("There is nothing in the file.")))
            mapping = _guess(site.meta(entity), table)
        with site.write(actor) as unit:
            connection = unit.session.connection()
            run_id = runs.insert_run(
                connection, entity=entity_name, file_name=file_name, stored=stored, options=chosen,
                columns=table.columns, mapping=mapping, match_by=["id"] if "id" in mapping.values() else [],
                batch_id=number, actor_id=actor.id, actor=actor.name,
            )  # fmt: skip
            unit.outcome = f"import/{run_id}"
            return runs.read_run(connection, actor, run_id)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def look(site: Site, actor: Actor, run_id: int, rows: int = 10) -> Look:
    """The columns with samples, what they may become, and the first rows as they would be read."""
    run = get(site, actor, run_id)
    meta = site.meta(_entity(site, actor, run.entity))
    with _working(site, actor):
        table = open_run(site, run)
        columns = [
            ColumnLook(name, list(filter(None, values))[:SHOWN_SAMPLES], run.mapping.get(name, ""))
            for name, values in zip(table.columns, _samples(table), strict=True)
        ]
        targets = targets_of(meta)
        return Look(
            run=run,
            columns=columns,
            targets=targets,
            match_fields=[each for each in targets if each.kind in MATCHING_KINDS and "." not in each.name],
            rows=_preview(site, actor, run, table, rows),
            format=table.format,
            encoding=table.encoding,
            encodings=table.encoding_candidates,
            delimiter=table.delimiter,
            header_row=table.header_row,
            sheet=table.sheet,
            sheets=table.sheets,
            warnings=table.warnings,
        )


def decide(site: Site, actor: Actor, run_id: int, **decided: Any) -> Run:
    """Change how a file is read and what becomes of its rows.

    By name: `options`, `mapping`, `match_by`, `on_match`, `decisions`, `constants`, `on_missing`, `stop_at_refusal`, as
    in `runs.import_run`. Invalid names what does not fit. What an earlier check found is dropped.
    """
    run = get(site, actor, run_id)
    if run.state not in {"draft", "checked"}:
        raise Conflict(_("Import %(id)s has begun: it cannot be changed any more.", id=run.id))
    meta = site.meta(_entity(site, actor, run.entity))
    values = dict(decided)
    with _speaking(site, actor):
        if "options" in values:
            given = {**run.options, **_checked_options(values["options"])}
            values["options"] = {name: value for name, value in given.items() if value not in (None, "")}
            if any(values["options"].get(name) != run.options.get(name) for name in READING):
                table = open_run(site, replace(run, options=values["options"]))
                values.setdefault("mapping", _guess(meta, table))
                values["columns"] = table.columns
        if "mapping" in values:
            values["mapping"] = {column: target for column, target in values["mapping"].items() if target}
        _check(meta, replace(run, **values))
        chosen_steps(site, actor, replace(run, **values))
    with site.db.write() as connection:
        runs.forget_findings(connection, run.id)
        return runs.change_run(connection, run, **values, **ZERO, state="draft", message="")


def get(site: Site, actor: Actor, run_id: int) -> Run:
    """An import as it stands now. One's own; administrators see everybody's."""
    with site.db.read() as connection:
        return runs.read_run(connection, actor, run_id)


def recent(site: Site, actor: Actor, limit: int = 50) -> list[Run]:
    """The newest imports first."""
    with site.db.read() as connection:
        return runs.read_runs(connection, actor, limit)


def problems(site: Site, actor: Actor, run_id: int, limit: int = 100, after: int = -1) -> list[RowProblem]:
    """What the latest check or run found wrong with rows, in the order of lines, after a line."""
    run = get(site, actor, run_id)
    with site.db.read() as connection:
        return runs.read_problems(connection, run.id, limit, after)


def unknown(site: Site, actor: Actor, run_id: int) -> list[Unknown]:
    """Values that a reference or choice field does not know, with the rows that have them, most rows first."""
    run = get(site, actor, run_id)
    with site.db.read() as connection:
        return runs.read_unknown(connection, run.id)


def choices(site: Site, actor: Actor, run_id: int, field: str, text: str = "", limit: int = 20) -> list[str]:
    """Values that a reference or choice field knows, those like `text` first: for saying what another one means."""
    run = get(site, actor, run_id)
    meta = site.meta(_entity(site, actor, run.entity))
    return _like(site, actor, meta, field, text, limit)


def write_refused(site: Site, actor: Actor, run_id: int, target: BinaryIO) -> int:
    """Write the refused rows as CSV, with line and reason, to be mended and imported again. Returns how many.

    The two columns that are added are left out when such a list is imported.
    """
    run = get(site, actor, run_id)
    with _speaking(site, actor), site.db.read() as connection:
        labels = {each.name: each.label for each in targets_of(site.meta(_entity(site, actor, run.entity)))}
        found = runs.iter_problems(connection, run.id)
        problem = next(found, None)
        columns = [LINE_COLUMN, REASON_COLUMN, *run.columns]
        with CsvWriter(target, columns) as writer:
            for record in open_run(site, run).iter_lists():
                line = record.line if isinstance(record, BadRow) else record[0]
                reasons = []
                while problem is not None and problem.line <= line:
                    if problem.line == line:
                        reasons.append(reason_of(problem, labels))
                    problem = next(found, None)
                if reasons:
                    values = [record.raw] if isinstance(record, BadRow) else record[1]
                    row = [line, "; ".join(reasons), *values, *[""] * len(run.columns)]
                    writer.write(row[: len(columns)])
                elif problem is None:
                    break
            return writer.rows


def reason_of(problem: RowProblem, labels: Mapping[str, str]) -> str:
    """A problem as a sentence: the field's label, the value, what is wrong."""
    field = labels.get(problem.field, problem.field)
    value = f" “{problem.value}”" if problem.value and problem.field else ""
    return f"{field}{value} {problem.message}" if field else problem.message


def forget(site: Site, actor: Actor, run_id: int) -> None:
    """Drop an import and its copy of the file; the records it made stay, and it can no longer be undone."""
    run = get(site, actor, run_id)
    if run.busy:
        raise Conflict(_("Import %(id)s is being worked on. Stop it first.", id=run.id))
    with site.db.write() as connection:
        runs.delete_run(connection, run.id)
    runs.file_of(site, run).unlink(missing_ok=True)


# Working -------------------------------------------------------------------------------------------------------------


def enqueue(site: Site, actor: Actor, run_id: int, work: Work) -> Run:
    """Have a worker check, run or undo an import. Ask `get` how far it is."""
    run = get(site, actor, run_id)
    _check(site.meta(_entity(site, actor, run.entity)), run, whole=True)
    with site.db.write() as connection:
        job_id = enqueue_job(connection, f"exchange.{work}", {"run_id": run.id}, actor=actor)
        begun = _begin(connection, run, work, job_id=job_id)
    site.wake()
    return begun


def check(
    site: Site, actor: Actor, run_id: int, progress: Progress | None = None, within: Within | None = None
) -> Run:  # fmt: skip
    """Go through the whole file as a run would, and keep nothing but what was found: counts, problems, unknown values.

    Each chunk is really written and taken back, so that what a check accepts a run accepts too.
    """
    run = get(site, actor, run_id)
    _check(site.meta(_entity(site, actor, run.entity)), run, whole=True)
    with site.db.write() as connection:
        runs.forget_findings(connection, run.id)
        run = runs.change_run(connection, _begin(connection, run, "check"), **ZERO)
    with _working(site, actor), _failing(site, run, "draft"):
        importer = Importer(site, actor.through("import"), run, open_run(site, run), rehearse=True)
        try:
            for chunk in importer.chunks(0):
                _look_again(importer)
                unit = site.write(importer.actor, batch=run.batch_id)
                try:
                    outcome = importer.take(unit, chunk)
                finally:
                    unit.session.close()
                with site.db.write() as connection:
                    run = _advance(connection, run, outcome, within)
                if progress is not None:
                    progress(run.done, 0)
        finally:
            importer.close()
        _find_nearest(site, actor, run)
        with site.db.write() as connection:
            return runs.change_run(
                connection, run, state="checked", total=run.done, finished_at=utcnow(),
                message=_remarks(importer.table),
            )  # fmt: skip


def run(
    site: Site, actor: Actor, run_id: int, progress: Progress | None = None, within: Within | None = None
) -> Run:  # fmt: skip
    """Import what is left of the file. Each chunk is committed together with the position it reached.

    A run that was stopped or killed goes on exactly there: no row twice, none lost. When it is stopped meanwhile, it
    returns as it stands.
    """
    run = get(site, actor, run_id)
    _check(site.meta(_entity(site, actor, run.entity)), run, whole=True)
    with site.db.write() as connection:
        run = _begin(connection, run, "run")
    with _working(site, actor), _failing(site, run, "failed"):
        importer = Importer(site, actor.through("import"), run, open_run(site, run))
        for chunk in importer.chunks(run.done):
            _look_again(importer)
            unit = site.write(importer.actor, batch=run.batch_id)
            try:
                outcome = importer.take(unit, chunk)
                if run.stop_at_refusal and outcome.refused:
                    unit.session.rollback()
                    return _stop_at(site, run, outcome, importer)
                run = _advance(unit.session.connection(), run, outcome, within)
                unit.commit()
            except runs.Interrupted:
                return get(site, actor, run_id)
            finally:
                unit.session.close()
            if progress is not None:
                progress(run.done, run.total)
        _find_nearest(site, actor, run)
        with site.db.write() as connection:
            return runs.change_run(
                connection, run, state="done", total=run.done, finished_at=utcnow(), message=_remarks(importer.table)
            )


def stop(site: Site, actor: Actor, run_id: int) -> Run:
    """Stop a run after its present chunk. `run` or `enqueue` goes on with it; `undo` takes back what it did."""
    run = get(site, actor, run_id)
    if run.state != "running":
        raise Conflict(_("Import %(id)s is not running.", id=run.id))
    with site.db.write() as connection:
        if run.job_id is not None:
            cancel_job(connection, run.job_id)
        connection.execute(
            update(import_run)
            .where(import_run.c.id == run.id, import_run.c.state == "running")
            .values(state="stopped", fence=import_run.c.fence + 1, finished_at=utcnow())
        )
    return get(site, actor, run_id)


def undo(
    site: Site, actor: Actor, run_id: int, progress: Progress | None = None, within: Within | None = None
) -> Run:  # fmt: skip
    """Bring back the state before an import, updates included. What was changed since stays: see problems "kept"."""
    run = get(site, actor, run_id)
    _entity(site, actor, run.entity)
    with site.db.write() as connection:
        run = _begin(connection, run, "undo")
    with _working(site, actor), _failing(site, run, "undoing"):
        undoing = Undoing(site, run.batch_id)
        highest, total = undoing.size()
        below, done = (highest, 0) if run.undone_to is None else (run.undone_to, 0)
        while True:
            actor = site.renewed(actor)
            _entity(site, actor, run.entity)
            with site.write(actor.through("import"), batch=run.batch_id) as unit:
                below, count = undoing.take_back(unit, below)
                connection = unit.session.connection()
                runs.add_problems(connection, run.id, undoing.kept)
                run = runs.change_run(connection, run, undone_to=below)
                if within is not None:
                    within(connection, done + count, total)
            done += count
            if progress is not None:
                progress(done, total)
            if count == 0:
                break
        with site.db.write() as connection:
            kept = runs.count_kept(connection, run.id)
            message = _("%(count)s records or fields were changed since and stay.", count=kept) if kept else ""
            return runs.change_run(connection, run, state="undone", finished_at=utcnow(), message=message)


def _look_again(importer: Importer) -> None:
    """The rights of whoever imports, as they stand before the next chunk: without them nothing more is taken."""
    importer.actor = importer.site.renewed(importer.actor)
    _entity(importer.site, importer.actor, importer.run.entity)


def check_job(context: JobContext, run_id: int) -> str:
    """The job behind `enqueue(…, "check")`."""
    return _summary(check(context.site, context.actor, run_id, within=context.progress_in))


def run_job(context: JobContext, run_id: int) -> str:
    """The job behind `enqueue(…, "run")`."""
    return _summary(run(context.site, context.actor, run_id, within=context.progress_in))


def undo_job(context: JobContext, run_id: int) -> str:
    """The job behind `enqueue(…, "undo")`."""
    return undo(context.site, context.actor, run_id, within=context.progress_in).message


# Steps ---------------------------------------------------------------------------------------------------------------


def _begin(connection: Connection, run: Run, work: Work, **values: Any) -> Run:
    """Take an import over, if its state allows: a higher fence stops whoever worked on it before."""
    allowed = {
        "check": {"draft", "checked", "checking"},
        "run": {"draft", "checked", "running", "stopped", "failed"},
        "undo": {"done", "stopped", "failed", "undoing"},
    }
    if run.state not in allowed[work]:
        words = {"check": _("be checked"), "run": _("be run"), "undo": _("be undone")}
        raise Conflict(
            _("Import %(id)s is %(state)s: it cannot %(work)s now.", id=run.id, state=_(run.state), work=words[work])
        )
    state = {"check": "checking", "run": "running", "undo": "undoing"}[work]
    if work == "run" and run.state in {"draft", "checked"}:
        total = run.total
        values = {**ZERO, "total": total, **values}
        runs.forget_findings(connection, run.id)
    if run.started_at is None or work == "run":
        values["started_at"] = run.started_at if run.done and "done" not in values else utcnow()
    return runs.change_run(connection, run, **values, state=state, fence=run.fence + 1, finished_at=None, message="")


def _advance(connection: Connection, run: Run, outcome: Outcome, within: Within | None) -> Run:
    """The new position, with what became of the rows up to it, in the transaction of those rows."""
    runs.add_problems(connection, run.id, outcome.problems)
    runs.add_unknown(connection, run.id, outcome.unknown)
    run = runs.change_run(
        connection, run, done=run.done + outcome.rows, line=outcome.line, created=run.created + outcome.created,
        updated=run.updated + outcome.updated, unchanged=run.unchanged + outcome.unchanged,
        skipped=run.skipped + outcome.skipped, refused=run.refused + outcome.refused, added=run.added + outcome.added,
    )  # fmt: skip
    if within is not None:
        within(connection, run.done, run.total)
    return run


def _stop_at(site: Site, run: Run, outcome: Outcome, importer: Importer) -> Run:
    labels = {each.name: each.label for each in targets_of(importer.meta)}
    first = min(outcome.problems, key=lambda problem: problem.line)
    message = _("Stopped at line %(line)s: %(reason)s", line=first.line, reason=reason_of(first, labels))
    with site.db.write() as connection:
        return runs.change_run(connection, run, state="stopped", finished_at=utcnow(), message=message)


@contextlib.contextmanager
def _failing(site: Site, run: Run, state: str) -> Iterator[None]:
    """A fault leaves the import in a state that says so, from which one can go on."""
    try:
        yield
    except Lost:
        raise
    except Exception as error:
        with site.db.write() as connection:
            connection.execute(
                update(import_run)
                .where(import_run.c.id == run.id, import_run.c.fence == run.fence,
                       import_run.c.state.in_(["checking", "running", "undoing"]))
                .values(state=state, message=str(error)[:2000], finished_at=utcnow())
            )  # fmt: skip
        raise


def _find_nearest(site: Site, actor: Actor, run: Run) -> None:
    meta = site.meta_named(run.entity)
    with site.db.read() as connection:
        found = runs.read_unknown(connection, run.id, NEAREST_FOR)
    near = {
        (each.field, each.value): _like(site, actor, meta, each.field, each.value, 3) for each in found if each.value
    }
    with site.db.write() as connection:
        for (field, value), titles in near.items():
            table = import_unknown.c
            connection.execute(
                update(import_unknown)
                .where(table.run_id == run.id, table.field == field, table.value == value)
                .values(nearest=titles)
            )


def _like(site: Site, actor: Actor, meta: EntityMeta, name: str, text: str, limit: int) -> list[str]:
    field = meta.fields.get(name)
    if field is None or not (field.target or field.choices):
        raise Invalid(Problem(name, _("is no field that knows a list of values.")))
    if field.target:
        with site.read(actor) as reader:
            return Lookup(site, meta, field).titles(reader, text, limit)
    from rapidfuzz import process

    labels = [_(choice.label) for choice in field.choices if choice.value]
    return [label for label, _score, _at in process.extract(text, labels, limit=limit)] if text else labels[:limit]


def _remarks(table: Table) -> str:
    """What the reader has to say about the file."""
    remarks = list(table.warnings)
    if table.blank:
        remarks.append(_("%(count)s blank rows were passed over.", count=table.blank))
    if table.unexpected:
        names = ", ".join(list(table.unexpected)[:10])
        remarks.append(_("Columns met only later were left out: %(names)s.", names=names))
    return " ".join(remarks)


def _summary(run: Run) -> str:
    return _(
        "%(created)s new, %(updated)s changed, %(unchanged)s unchanged, %(skipped)s skipped, %(refused)s refused",
        created=run.created, updated=run.updated, unchanged=run.unchanged, skipped=run.skipped, refused=run.refused,
    )  # fmt: skip


# Checks --------------------------------------------------------------------------------------------------------------


def _entity(site: Site, actor: Actor, name: str) -> type[Entity]:
    entity = site.entities.get(name)
    if entity is None:
        raise NotFound(_("There is no kind of record '%(name)s'.", name=name))
    actor.require(entity.meta.permission("import"))
    return entity


def _checked_options(options: Mapping[str, Any]) -> dict[str, Any]:
    problems = [Problem(name, _("is no option of reading.")) for name in options if name not in OPTIONS]
    if options.get("dates") not in (None, "", *DATES):
        problems.append(Problem("dates", _("must be one of %(allowed)s.", allowed=", ".join(DATES))))
    if options.get("language") not in (None, "", *LANGUAGES):
        problems.append(Problem("language", _("must be one of %(allowed)s.", allowed=", ".join(LANGUAGES))))
    if options.get("short_rows") not in (None, "", "pad", "refuse"):
        problems.append(Problem("short_rows", _("must be one of %(allowed)s.", allowed="pad, refuse")))
    if problems:
        raise Invalid(problems)
    return {name: value for name, value in options.items() if value is not None}


def _check(meta: EntityMeta, run: Run, *, whole: bool = False) -> None:  # noqa: PLR0912
    """Invalid names every decision that does not fit; `whole` asks whether enough was decided to go."""
    targets = {each.name: each for each in targets_of(meta)}
    found: list[Problem] = []
    taken: dict[str, str] = {}
    for column, name in run.mapping.items():
        if column not in run.columns:
            found.append(Problem(column, _("is not a column of the file.")))
        elif name not in targets:
            found.append(Problem(column, _("cannot become “%(name)s”: there is no such field.", name=name)))
        elif name in taken:
            found.append(Problem(column, _("becomes the same field as “%(other)s”.", other=taken[name])))
        taken.setdefault(name, column)
    given = {*taken, *(name for name in run.constants if "." not in name)}
    for name in run.match_by:
        if name not in given or name not in targets:
            found.append(Problem(name, _("cannot tell records apart: no column gives it.")))
    if run.on_match not in runs.ON_MATCH:
        found.append(Problem("on_match", _("must be one of %(allowed)s.", allowed=", ".join(runs.ON_MATCH))))
    for name, policy in run.on_missing.items():
        if name not in targets or not (targets[name].target or meta.fields[name].choices):
            found.append(Problem(name, _("is no field that knows a list of values.")))
        elif policy not in runs.ON_MISSING or (policy == "create" and not targets[name].target):
            found.append(Problem(name, _("must be one of %(allowed)s.", allowed=", ".join(runs.ON_MISSING))))
    for name, decisions in run.decisions.items():
        if name not in targets:
            found.append(Problem(name, _("is no field of this kind of record.")))
        elif wrong := [each["do"] for each in decisions.values() if each.get("do") not in runs.DECISIONS]:
            found.append(Problem(name, _("cannot be settled by “%(word)s”.", word=wrong[0])))
    for name in run.constants:
        reference = name.partition(".")[0] if "." in name else ""  # a value for records that are made on the way
        if name not in targets and not (reference in targets and targets[reference].target):
            found.append(Problem(name, _("is no field of this kind of record.")))
    if whole and not found:
        if not run.mapping:
            found.append(Problem(None, _("No column is to become a field: say which ones are.")))
        elif "id" not in run.match_by:
            found += [
                Problem(f.name, _("must be given: say which column becomes it, or a value for all rows."))
                for f in meta.writable if f.required and f.name not in given and not run.match_by
            ]  # fmt: skip
    if found:
        raise Invalid(found)


# Files ---------------------------------------------------------------------------------------------------------------


def open_run(site: Site, run: Run) -> Table:
    """The file of an import, opened as was decided."""
    path = runs.file_of(site, run)
    if not path.exists():
        raise NotFound(_("The file of import %(id)s is no longer there. Import it anew.", id=run.id))
    return open_table(path, run.file_name, _read_options(run.options))


def _read_options(options: Mapping[str, Any]) -> ReadOptions:
    return ReadOptions(**{name: options[name] for name in READING if options.get(name) not in (None, "")})


def _copy(file: Path | bytes | BinaryIO, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(file, Path):
        shutil.copyfile(file, path)
    elif isinstance(file, bytes):
        path.write_bytes(file)
    else:
        with path.open("wb") as copy:
            shutil.copyfileobj(file, copy)


def _samples(table: Table) -> list[list[str]]:
    """Some values of each column, in the order of columns."""
    rows = [record[1] for record in islice(table.iter_lists(), SAMPLES) if not isinstance(record, BadRow)]
    return [[shown(row[at])[:200] for row in rows if at < len(row)] for at in range(len(table.columns))]


def _guess(meta: EntityMeta, table: Table) -> dict[str, str]:
    return guess_mapping(meta, table.columns, _samples(table))


def _preview(site: Site, actor: Actor, run: Run, table: Table, count: int) -> list[PreviewRow]:
    importer = Importer(site, actor, run, table)
    found: list[PreviewRow] = []
    records = list(islice(table.iter_lists(), count))
    read = importer.read([record for record in records if not isinstance(record, BadRow)])
    with site.read(actor) as reader:
        importer.apply_steps(reader, read)
    by_line = {row.line: row for row in read}
    for record in records:
        if isinstance(record, BadRow):
            problem = RowProblem(record.line, "", record.raw, "unreadable", record.reason)
            found.append(PreviewRow(record.line, {}, [problem], record.raw))
        elif (row := by_line.get(record[0])) is not None:
            values = {**row.pending, **{name: _as_shown(value) for name, value in _flat(row.state)}}
            found.append(PreviewRow(row.line, values, row.problems))
    return found


def _flat(state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in state.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{part}", text) for part, text in value.items())
        else:
            yield name, value


def _as_shown(value: Any) -> str:
    return "; ".join(value) if isinstance(value, tuple) else shown(value)


def _speaking(site: Site, actor: Actor) -> contextlib.AbstractContextManager[Any]:
    return site.speaking(actor.language if actor.language in LANGUAGES else "en")


@contextlib.contextmanager
def _working(site: Site, actor: Actor) -> Iterator[None]:
    """As the actor speaks, and with telephone numbers read as those of the site's country."""
    with _speaking(site, actor), use_region(site.config.country):
        yield
