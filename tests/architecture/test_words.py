"""One grammar for all names: entity `sales.deal`, table `sales_deal`, permission `sales.deal.update`."""

from __future__ import annotations

import importlib
import re

from rapport.entities import Entity
from rapport.testing.contract.site import misnamed
from rapport.testing.sources import permissions_in
from tests.architecture.subjects import members, sources


def _entities() -> list[type[Entity]]:
    """Every entity of core and of the members on disk."""
    for module in sources():
        if module.package != "rapport_cli" and not re.search(r"\b(wsgi|testing|migrations)\b", module.module):
            importlib.import_module(module.module)
    ours = {"rapport", *(member.package for member in members())}
    classes = (mapper.class_ for mapper in Entity.registry.mappers)
    made = "rapport.fit.tables"  # by an administrator of another test of this process
    found = (c for c in classes if c.__module__.split(".", 1)[0] in ours and c.__module__ != made)
    return sorted(found, key=lambda c: c.meta.name)


def test_entities_tables_and_references_are_named_in_one_grammar():
    faults = []
    for entity in _entities():
        package = entity.__module__.split(".", 1)[0]
        faults += misnamed(entity, "" if package == "rapport" else package.removeprefix("rapport_"))
    assert faults == []


def test_every_permission_asked_for_is_one_of_an_entity_that_exists():
    known = {entity.meta.permission(action) for entity in _entities() for action in entity.meta.actions}
    faults = [
        f"{module.path}:{line}: {permission}"
        for module in sources()
        for line, permission in permissions_in(module)
        if permission not in known
    ]
    assert faults == []
