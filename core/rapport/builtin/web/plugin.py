"""What the web brings, through public hooks."""

from __future__ import annotations

from flask import Blueprint

from rapport.builtin.web import account, admin, board, home, lists, records, search, sign_in
from rapport.builtin.web.context import make_blueprint
from rapport.builtin.web.views import View
from rapport.entities import Entity
from rapport.hookspecs import hookimpl


@hookimpl
def register_entities() -> list[type[Entity]]:
    return [View]


@hookimpl
def register_pages() -> list[Blueprint]:
    return [make_blueprint(sign_in, account, home, search, admin, board, lists, records)]
