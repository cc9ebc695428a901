"""Once: what is sent twice, because nobody heard the answer or a button was pressed twice, has its effect once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import Row, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from rapport.entities import utcnow
from rapport.records.log import idempotency_table as kept

if TYPE_CHECKING:
    from rapport.records.unit import Change, Unit

KEPT_FOR = dt.timedelta(days=3)
NOBODY = UUID(int=0)
"""Who sends, where Rapport itself writes for somebody, such as a customer."""


def take(unit: Unit, key: str, fingerprint: str) -> Row[Any] | None:
    """Take a key within the unit; what was kept with it when it has had its effect already.

    A second one with the same key waits here until the first has committed or given up.
    """
    connection = unit.session.connection()
    row: dict[str, Any] = {
        "actor_id": unit.actor.id or NOBODY, "key": key, "fingerprint": fingerprint, "status": 0, "headers": {},
        "body": "", "created_at": utcnow(),
    }  # fmt: skip
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    taken = dialect.insert(kept).values(row).on_conflict_do_nothing().returning(kept.c.id)
    if connection.scalar(taken) is not None:
        oldest = select(kept.c.id).order_by(kept.c.id).limit(10)  # a few at a time: nobody waits for the sweeping
        connection.execute(delete(kept).where(kept.c.id.in_(oldest), kept.c.created_at < utcnow() - KEPT_FOR))
        return None
    return connection.execute(select(kept).where(_of(unit, key))).one()


def keep(unit: Unit, key: str, *, status: int, headers: Mapping[str, str], body: str) -> None:
    """Keep beside an effect what came of it: both are committed, or neither."""
    values = {"status": status, "headers": dict(headers), "body": body}
    unit.session.connection().execute(update(kept).where(_of(unit, key)).values(**values))


def _of(unit: Unit, key: str) -> Any:
    return (kept.c.actor_id == (unit.actor.id or NOBODY)) & (kept.c.key == key)


# Forms ---------------------------------------------------------------------------------------------------------------


class SentBefore(Exception):  # no fault, so not one of RapportError: the pages of plugins let it pass
    """The very same form was sent before, and has had its effect: on this record, as "customer/<id>", or on something
    else that has a page of its own, as "import/5"."""

    def __init__(self, record: str) -> None:
        self.record = record
        super().__init__("This was sent before. It has had its effect.")


@dataclass(slots=True)
class SentForm:
    """A form that somebody sent: which one, and what was typed. Its first unit of work takes the key."""

    key: str
    unit: Unit | None = None

    def begin(self, unit: Unit) -> None:
        """SentBefore when another request has done it, and wait for one that is about to."""
        if self.unit is None:
            if (before := take(unit, self.key, "")) is not None:
                raise SentBefore(before.body)
            self.unit = unit

    def end(self, unit: Unit, changes: list[Change]) -> None:
        """Keep what came of it: what the unit says itself, else the record that was made, else the one changed."""
        # A unit that changed nothing leaves the key to the next one.
        if self.unit is unit and (outcome := unit.outcome or _record_of(changes)):
            keep(unit, self.key, status=200, headers={}, body=outcome)
        elif self.unit is unit:
            unit.session.connection().execute(delete(kept).where(_of(unit, self.key)))
            self.unit = None

    def give_up(self, unit: Unit) -> None:
        """The unit was rolled back, and the key with it."""
        if self.unit is unit:
            self.unit = None


def _record_of(changes: list[Change]) -> str:
    made = [each for each in changes if each.action == "created"]
    return next((f"{each.entity.meta.name}/{each.record.id}" for each in [*made, *changes]), "")


sent_form: ContextVar[SentForm | None] = ContextVar("sent_form", default=None)
"""The form that the present request brings, if it says which one it is."""
