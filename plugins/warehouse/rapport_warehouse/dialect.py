"""What Rapport's own SQL expressions are in DuckDB, so that filters and row scopes say the same there."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Boolean, String, Uuid
from sqlalchemy.ext.compiler import compiles

from rapport.entities.custom import custom_value
from rapport.entities.types import Fixed
from rapport.query.fold import folded, folded_by_translate

_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@compiles(folded, "duckdb")
def _folded(element: Any, compiler: Any, **kw: Any) -> str:
    (text,) = element.clauses
    sql = compiler.process(text, **kw)

    def quoted(value: str) -> str:
        return str(compiler.render_literal_value(value, String()))

    return folded_by_translate(
        sql,
        quoted,
        # lower() of DuckDB knows the capitals of every script; ours are those of the table alone.
        lower=f"translate({sql}, '{_CAPITALS}', '{_CAPITALS.lower()}')",
        is_ascii=f"strlen({sql}) = length({sql})",
        matches=lambda pattern: f"regexp_matches({sql}, {pattern})",
    )


@compiles(custom_value, "duckdb")
def _custom_value(element: Any, compiler: Any, **kw: Any) -> str:
    (column,) = element.clauses
    text = f"({compiler.process(column, **kw)} ->> {compiler.render_literal_value(element.place, String())})"
    if isinstance(element.type, BigInteger | Fixed):
        return f"CAST({text} AS BIGINT)"
    if isinstance(element.type, Boolean | Uuid):
        return f"CAST({text} AS {'UUID' if isinstance(element.type, Uuid) else 'BOOLEAN'})"
    return text
