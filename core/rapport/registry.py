"""Registries: what plugins bring, under one name each, with its owner; closed once the site has started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from rapport.errors import PluginError

T = TypeVar("T")


class Registry(Generic[T]):
    """Named things with owners, in the order they came. Two owners of one name is an error that names both."""

    def __init__(self, what: str, name_of: Callable[[T], str]) -> None:
        self.what = what
        self._name_of = name_of
        self._items: dict[str, T] = {}
        self._owners: dict[str, str] = {}
        self._frozen = False

    def add(self, owner: str, item: T) -> None:
        """Take in one item of a plugin; PluginError when the name is taken or the site has started."""
        name = self.name_of(item)
        if self._frozen:
            raise PluginError(f"{owner} brings the {self.what} '{name}' too late. Return it from a register_ hook.")
        if name in self._items:
            raise PluginError(
                f"{owner} and {self._owners[name]} both bring the {self.what} '{name}'. "
                f"Disable one of them: rapport plugins disable {owner}"
            )
        self._items[name] = item
        self._owners[name] = owner

    def name_of(self, item: T) -> str:
        """The name of an item; PluginError when it is no such thing at all."""
        try:
            return self._name_of(item)
        except AttributeError:
            raise PluginError(f"it returned {item!r:.80}, which is no {self.what}. See docs/hooks.md.") from None

    def freeze(self) -> None:
        """Close the registry: from here on it only answers."""
        self._frozen = True

    def owner(self, name: str) -> str:
        """The plugin that brought `name`."""
        return self._owners[name]

    def get(self, name: str) -> T | None:
        """The item, or None."""
        return self._items.get(name)

    def __getitem__(self, name: str) -> T:
        try:
            return self._items[name]
        except KeyError:
            raise LookupError(f"There is no {self.what} '{name}' here.") from None

    def __contains__(self, name: str) -> bool:
        return name in self._items

    def __iter__(self) -> Iterator[T]:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def names(self) -> list[str]:
        """Every name, in the order they came."""
        return list(self._items)
