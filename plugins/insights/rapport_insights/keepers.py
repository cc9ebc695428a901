"""Who looks after models hears when one needs it: a task, once, until it is done."""

from __future__ import annotations

from sqlalchemy import select

from rapport import Site, Task, User
from rapport import gettext as _
from rapport.access import UserRole
from rapport_insights.entities import Model
from rapport_insights.scores import ACTOR


def tell_keeper(site: Site, model: Model, note: str) -> bool:
    """Give the keeper a task about a model; False when one is open still, or nobody is there to get it.

    The keeper is the person whose e-mail address the setting `insights.keeper` has, else the first administrator.
    """
    with site.write(ACTOR) as unit:
        open_ = unit.reader.all(
            Task, Task.about_id == model.id, Task.done_at.is_(None), Task.archived_at.is_(None), limit=1
        )
        admins = select(UserRole.user_id).where(UserRole.role == "admin")
        address = str(site.settings.get("insights.keeper") or "").strip().lower()
        who = User.email == address if address else User.id.in_(admins)
        found = unit.reader.all(User, who, User.archived_at.is_(None), order=User.id, limit=1)
        if open_ or not found:
            return False
        unit.create(Task, {
            "title": _("Look after the model “%(name)s”", name=model.name), "due_on": unit.reader.today(), "note": note,
            "owner_id": found[0].id, "about_entity": Model.meta.name, "about_id": model.id,
        })  # fmt: skip
    return True
