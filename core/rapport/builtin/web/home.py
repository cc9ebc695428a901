"""The start page: what to do today, for the person who looks."""

from __future__ import annotations

from flask import Blueprint, g, render_template
from sqlalchemy import or_

from rapport.builtin.web.context import formats, reader
from rapport.customers import Customer
from rapport.entities import utcnow
from rapport.http import current_actor, current_site, needs
from rapport.interactions import Interaction, Task


def add_pages(web: Blueprint) -> None:
    """The start page."""
    web.add_url_rule("/", view_func=home, methods=["GET"])


@needs("")
def home() -> str:
    """Tasks that are due, what plugins have to say, and what happened last."""
    actor, today = current_actor(), reader().today()
    mine = [Task.owner_id == actor.id, Task.done_at.is_(None), Task.archived_at.is_(None)]
    due = reader().all(Task, *mine, Task.due_on <= today, order=Task.due_on, limit=50)
    coming = reader().all(Task, *mine, or_(Task.due_on > today, Task.due_on.is_(None)), order=Task.due_on, limit=10)
    recent = reader().all(Interaction, Interaction.archived_at.is_(None), order=Interaction.at.desc(), limit=8)
    customers = reader().titles(Customer, [item.customer_id for item in [*due, *coming, *recent]])  # type: ignore[attr-defined]
    hour = formats().here(utcnow()).hour
    greeting = (
        g.texts.gettext("Good morning, %(name)s", name=actor.name.split(" ")[0]) if hour < 12
        else g.texts.gettext("Good afternoon, %(name)s", name=actor.name.split(" ")[0]) if hour < 18
        else g.texts.gettext("Good evening, %(name)s", name=actor.name.split(" ")[0])
    )  # fmt: skip
    first_steps = actor.is_admin and not reader().all(Customer, limit=1)
    return render_template(
        "pages/home.html", due=due, coming=coming, recent=recent, customers=customers, today=today, greeting=greeting,
        first_steps=first_steps, day=formats().date(today, "long"),
        kinds={kind.name: kind for kind in current_site().interaction_types},
    )  # fmt: skip
