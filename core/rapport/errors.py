"""What can go wrong, said so that the reader knows who, what, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with what was asked. `field` is None when it concerns the whole record.

    The message continues the field's name: `Problem("email", "is already used by Ada Lovelace")`.
    """

    field: str | None
    message: str

    def __str__(self) -> str:
        return f"{self.field} {self.message}" if self.field else self.message


class RapportError(Exception):
    """Base of every error Rapport raises on purpose. The text is for the person who asked."""


class ConfigError(RapportError):
    """The configuration cannot be used as it is written."""


class Invalid(RapportError):
    """What was asked breaks a rule; nothing was changed."""

    def __init__(self, problems: Iterable[Problem] | Problem | str) -> None:
        if isinstance(problems, str):
            problems = Problem(None, problems)
        self.problems: tuple[Problem, ...] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))


class NotFound(RapportError):
    """There is no such record, or this actor may not know that there is: both look the same."""


class Forbidden(RapportError):
    """The actor may see the record but not do this with it."""

    def __init__(self, permission: str, message: str | None = None) -> None:
        self.permission = permission
        super().__init__(message or f"You need the permission '{permission}'. Ask an administrator for a role with it.")


class Revoked(RapportError):
    """Long work is not gone on with: whoever asked for it may by now not sign in any more."""


class Stale(RapportError):
    """Somebody else changed the record since it was read. `current` holds the values as they stand now."""

    def __init__(self, message: str, current: dict[str, Any] | None = None) -> None:
        self.current = current or {}
        super().__init__(message)


class Conflict(RapportError):
    """The change contradicts the state of things: a number taken, a record in use."""

    def __init__(self, message: str, field: str | None = None) -> None:
        self.field = field
        super().__init__(message)


class Unavailable(RapportError):
    """Something did not answer in time. Nothing was changed; it may work in a while."""


class TemporaryFailure(RapportError):
    """A channel could not send a message just now, and surely has not: it is tried again later."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class PermanentFailure(RapportError):
    """A channel cannot send a message, and never will. With `suppress` its address is not used again."""

    def __init__(self, reason: str, *, suppress: bool = False) -> None:
        self.reason = reason
        self.suppress = suppress
        super().__init__(reason)


class PluginError(RapportError):
    """A plugin cannot be used; the message names it, what is wrong and the way out."""
