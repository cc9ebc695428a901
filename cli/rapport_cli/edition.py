"""Editions from the terminal: look ahead, apply, upgrade, take back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rapport_cli.place import Place
from rapport_cli.speak import Refusal, good, note, say, table

if TYPE_CHECKING:
    from rapport.builtin.edition import Outcome
    from rapport.builtin.edition.merge import Clash, Step
    from rapport.builtin.edition.writing import Kept

TAKE = click.option(
    "--take", metavar="ITEM", multiple=True,
    help="Where site and edition clash, take the edition's word for this item. May be given several times.",
)  # fmt: skip
FilePath = click.Path(path_type=Path, dir_okay=False)
SIGNS = {"create": "+", "update": "~", "remove": "-"}


@click.group()
def edition() -> None:
    """Fit the site to a kind of business: modules, fields, pipelines, roles, words."""


@edition.command("list")
@click.pass_obj
def list_(place: Place) -> None:
    """Show the editions that are installed, and which one this site has."""
    from rapport.builtin.edition import discover_editions, read_edition
    from rapport.builtin.edition.store import current, under_way

    with place.site() as site, site.db.read() as connection:
        now, begun = current(connection), under_way(connection)
    rows = []
    for name, folder in discover_editions().items():
        found = read_edition(folder)
        applied = f"applied: {now.version}" if now is not None and now.name == name else ""
        rows.append((name, found.version, applied, found.title))
    if now is not None and now.name not in [row[0] for row in rows]:
        rows.append((now.name, "–", f"applied: {now.version}", now.title))
    if begun is not None:
        note(f"Work on {begun.name} {begun.version} was interrupted. Go on, or be as before: rapport edition rollback")
    if not rows:
        say("No editions are installed. Name a folder with an edition.toml instead: rapport edition apply FOLDER")
        return
    table(("edition", "version", "on this site", "title"), rows)


@edition.command()
@click.argument("name")
@TAKE
@click.pass_obj
def diff(place: Place, name: str, take: tuple[str, ...]) -> None:
    """Show what applying the edition NAME (or the one in a folder) would change. Nothing is changed."""
    from rapport.builtin.edition import diff as look_ahead
    from rapport.builtin.edition import find_edition

    outcome = look_ahead(place.config(), find_edition(name), take)
    for module in outcome.modules:
        say(f"+ module {module}")
    tell_steps(outcome.plan.steps)
    tell_clashes(outcome.plan.clashes, name)
    if outcome.later:
        note("What concerns modules that are still off can be told once they are on; it is applied all the same.")
    if not (outcome.modules or outcome.plan.steps or outcome.plan.clashes):
        good("Nothing: the site is as the edition wants it.")


@edition.command()
@click.argument("name", required=False)
@TAKE
@click.option("--lock", type=FilePath, help="Make this site the equal of the one this file was built on.")
@click.pass_obj
def apply(place: Place, name: str | None, take: tuple[str, ...], lock: Path | None) -> None:
    """Fit the site to the edition NAME (or the one in a folder), or to its next version.

    What this site changed itself stays; where the new version changes the same, that is listed.
    """
    from rapport.access import system
    from rapport.builtin.edition import apply_edition, apply_lock, find_edition, read_lock

    if (name is None) == (lock is None) or (lock is not None and take):
        raise Refusal("Name an edition or a folder, or give --lock FILE and nothing else.", exit_code=2)
    actor = system("rapport edition apply").through("cli")
    if lock is not None:
        outcome = apply_lock(place.config(), read_lock(lock), actor=actor)
    else:
        outcome = apply_edition(place.config(), find_edition(str(name)), actor=actor, take=take)
    for module in outcome.modules:
        good(f"{module} is on.")
    tell_clashes(outcome.plan.clashes, str(name))
    tell_kept(outcome.kept)
    good(f"{outcome.name} {outcome.version} is applied: {_count(outcome)}.")
    say("Take it back: rapport edition rollback")


@edition.command()
@click.argument("file", required=False, type=FilePath)
@click.pass_obj
def build(place: Place, file: Path | None) -> None:
    """Write a lock FILE: everything needed to make another site the equal of this one."""
    from rapport.builtin.edition import build_lock, write_lock

    lock = build_lock(place.config())
    path = file or Path(f"{lock['edition']['name']}.lock")
    write_lock(lock, path)
    good(f"{path}: {len(lock['items'])} items, {len(lock['modules'])} modules.")
    say(f"On another site: rapport edition apply --lock {path}")


@edition.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--name", help="What it is called: small letters, digits, underscores. Otherwise as the folder.")
@click.option("--title", default="", help="What people read.")
@click.option("--version", default="0.1.0", show_default=True)
@click.pass_obj
def export(place: Place, folder: Path, name: str | None, title: str, version: str) -> None:
    """Make an edition in FOLDER of this site, as it was fitted by hand."""
    from rapport.builtin.edition import export_edition

    name = name or folder.resolve().name.replace("-", "_").lower()
    for path in export_edition(place.config(), folder, name=name, title=title, version=version):
        say(str(path))
    good(f"{name} {version} is written. On another site: rapport edition apply {folder}")


@edition.command()
@click.pass_obj
def rollback(place: Place) -> None:
    """Take the last application back: the site is as it was before it, but for what was changed since."""
    from rapport.access import system
    from rapport.builtin.edition import rollback as go_back

    outcome = go_back(place.config(), actor=system("rapport edition rollback").through("cli"))
    for module in outcome.modules:
        good(f"{module} is off; its data is kept.")
    for clash in outcome.plan.clashes:
        note(f"! {_place(clash.item, clash.field)}: {clash.why}")
    tell_kept(outcome.kept)
    good(f"{outcome.name} {outcome.version} is taken back: {_count(outcome)}.")


@edition.command()
@click.argument("name")
@click.option("--remove", is_flag=True, help="Take it away again.")
@click.pass_obj
def sample(place: Place, name: str, remove: bool) -> None:
    """Put in the sample data of the edition NAME (or the one in a folder), to try it out with."""
    from rapport.access import system
    from rapport.builtin.edition import find_edition, load_samples, remove_samples

    found = find_edition(name)
    actor = system(f"sample data: {found.name}").through("cli")
    if not remove:
        count = load_samples(place.config(), found, actor=actor)
        good(f"{count} records of {found.title} are there to try it out with.")
        say(f"Take them away: rapport edition sample {name} --remove")
        return
    undone, kept = remove_samples(place.config(), found.name, actor=actor)
    for each in kept:
        note(f"! {each}")
    good(f"The sample data of {found.title} is gone ({undone} changes taken back).")


def tell_steps(steps: Iterable[Step]) -> None:
    """What is made (+), changed (~) and removed (-), a line each."""
    for step in steps:
        say(f"{SIGNS[step.action]} {'/'.join(step.key)}")
        if step.action == "update":
            for name, value in step.values.items():
                for part, old, new in _parts(name, step.before.get(name), value):
                    say(f"    {part}: {_text(old)} → {_text(new)}")


def tell_clashes(clashes: Iterable[Clash], name: str) -> None:
    """Where the site's word stays, and how to take the edition's."""
    items = []
    for clash in clashes:
        items.append(clash.item)
        values = f" here {_text(clash.here)}, the edition has {_text(clash.wanted)}." if clash.field else ""
        note(f"! {_place(clash.item, clash.field)}: {clash.why}{values}")
    if items:
        note(f"What is here stays. To take the edition's word: rapport edition apply {name} --take '{items[0]}'")


def tell_kept(kept: Iterable[Kept]) -> None:
    """What should have gone and could not."""
    for each in kept:
        note(f"! {each.item}: {each.why}")


def _parts(name: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """A changed field, or the changed parts of one of many parts."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        yield name, old, new
        return
    for part in dict.fromkeys([*new, *old]):
        if (part in old, old.get(part)) != (part in new, new.get(part)):
            yield f"{name} {part}", old.get(part), new.get(part)


def _place(item: str, field: str) -> str:
    return f"{item} {field}".strip()


def _text(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)


def _count(outcome: Outcome) -> str:
    counts = {sign: sum(step.action == sign for step in outcome.plan.steps) for sign in SIGNS}
    return f"{counts['create']} items made, {counts['update']} changed, {counts['remove'] - len(outcome.kept)} removed"
