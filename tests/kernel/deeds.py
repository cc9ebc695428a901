"""What the tests of plugins and jobs have processes do that may be killed (tests/mortal.py)."""

from __future__ import annotations

import contextlib
from typing import Any

from tests.mortal import work

__all__ = ["work"]


def enable(config: Any, *names: str) -> list[str]:
    from rapport.lifecycle import enable

    return enable(config, *names)


def disable(config: Any, name: str) -> list[str]:
    from rapport.lifecycle import disable

    return disable(config, name, with_dependants=True)


def upgrade(config: Any, name: str) -> bool:
    from rapport.lifecycle import upgrade

    return upgrade(config, name)


def upgrade_site(config: Any) -> dict[str, str]:
    from rapport.lifecycle import upgrade_site

    return {step.plugin: step.problem for step in upgrade_site(config)}


def purge(config: Any, name: str) -> dict[str, int]:
    from rapport.lifecycle import purge

    return purge(config, name)


def make(config: Any) -> None:
    from rapport.lifecycle import make_site

    make_site(config)


def boot(config: Any, *pages: str) -> dict[str, list[str]]:
    """Open the site, and with an address also its application; how the plugins fare, and the answers."""
    from rapport import Site
    from rapport.app import create_app

    if not pages:
        with contextlib.closing(Site.open(config)) as site:
            return {name: [plugin.state, plugin.reason, plugin.remedy] for name, plugin in site.plugins.items()}
    app = create_app(config)
    client = app.test_client()
    return {page: [client.get(page).status_code] for page in pages}


def write(config: Any, entity: str, label: str) -> str:
    """A record of a plugin, made as ever."""
    from rapport import Site, system

    with contextlib.closing(Site.open(config)) as site, site.write(system("test")) as unit:
        record = unit.create(site.entities[entity], {"label": label})
        return str(record.id)


def facts(config: Any) -> dict[str, list[str]]:
    """What a plugin brings to where people and programs find it."""
    from rapport.app import create_app

    app = create_app(config)
    site = app.extensions["rapport"]
    return {
        "entities": site.entities.names(), "menu": site.navigation.names(), "jobs": site.jobs.names(),
        "commands": site.commands.names(), "settings": site.settings.declared.names(),
        "pages": sorted({str(rule) for rule in app.url_map.iter_rules()}),
    }  # fmt: skip


def ask(config: Any, name: str, how: str) -> None:
    """A customer, and the job that greets them: in one transaction, or apart."""
    from rapport import Customer, Site, enqueue_job, system

    actor = system("test")
    with contextlib.closing(Site.open(config)) as site:
        with site.write(actor) as unit:
            unit.create(Customer, {"name": name})
            if how == "together":
                enqueue_job(unit.session.connection(), "effects.greet", {"name": name}, actor=actor)
        if how == "apart":
            with site.db.write() as connection:
                enqueue_job(connection, "effects.greet", {"name": name}, actor=actor)
