"""One grammar for all names: entity `sales.deal`, table `sales_deal`, permission `sales.deal.update`."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator

import pytest

from rapport.entities import Entity
from rapport.entities.base import ACTIONS
from tests.architecture.subjects import Source, members, sources

CORE_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
PLUGIN_NAME = re.compile(r"([a-z][a-z0-9]*(?:_[a-z0-9]+)*)\.([a-z][a-z0-9]*(?:_[a-z0-9]+)*)")
PERMISSION = re.compile(rf"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?\.({'|'.join(ACTIONS)})")


def _entities() -> list[type[Entity]]:
    """Every entity of core and of the members on disk."""
    for module in sources():
        if module.package != "rapport_cli" and not re.search(r"\b(wsgi|testing|migrations)\b", module.module):
            importlib.import_module(module.module)
    ours = {"rapport", *(member.package for member in members())}
    classes = (mapper.class_ for mapper in Entity.registry.mappers)
    return sorted((c for c in classes if c.__module__.split(".", 1)[0] in ours), key=lambda c: c.meta.name)


def _permissions(module: Source) -> Iterator[tuple[int, str]]:
    """Permissions written out: `@needs("…")`, `needs="…"`, `.require("…")`, `.may("…")`, `.reach("…")`."""
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func).rpartition(".")[2]
        given = node.args[:1] if called in {"needs", "require", "may", "reach"} else []
        for value in [*given, *(word.value for word in node.keywords if word.arg == "needs")]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str) and value.value:
                yield value.lineno, value.value


def test_entities_and_tables_are_named_in_one_grammar():
    faults = []
    for entity in _entities():
        name, package = entity.meta.name, entity.__module__.split(".", 1)[0]
        owner = PLUGIN_NAME.fullmatch(name)
        right = CORE_NAME.fullmatch(name) if package == "rapport" else owner and f"rapport_{owner[1]}" == package
        if not right:
            faults.append(f"{package}: the entity '{name}' is misnamed")
        if entity.__tablename__ != name.replace(".", "_"):
            faults.append(f"{name}: the table is called {entity.__tablename__}")
        if not entity.meta.title[:1].isupper() or not entity.meta.plural[:1].isupper():
            faults.append(f"{name}: title and plural begin with a capital: {entity.meta.title}, {entity.meta.plural}")
    assert faults == []


def test_references_are_named_after_what_they_point_at():
    faults = [
        f"{entity.meta.name}.{field.name}"
        for entity in _entities()
        for field in entity.meta.references
        if field.name != "id" and not field.name.endswith("_id")
    ]
    assert faults == []


def test_every_permission_asked_for_is_one_of_an_entity_that_exists():
    known = {entity.meta.name for entity in _entities()}
    faults = [
        f"{module.path}:{line}: {permission}"
        for module in sources()
        for line, permission in _permissions(module)
        if not PERMISSION.fullmatch(permission) or permission.rpartition(".")[0] not in known
    ]
    assert faults == []


@pytest.mark.parametrize("permission", ["customer.read", "sales.deal.update"])
def test_the_grammar_of_permissions_knows_the_good(permission: str):
    assert PERMISSION.fullmatch(permission)


@pytest.mark.parametrize("permission", ["read", "customer.look", "Customer.read", "a.b.c.read", "sales:deal.read"])
def test_the_grammar_of_permissions_knows_the_bad(permission: str):
    assert not PERMISSION.fullmatch(permission)
