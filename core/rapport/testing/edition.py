"""What every edition promises, tried out: it fits an empty site, names only what there is, and leaves no trace.

In a vertical's tests:

    def test_it_keeps_what_every_edition_promises(database_url, tmp_path):
        assert broken("consumer_goods", database_url, tmp_path) == []
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlalchemy import func, inspect, select

from rapport.access import system
from rapport.access.model import Role
from rapport.builtin.edition import apply_edition, find_edition, load_samples, remove_samples, rollback
from rapport.builtin.edition.folder import SAMPLES, Edition
from rapport.builtin.edition.items import read_configuration
from rapport.builtin.web.views import View
from rapport.config import Config
from rapport.db.tables import metadata
from rapport.entities import table_of
from rapport.errors import Invalid
from rapport.events import deliver_all
from rapport.fit import Layout
from rapport.lifecycle import make_site
from rapport.plugins import discover
from rapport.query.filter import parse
from rapport.query.sql import compile_filter
from rapport.records import Reader
from rapport.site import Site

ACTOR = system("test of an edition").through("cli")
BESIDE = {"change_log", "delivery", "edition", "site", "plugin", "job"}
"""Tables that note what happened: they are longer afterwards, and should be. So are those that no role may touch,
such as the one that counts the numbers of cases."""


def broken(name: str, database_url: str, home: Path) -> list[str]:
    """What an edition does not keep of its promises, a sentence each; on the empty database and directory given."""
    config = Config(home=home, database_url=database_url, secret_key="test " * 8, testing=True)
    make_site(config)
    return list(_broken(config, find_edition(name)))


def _broken(config: Config, edition: Edition) -> Iterator[str]:
    info = discover().get(edition.name)
    if info is not None and info.version != edition.version:
        yield f"edition.toml says {edition.version}, and {info.distribution} is {info.version}: let both be the same."
    empty = _digest(config)
    outcome = apply_edition(config, edition, actor=ACTOR)
    yield from (f"on an empty site, {each.item} {each.field} clashes: {each.why}" for each in outcome.plan.clashes)
    if apply_edition(config, edition, actor=ACTOR).plan.steps:
        yield "applied a second time, it changes something again."
    rollback(config, actor=ACTOR)
    with contextlib.closing(Site.open(config)) as site, site.read(ACTOR) as reader:
        yield from _strangers(site, reader)
    if any((edition.folder / SAMPLES).glob("*.toml")):
        yield from _samples(config, edition)
    rollback(config, actor=ACTOR)
    if _digest(config) != empty:
        yield "taken back, it leaves something of its configuration behind."


def _strangers(site: Site, reader: Reader) -> Iterator[str]:
    """Names in roles, views and layouts that stand for nothing."""
    permissions = {meta.permission(action) for meta in site.metas.values() for action in meta.actions}
    for role in reader.all(Role):
        for each in sorted(set(role.grants) - permissions):
            yield f"the role {role.name} is granted '{each}', which is no permission here."
    for view in reader.all(View, View.shared.is_(True)):
        if view.entity not in site.entities:
            yield f"the view {view.name} is of '{view.entity}', which is no kind of record here."
            continue
        fields = site.meta_named(view.entity).fields
        yield from (
            f"the view {view.name} has a column '{each}' nobody has." for each in view.columns if each not in fields
        )
        try:
            if view.filter:
                compile_filter(parse(view.filter), site.entities[view.entity], reader.context)
        except Invalid as error:
            yield f"the filter of the view {view.name} cannot be read: {error}"
    for layout in reader.all(Layout):
        fields = site.meta_named(layout.entity).fields if layout.entity in site.metas else {}
        yield from (
            f"the layout of {layout.entity} names a field '{each}' nobody has."
            for each in _named(layout.content)
            if each not in fields
        )


def _named(content: list[Any]) -> Iterator[str]:
    for each in content:
        yield from each["fields"] if isinstance(each, Mapping) else (each,)


def _samples(config: Config, edition: Edition) -> Iterator[str]:
    before = _rows(config)
    load_samples(config, edition, actor=ACTOR)
    with contextlib.closing(Site.open(config)) as site:
        deliver_all(site)
    _undone, kept = remove_samples(config, edition.name, actor=ACTOR)
    yield from (f"the sample data does not go: {each}" for each in kept)
    after = _rows(config)
    yield from (
        f"the sample data leaves {count - before.get(table, 0)} rows in {table} behind."
        for table, count in after.items()
        if count != before.get(table, 0)
    )


def _rows(config: Config) -> dict[str, int]:
    with contextlib.closing(Site.open(config)) as site, site.db.read() as connection:
        kept = {table_of(entity).name for entity in site.entities if not entity.meta.roles}
        there = set(inspect(connection).get_table_names()) - BESIDE - kept
        tables = [table for table in metadata.sorted_tables if table.name in there]
        return {table.name: connection.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def _digest(config: Config) -> str:
    with contextlib.closing(Site.open(config)) as site, site.read(ACTOR) as reader:
        return read_configuration(reader.session, site).digest()
