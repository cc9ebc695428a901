"""The few places in this repository where what nobody may write is written, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping

ALLOWED: Mapping[str, Mapping[str, str]] = {
    "no silence about errors": {
        "cli/rapport_cli/portable.py::lines_of": "a broken plugin's tables are carried over as they are",
    },
    "only hooks.py catches everything, or the line says why": {
        "core/rapport/hooks.py": "the one place that catches what plugins raise, and it says so aloud",
        "cli/rapport_cli/doctor.py": "the doctor names what is broken instead of dying of it",
    },
    "SQL is never assembled": {
        "core/rapport/db/migrate.py::_revision": "the name of a version table, made from a plugin's name",
        "core/rapport/db/migrate.py::_add_column": "quoted names of our own tables; DDL takes no parameters",
        "core/rapport/testing/databases.py": "names of our own making; DDL takes no parameters",
        "cli/rapport_cli/rehearsal.py": "a scratch database's name; DDL takes no parameters",
        "cli/rapport_cli/portable.py::_count": "a table's name, quoted by the dialect",
        "cli/rapport_cli/portable.py::_loosen": "names from the catalogue; DDL takes no parameters",
    },
    "markup is written, never trusted": {
        "core/rapport/builtin/web/context.py::show_piece": "a panel that Jinja has just rendered, all of it escaped",
        "core/rapport/builtin/web/context.py::rendered": "a part of pages, rendered by Jinja of our own texts alone",
        "core/rapport/builtin/web/design.py::icon": "drawings from the icon set we ship",
    },
    "templates are files": {
        "core/rapport/wording.py": "Liquid over plain texts: nothing can be called, and there are no loops",
    },
    "one gate out": {
        "core/rapport/outbound.py": "the one client, which tests every address it connects to",
        "core/rapport/mail.py": "the mail of the system itself, such as password resets",
        "cli/rapport_cli/serve.py": "asks this machine whether the port is free",
        "cli/rapport_cli/doctor.py": "asks whether the mail server answers",
    },
    "only the gate sends": {
        "core/rapport/interactions/sending.py": "the one place that sends, after the gate has let a message pass",
    },
    "every form is checked for CSRF": {
        "core/rapport/builtin/api/routes.py": "tokens only, never the cookie; said once, when mounted",
        "core/rapport/builtin/web/preferences.py::_prepare_app": "the link is the right; mail programs post to it",
    },
}
"""By the gate's name: "path" or "path::function", and why it may. A plugin writes its own into its pyproject.toml."""


def is_allowed(gate: str, place: str) -> bool:
    """Whether a fault's place is among those that may."""
    known = ALLOWED.get(gate, {})
    return place in known or place.partition("::")[0] in known
