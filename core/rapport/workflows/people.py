"""The people of a workflow: who is meant, what they are asked, and what they answer."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import select

from rapport.access import Membership, Team, User, UserRole
from rapport.entities import EntityMeta, table_of, utcnow
from rapport.i18n.catalogs import _
from rapport.interactions.model import Task
from rapport.workflows.store import Approval, link_table

if TYPE_CHECKING:
    from rapport.records import Unit
    from rapport.workflows.store import WorkflowInstance

MOST = 50
"""People who are asked at once."""


def wrong_word(meta: EntityMeta, word: str) -> str:
    """Why a word names nobody; "" when it may name somebody."""
    kind, colon, name = word.partition(":")
    if word == "owner":
        return "" if meta.owned else _("a record of this kind has no owner.")
    if word == "starter" or (colon and kind in {"role", "team"} and name) or ("@" in word and not colon):
        return ""
    if colon and kind == "field":
        field = meta.fields.get(name) or meta.fields.get(f"{name}_id")
        return (
            ""
            if field is not None and field.target == "user"
            else _("'%(name)s' is not a field that names a user.", name=name)
        )
    return _(
        "'%(word)s' names nobody. Write owner, starter, role:NAME, team:NAME, field:NAME or an e-mail address.",
        word=word,
    )


def meant(session: Any, words: Iterable[str], record: Any, instance: WorkflowInstance) -> list[UUID]:
    """The active users that words mean, each once, in the order of the words."""
    found: dict[UUID, None] = {}
    for word in words:
        for user_id in _named(session, word, record, instance):
            found.setdefault(user_id)
    active = set(
        session.scalars(select(User.id).where(User.id.in_(list(found)), User.active, User.archived_at.is_(None)))
    )
    return [user_id for user_id in found if user_id in active][:MOST]


def _named(session: Any, word: str, record: Any, instance: WorkflowInstance) -> Sequence[UUID]:
    kind, _colon, name = word.partition(":")
    if word == "owner":
        return [record.owner_id] if getattr(record, "owner_id", None) else []
    if word == "starter":
        return [instance.started_by_id] if instance.started_by_id else []
    if kind == "field":
        value = getattr(record, name if name in record.meta.fields else f"{name}_id")
        return [value] if value else []
    if kind == "role":
        query = select(UserRole.user_id).where(UserRole.role == name, UserRole.archived_at.is_(None))
    elif kind == "team":
        query = (
            select(Membership.user_id)
            .join(Team, Team.id == Membership.team_id)
            .where(Team.name == name, Team.archived_at.is_(None), Membership.archived_at.is_(None))
        )
    else:
        query = select(User.id).where(User.email == word.lower())
    return list(session.scalars(query.limit(MOST)))


def tally(session: Any, instance_id: UUID, state: str, turn: int, need: str | int) -> str:
    """What the answers so far amount to: the event `approved` or `rejected`, or "" while it is open."""
    rows = session.scalars(
        select(Approval.decision).where(
            Approval.instance_id == instance_id, Approval.state == state, Approval.turn == turn,
            Approval.decision != "withdrawn",
        )
    ).all()  # fmt: skip
    agreed, open_ = rows.count("approved"), rows.count("")
    needed = len(rows) if need == "all" else 1 if need == "any" else min(int(need), len(rows))
    if agreed >= needed:
        return "approved"
    return "rejected" if agreed + open_ < needed else ""


def withdraw(unit: Unit, instance_id: UUID, state: str) -> None:
    """Nobody need answer or do any more what a state had asked for."""
    session: Any = unit.session
    open_ = select(Approval).where(
        Approval.instance_id == instance_id, Approval.state == state, Approval.decision == ""
    )
    for approval in session.scalars(open_):
        approval.decision = "withdrawn"
    links = link_table.c
    here = (links.instance_id == instance_id, links.state == state, links.kind == "task")
    connection = session.connection()
    ids = connection.scalars(select(links.other_id).where(*here)).all()
    for task in session.scalars(
        select(Task).where(Task.id.in_(ids), Task.done_at.is_(None), Task.archived_at.is_(None))
    ):
        task.archived_at = utcnow()
    if ids:
        connection.execute(link_table.delete().where(*here))


def address_of(session: Any, user_id: UUID) -> tuple[str, str, str]:
    """The name, e-mail address and language of a user."""
    users = table_of(User)
    row = session.connection().execute(select(users).where(users.c.id == user_id)).one()
    return row.name, row.email, row.language


def hand_over_tasks(unit: Unit, instance_id: UUID, state: str, to: UUID) -> int:
    """Give the open tasks of a state to somebody else; returns how many there were."""
    session: Any = unit.session
    links = link_table.c
    ids = select(links.other_id).where(links.instance_id == instance_id, links.state == state, links.kind == "task")
    tasks = session.scalars(
        select(Task).where(Task.id.in_(session.connection().scalars(ids).all()), Task.done_at.is_(None))
    ).all()
    for task in tasks:
        task.owner_id = to
    return len(tasks)


def customer_of(record: Any) -> UUID | None:
    """The customer whom a record is about."""
    if record.meta.name == "customer":
        return UUID(str(record.id))
    value = getattr(record, "customer_id", None) if "customer_id" in record.meta.fields else None
    return value if isinstance(value, UUID) else None
