"""Whoever follows the log of changes hears of every change, or the kind of record says that they do not."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence

from rapport import Entity
from rapport.entities import table_of
from tests.architecture.subjects import Source, sources
from tests.architecture.test_words import _entities

WRITES = {"update", "insert", "delete"}
TEXT = re.compile(r"\b(?:UPDATE|INSERT INTO|DELETE FROM)\s+\"?(\w+)", re.IGNORECASE)
ALLOWED: Mapping[str, str] = {
    "rapport.interactions.model.complete: Participant": "when the contact was, beside it for an index",
}
"""Where a statement may write records that the log tells of, and why."""


def past_the_log(source: Source, entities: Sequence[type[Entity]]) -> Iterator[str]:
    """The functions of a module that write records of kinds that do not say `past_log`, by statements of their own."""
    tables = {table_of(entity).name: entity.__name__ for entity in entities}
    near = {entity.__name__: entity.past_log for entity in entities}
    near |= {
        entity.__name__: entity.past_log for entity in entities if entity.__module__.partition(".")[0] == source.package
    }
    for top in ast.walk(source.tree):
        if not isinstance(top, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        held = dict(_held(top))
        for node in ast.walk(top):
            named: list[str] = []
            if isinstance(node, ast.Call):
                named = list(_written(node, held))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                named = [tables[name] for name in TEXT.findall(node.value) if name in tables]
            yield from (f"{source.module}.{top.name}: {name}" for name in named if near.get(name) is False)


def _held(top: ast.AST) -> Iterator[tuple[str, str]]:
    """The variables that hold the table of an entity, by name: `users = table_of(User)`."""
    for node in ast.walk(top):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                pairs = (
                    zip(target.elts, node.value.elts, strict=False)
                    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple) else [(target, node.value)]
                )  # fmt: skip
                for variable, value in pairs:
                    if isinstance(variable, ast.Name) and (name := _entity(value, {})):
                        yield variable.id, name


def _written(call: ast.Call, held: Mapping[str, str]) -> Iterator[str]:
    """The entity that `update(X)` or `X.update()` writes."""
    match call.func:
        case ast.Name(id=verb) if verb in WRITES and call.args:
            if name := _entity(call.args[0], held):
                yield name
        case ast.Attribute(attr=verb, value=subject) if verb in WRITES:
            for each in (subject, *call.args[:1]):  # X.update(), dialect.insert(X)
                if name := _entity(each, held):
                    yield name


def _entity(value: ast.AST, held: Mapping[str, str]) -> str:
    match value:
        case ast.Call(func=ast.Name(id="table_of"), args=[ast.Name(id=name)]):
            return name
        case ast.Attribute(attr="__table__", value=ast.Name(id=name)):
            return name
        case ast.Name(id=name):
            return held.get(name, name)
    return ""


def test_whatever_is_written_past_the_log_is_of_a_kind_that_says_so():
    entities = _entities()
    found = {place for source in sources() for place in past_the_log(source, entities)}
    assert sorted(found - set(ALLOWED)) == []
    assert sorted(set(ALLOWED) - found) == []


def test_the_rule_bites():
    text = """
def one(unit):
    people, _more = table_of(User), 1
    unit.session.execute(update(people).values(name="x"))
def two(connection):
    connection.execute(table_of(Customer).delete())
def three(connection):
    connection.execute(text("UPDATE interaction SET minutes = 1"))
def four(connection):
    connection.execute(update(Token).values(used_at=None)), connection.execute(select(User))
"""
    source = dataclasses.replace(sources()[0], module="m", tree=ast.parse(text))
    assert sorted(past_the_log(source, _entities())) == ["m.one: User", "m.three: Interaction", "m.two: Customer"]
