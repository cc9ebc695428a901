"""Taking lists in: what a file's columns become, what was refused and why, and the way back."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rapport_cli.place import Place
from rapport_cli.speak import Refusal, good, note, progress, say, table

if TYPE_CHECKING:
    from rapport.access import Actor
    from rapport.builtin.exchange.imports import Run
    from rapport.site import Site

SHOWN = 10
"""Problems and unknown values told at once; the rest is in the list of refused rows."""


@click.command("import")
@click.argument("entity")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--map", "mapped", multiple=True, metavar="COLUMN=FIELD", help="What a column becomes; nothing: left out."
)
@click.option("--match", multiple=True, metavar="FIELD", help="Rows with the same value here are the same record.")
@click.option("--on-match", default="update", show_default=True, type=click.Choice(["update", "skip", "refuse"]))
@click.option("--use", multiple=True, metavar="FIELD:VALUE=OTHER", help="What a value nobody knows means.")
@click.option(
    "--missing", multiple=True, metavar="FIELD=create|empty|refuse", help="What to do with other such values."
)
@click.option(
    "--set", "constants", multiple=True, metavar="FIELD=VALUE", help="For rows that do not say it themselves."
)
@click.option("--encoding", help="Of the letters, such as utf-8 or cp1256.")
@click.option("--delimiter", help="Between the columns.")
@click.option("--sheet", help="Of a workbook.")
@click.option("--language", help="Of dates, numbers and words in the file.")
@click.option("--dates", type=click.Choice(["day-first", "month-first"]), help="What 01/02/2026 means.")
@click.option("--stop-at-refusal", is_flag=True, help="Go no further than the first row that is refused.")
@click.option("--dry-run", is_flag=True, help="Find out what would happen; keep nothing.")
@click.option("--as", "email", default="", help="As this person, who then owns what is new.")
@click.pass_obj
def import_(
    place: Place, *, entity: str, file: Path, mapped: Sequence[str], match: Sequence[str], on_match: str,
    use: Sequence[str], missing: Sequence[str], constants: Sequence[str], encoding: str | None, delimiter: str | None,
    sheet: str | None, language: str | None, dates: str | None, stop_at_refusal: bool, dry_run: bool, email: str,
) -> None:  # fmt: skip
    """Take the records of FILE in as ENTITY (customer, sales.opportunity, …). Ends with 1 when rows were refused.

    Columns are recognised by their names; --dry-run shows what they would become, and what would be refused.
    """
    from rapport.builtin.exchange import imports
    from rapport_cli.acting import acting
    from rapport_cli.exporting import entity_of

    options = {"encoding": encoding, "delimiter": delimiter, "sheet": sheet, "language": language, "dates": dates}
    with place.site() as site:
        gc.freeze()  # what is loaded stays: looking through it for rubbish again and again took a seventh of the time
        actor = acting(site, "import", email)
        entity_of(site, entity)
        decided: dict[str, Any] = {
            "mapping": dict(_pair(each, "--map", "COLUMN=FIELD") for each in mapped),
            "match_by": list(match),
            "on_match": on_match,
            "decisions": _decisions(use),
            "on_missing": dict(_pair(each, "--missing", "FIELD=create") for each in missing),
            "constants": dict(_pair(each, "--set", "FIELD=VALUE") for each in constants),
            "stop_at_refusal": stop_at_refusal,
        }
        run = imports.start(site, actor, entity, file, file.name, {k: v for k, v in options.items() if v})
        decided["mapping"] = run.mapping | decided["mapping"]
        decided["match_by"] = decided["match_by"] or run.match_by
        try:
            run = imports.decide(site, actor, run.id, **decided)
            _tell_mapping(site, actor, run)
            if dry_run:
                with progress("Check") as advance:
                    run = imports.check(site, actor, run.id, advance)
                _tell(site, actor, run)
            else:
                run = _go_on(site, actor, run)
        finally:
            if imports.get(site, actor, run.id).state in {"draft", "checked"}:  # nothing was imported
                imports.forget(site, actor, run.id)
    if run.refused:
        raise SystemExit(1)


@click.group()
def imports() -> None:
    """See imports, go on with one, take one back."""


@imports.command("list")
@click.pass_obj
def list_(place: Place) -> None:
    """Show the newest imports."""
    from rapport.builtin.exchange import imports as engine
    from rapport_cli.acting import acting

    with place.site() as site:
        found = engine.recent(site, acting(site, "imports list", ""))
    if not found:
        say("Nothing was imported yet. Begin: rapport import ENTITY FILE")
        return
    titles = ("number", "kind", "file", "state", "rows", "new", "changed", "refused", "who", "when")
    table(titles, [
        (run.id, run.entity, run.file_name, run.state, run.done, run.created, run.updated, run.refused, run.actor,
         f"{run.created_at:%Y-%m-%d %H:%M}") for run in found
    ])  # fmt: skip


@imports.command()
@click.argument("number", type=int)
@click.pass_obj
def resume(place: Place, number: int) -> None:
    """Go on with an import that was stopped or interrupted: no row twice, none lost."""
    from rapport.builtin.exchange import imports as engine
    from rapport_cli.acting import acting

    with place.site() as site:
        actor = acting(site, "imports resume", "")
        run = _go_on(site, actor, engine.get(site, actor, number))
    if run.refused:
        raise SystemExit(1)


@imports.command()
@click.argument("number", type=int)
@click.pass_obj
def undo(place: Place, number: int) -> None:
    """Bring back the state before an import. What was changed since stays, and is told."""
    from rapport.builtin.exchange import imports as engine
    from rapport_cli.acting import acting

    with place.site() as site:
        actor = acting(site, "imports undo", "")
        with progress("Undo") as advance:
            run = engine.undo(site, actor, number, advance)
        good(f"Import {number} is undone.")
        if run.message:
            note(run.message)
            for problem in engine.problems(site, actor, number):
                if problem.code == "kept":
                    note(f"  {problem.value} {problem.message}")


@imports.command()
@click.argument("number", type=int)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.pass_obj
def refused(place: Place, number: int, file: Path) -> None:
    """Write the refused rows to FILE, with line and reason: mend them, and import that file."""
    from rapport.builtin.exchange import imports as engine
    from rapport_cli.acting import acting

    with place.site() as site, file.open("wb") as target:
        count = engine.write_refused(site, acting(site, "imports refused", ""), number, target)
    good(f"{file}: {count} rows.")


def _go_on(site: Site, actor: Actor, run: Run) -> Run:
    from rapport.builtin.exchange import imports as engine

    with progress("Import") as advance:
        run = engine.run(site, actor, run.id, advance)
    _tell(site, actor, run)
    if run.state == "stopped":
        note(f"{run.message} Go on: rapport imports resume {run.id}".strip())
    elif run.message:
        note(run.message)
    if run.refused:
        say(f"The refused rows, with the reasons: rapport imports refused {run.id} refused.csv")
    say(f"Take it back: rapport imports undo {run.id}")
    return run


def _tell_mapping(site: Site, actor: Actor, run: Run) -> None:
    from rapport.builtin.exchange import imports as engine

    look = engine.look(site, actor, run.id)
    facts = [look.format, look.encoding or "", f"separator {look.delimiter!r}" if look.delimiter else ""]
    say(f"{run.file_name}: {', '.join(filter(None, facts))}")
    table(
        ("column", "becomes", "for example"),
        [(each.name, each.field or "–", (each.samples or [""])[0][:40]) for each in look.columns],
    )
    for warning in look.warnings:
        note(warning)
    say()


def _tell(site: Site, actor: Actor, run: Run) -> None:
    """What became of every row, what is wrong with the first of those refused, and which values nobody knows."""
    from rapport.builtin.exchange import imports as engine
    from rapport.builtin.exchange.targets import targets_of

    would = "would be " if run.state == "checked" else ""
    counts = {
        "new": run.created, "changed": run.updated, "unchanged": run.unchanged, "skipped": run.skipped,
        "refused": run.refused,
    }  # fmt: skip
    good(
        f"{run.done} rows: "
        + ", ".join(f"{count} {would}{what}" for what, count in counts.items() if count or what == "new")
        + "."
    )
    if run.added:
        say(f"{run.added} records {would}made because rows point at them.")
    labels = {each.name: each.label for each in targets_of(site.meta_named(run.entity))}
    unknown = engine.unknown(site, actor, run.id)
    told = {(each.field, each.value) for each in unknown}
    problems = [p for p in engine.problems(site, actor, run.id, SHOWN * 20) if (p.field, p.value) not in told]
    for problem in problems[:SHOWN]:
        note(f"line {problem.line}: {engine.reason_of(problem, labels)}")
    if not unknown:
        return
    say("\nValues that nobody knows:")
    table(("field", "value", "rows", "first line", "like"), [
        (each.field, each.value or "(blank)", each.rows, each.line, ", ".join(each.nearest)) for each in unknown[:SHOWN]
    ])  # fmt: skip
    first = unknown[0]
    near = first.nearest[0] if first.nearest else "…"
    say(f"Say what one means: --use '{first.field}:{first.value}={near}'")
    say(f"Or for all others:  --missing {first.field}=create")


def _pair(text: str, option: str, shape: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Refusal(f"{option} {text!r} is not understood. Write it like {option} {shape}", exit_code=2)
    return name.strip(), value.strip()


def _decisions(given: Sequence[str]) -> dict[str, dict[str, dict[str, str]]]:
    found: dict[str, dict[str, dict[str, str]]] = {}
    for each in given:
        left, to = _pair(each, "--use", "FIELD:VALUE=OTHER")
        name, colon, value = left.partition(":")
        if not colon:
            raise Refusal(f"--use {each!r} is not understood. Write it like --use FIELD:VALUE=OTHER", exit_code=2)
        found.setdefault(name, {})[value] = {"do": "use", "to": to}
    return found
