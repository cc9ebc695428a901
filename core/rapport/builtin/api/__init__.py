"""The API: everything Rapport keeps, for other programs, with the same rights and rules as in the browser."""

from __future__ import annotations

from flask import Blueprint

from rapport.builtin.api.routes import make_blueprint
from rapport.hookspecs import hookimpl


@hookimpl
def register_pages() -> list[Blueprint]:
    return [make_blueprint()]
