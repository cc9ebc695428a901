"""Who looks after models hears when one needs it: a task, once, until it is done."""

from __future__ import annotations

from rapport import Reader, Site, Task, User
from rapport import gettext as _
from rapport_insights.entities import Model
from rapport_insights.scores import ACTOR


def tell_keeper(site: Site, model: Model, note: str) -> bool:
    """Give the keeper a task about a model; False when one is open still, or nobody is there to get it.

    The keeper is the person whose e-mail address the setting `insights.keeper` has, else the first administrator.
    """
    with site.write(ACTOR) as unit:
        about = (Task.about_id == model.id, Task.done_at.is_(None), Task.archived_at.is_(None))
        keeper = _keeper(unit.reader)
        if keeper is None or unit.reader.all(Task, *about, limit=1):
            return False
        unit.create(Task, {
            "title": _("Look after the model “%(name)s”", name=model.name), "due_on": unit.reader.today(), "note": note,
            "owner_id": keeper.id, "about_entity": Model.meta.name, "about_id": model.id,
        })  # fmt: skip
    return True


def _keeper(reader: Reader) -> User | None:
    address = str(reader.site.settings.get("insights.keeper") or "").strip().lower()
    named = (User.email == address,) if address else ()
    for user in reader.all(User, User.archived_at.is_(None), *named, order=User.id):
        actor = reader.site.actor(user.id)
        if address or (actor is not None and actor.is_admin):
            return user
    return None
