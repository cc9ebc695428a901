"""What makes every page look alike: where the built scripts and styles are, and how an icon is drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from markupsafe import Markup

from rapport.errors import RapportError

STATIC = Path(__file__).parent / "static"
TEMPLATES = Path(__file__).parent / "templates"
_UNKNOWN = '<path d="M4 6a2 2 0 0 1 2 -2h12a2 2 0 0 1 2 2v12a2 2 0 0 1 -2 2h-12a2 2 0 0 1 -2 -2z"/>'


class Design:
    """The built assets. One per app: `asset` and `icon` become names that every template knows."""

    def __init__(self, address: str = "/static", folder: Path = STATIC) -> None:
        self._address = address.rstrip("/")
        self._folder = folder
        self._drawn: dict[str, Markup] = {}

    def asset(self, name: str) -> str:
        """The address of a built file. It changes with the content, so browsers may keep what they have for ever."""
        version = self._manifest.get(name)
        if version is None:
            raise RapportError(f"The web page needs '{name}', which is not among the built assets. Run `make assets`.")
        return f"{self._address}/{name}?v={version}"

    def icon(self, name: str) -> Markup:
        """A Tabler icon. An unknown name draws a plain square: a plugin's typing error must not break a page."""
        if not self.knows_icon(name):
            name = ""
        if name not in self._drawn:  # a page has a hundred, and they are always the same
            # Trusted: drawn from the built icons, never from input.
            inner = Markup(self._icons.get(name, _UNKNOWN))  # noqa: S704
            self._drawn[name] = Markup(
                '<svg class="icon" width="20" height="20" viewBox="0 0 24 24" fill="none" stroke="currentColor" '
                'stroke-linecap="round" stroke-linejoin="round" focusable="false" aria-hidden="true">{}</svg>'
            ).format(inner)
        return self._drawn[name]

    def knows_icon(self, name: str) -> bool:
        """Whether there is such an icon. The contract suite asks it for every entity and menu item."""
        return name in self._icons

    @cached_property
    def _manifest(self) -> Mapping[str, str]:
        return self._read("manifest.json")

    @cached_property
    def _icons(self) -> Mapping[str, str]:
        return self._read("icons.json")

    def _read(self, name: str) -> Mapping[str, str]:
        path = self._folder / name
        if not path.exists():
            raise RapportError("The web assets are not built yet. Run `make assets`, then start again.")
        read: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
        return read
