"""Administration: modules, users, roles, settings, pipelines, the audit, and how the site is doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from sqlalchemy import func, select, update
from werkzeug.wrappers import Response

from rapport import lifecycle
from rapport.access import Membership, Role, Team, User, UserRole
from rapport.access.actors import BUILTIN_ROLES, REACHES
from rapport.access.service import create_user, deactivate, remove_role
from rapport.builtin.web import forms
from rapport.builtin.web.context import go, reader, toast
from rapport.builtin.web.sign_in import reset_link
from rapport.entities import utcnow
from rapport.entities.base import ACTIONS
from rapport.errors import Forbidden, Invalid, Problem, RapportError
from rapport.http import current_actor, current_site, needs
from rapport.jobs import job_table
from rapport.records.log import change_log, delivery_table
from rapport.settings import field_of_setting
from rapport.workflows import Pipeline, Stage

AUDIT_PAGE = 100


def add_pages(web: Blueprint) -> None:
    """The pages of administrators."""
    for path, view, methods in (
        ("/admin", overview, ["GET"]),
        ("/admin/modules", modules, ["GET"]),
        ("/admin/modules/<plugin>/<verb>", switch_module, ["POST"]),
        ("/admin/users", users, ["GET"]),
        ("/admin/users/new", new_user, ["GET", "POST"]),
        ("/admin/users/<uuid:user_id>", edit_user, ["GET", "POST"]),
        ("/admin/users/<uuid:user_id>/deactivate", deactivate_user, ["POST"]),
        ("/admin/users/<uuid:user_id>/link", user_link, ["POST"]),
        ("/admin/roles", roles, ["GET", "POST"]),
        ("/admin/settings", settings, ["GET", "POST"]),
        ("/admin/pipelines", pipelines, ["GET"]),
        ("/admin/audit", audit, ["GET"]),
        ("/admin/jobs", jobs, ["GET"]),
        ("/admin/jobs/delivery/<int:delivery_id>/again", tell_again, ["POST"]),
    ):
        web.add_url_rule(path, view_func=view, methods=methods)


def _admin_only() -> None:
    if not current_actor().is_admin:
        raise Forbidden("admin", g.texts.gettext("Only administrators may do this."))


@needs("")
def overview() -> str:
    """Where everything is."""
    _admin_only()
    return render_template("pages/admin/overview.html", troubled=[
        plugin for plugin in current_site().plugins.values() if plugin.reason])  # fmt: skip


@needs("")
def modules() -> str:
    """What is installed, what is on, and what is wrong with what is not well."""
    _admin_only()
    return render_template("pages/admin/modules.html", plugins=current_site().plugins.values())


@needs("")
def switch_module(plugin: str, verb: str) -> Response:
    """Switch a module on or off. Every worker follows within a second; data stays."""
    _admin_only()
    config = current_site().config
    try:
        if verb == "enable":
            names = lifecycle.enable(config, plugin)
            toast(g.texts.gettext("Switched on: %(names)s", names=", ".join(names)))
        elif verb == "disable":
            lifecycle.disable(config, plugin)
            toast(g.texts.gettext("“%(name)s” is off. Its data is kept.", name=plugin))
        else:
            abort(404)
    except RapportError as error:
        toast(str(error), "danger")
    return go("/admin/modules")


@needs("")
def users() -> str:
    """Everybody who can sign in."""
    _admin_only()
    everybody = reader().all(User, order=User.name, limit=500)
    held: dict[UUID, list[str]] = {}
    for each in reader().all(UserRole, limit=5000):
        held.setdefault(each.user_id, []).append(each.role)
    return render_template("pages/admin/users.html", users=everybody, held=held)


@needs("")
def new_user() -> str | Response | tuple[str, int]:
    """Add somebody; they get a link to set their password."""
    _admin_only()
    errors: Mapping[str, list[str]] = {}
    if request.method == "POST":
        try:
            with current_site().write(current_actor()) as unit:
                user = create_user(
                    unit, name=request.form.get("name", ""), email=request.form.get("email", ""),
                    roles=_chosen_roles(), language=request.form.get("language") or "en",
                    teams=[unit.get(Team, UUID(each)) for each in request.form.getlist("teams")],
                )  # fmt: skip
            toast(g.texts.gettext("“%(name)s” is added. Send them the link to set a password.", name=user.name))
            return go(f"/admin/users/{user.id}")
        except Invalid as error:
            errors = forms.errors_by_field(error.problems)
        except RapportError as error:
            errors = {"email": [str(error)]}
    return _user_page(None, errors), 422 if errors else 200


def _chosen_roles() -> list[str]:
    known = _role_names()
    return [role for role in request.form.getlist("roles") if role in known] or ["member"]


def _role_names() -> dict[str, str]:
    """Every role with its title: built in, brought by plugins, made by an administrator."""
    names = {name: g.texts.gettext(title) for name, title in BUILTIN_ROLES.items()}
    names |= {name: name for name in current_site().grants if name not in names}
    names |= {role.name: role.title or role.name for role in reader().all(Role) if role.name not in names}
    return names


def _user_page(user: User | None, errors: Mapping[str, list[str]], link: str = "") -> str:
    held = {r.role for r in reader().all(UserRole, UserRole.user_id == user.id)} if user else {"member"}
    teams_of = {m.team_id for m in reader().all(Membership, Membership.user_id == user.id)} if user else set()
    typed = request.form if request.method == "POST" else {}
    return render_template(
        "pages/admin/user.html", person=user, errors=errors, roles=_role_names(), held=held, link=link, typed=typed,
        teams=reader().all(Team, order=Team.name), teams_of=teams_of, languages_field=User.meta.fields["language"],
    )  # fmt: skip


@needs("")
def edit_user(user_id: UUID) -> str | Response | tuple[str, int]:
    """Change somebody's name, roles and teams."""
    _admin_only()
    user = reader().get(User, user_id)
    if request.method == "GET":
        return _user_page(user, {})
    try:
        with current_site().write(current_actor()) as unit:
            person = unit.get(User, user_id)
            unit.update(
                person, {key: request.form[key] for key in ("name", "email", "language") if request.form.get(key)}
            )
            held = {each.role: each for each in unit.reader.all(UserRole, UserRole.user_id == user_id)}
            wanted = set(_chosen_roles())
            for role in wanted - held.keys():
                unit.create(UserRole, {"user_id": user_id, "role": role})
            for role in held.keys() - wanted:
                remove_role(unit, person, role)
            mine = {each.team_id: each for each in unit.reader.all(Membership, Membership.user_id == user_id)}
            teams = {UUID(each) for each in request.form.getlist("teams")}
            for team_id in teams - mine.keys():
                unit.create(Membership, {"user_id": user_id, "team_id": team_id})
            for team_id in mine.keys() - teams:
                unit.delete(mine[team_id])
    except Invalid as error:
        return _user_page(user, forms.errors_by_field(error.problems)), 422
    except RapportError as error:
        return _user_page(user, {"": [str(error)]}), 409
    toast(g.texts.gettext("Saved."))
    return go("/admin/users")


@needs("")
def deactivate_user(user_id: UUID) -> Response:
    """Stop somebody from signing in."""
    _admin_only()
    try:
        with current_site().write(current_actor()) as unit:
            person = unit.get(User, user_id)
            deactivate(unit, person)
        toast(g.texts.gettext("“%(name)s” can no longer sign in.", name=person.name))
    except RapportError as error:
        toast(str(error), "danger")
    return go("/admin/users")


@needs("")
def user_link(user_id: UUID) -> str:
    """A link by which somebody sets a password, to hand over in person or by chat."""
    _admin_only()
    user = reader().get(User, user_id)
    return _user_page(user, {}, reset_link(current_site(), user))


@needs("")
def roles() -> str | Response:
    """Who may do what: for each role and kind of record, nothing, one's own, the team's, or all."""
    _admin_only()
    site = current_site()
    name = request.values.get("role", "member")
    entities = [entity.meta for entity in site.entities if entity.meta.listed or entity.meta.roles]
    defaults = site.grants.get(name, {})
    decided = next(iter(reader().all(Role, Role.name == name)), None)
    if request.method == "POST":
        if name == "admin" or not name.isidentifier():
            raise Invalid(Problem(None, g.texts.gettext("A role is named by letters, digits and underscores.")))
        grants: dict[str, str | None] = {}
        for meta in entities:
            for action in ACTIONS:
                permission = meta.permission(action)
                chosen = request.form.get(permission, "")
                if chosen not in {"", *REACHES}:
                    abort(400)
                if chosen != (defaults.get(permission) or ""):
                    grants[permission] = chosen or None
        with site.write(current_actor()) as unit:
            if decided is None:
                unit.create(Role, {"name": name, "title": request.form.get("title", ""), "grants": grants})
            else:
                unit.update(
                    unit.get(Role, decided.id), {"grants": grants, "title": request.form.get("title", decided.title)}
                )
        toast(g.texts.gettext("The role is saved."))
        return go(f"/admin/roles?role={name}")
    effective = {**defaults, **(decided.grants if decided else {})}
    return render_template("pages/admin/roles.html", role=name, roles=_role_names(), metas=entities, effective=effective,  # noqa: E501
                           actions=ACTIONS, title=decided.title if decided else "")  # fmt: skip


@needs("")
def settings() -> str | Response | tuple[str, int]:
    """What counts for the whole site."""
    _admin_only()
    site = current_site()
    fields = [field_of_setting(setting) for setting in site.settings.declared]
    groups: dict[str, list[Any]] = {}
    for field in fields:
        groups.setdefault(site.settings.declared.owner(field.name), []).append(field)
    errors: Mapping[str, list[str]] = {}
    if request.method == "POST":
        try:
            with site.db.write() as connection:
                for field in fields:
                    if field.name in request.form:
                        text = request.form.getlist(field.name)[-1]
                        value: Any = text == "true" if field.kind == "flag" else text
                        if value != site.settings.get(field.name):
                            site.settings.set(connection, field.name, value)
            toast(g.texts.gettext("Saved."))
            return go("/admin/settings")
        except Invalid as error:
            errors = forms.errors_by_field(error.problems)
    values = {field.name: site.settings.get(field.name) for field in fields}
    return render_template(
        "pages/admin/settings.html", groups=groups, values=values, errors=errors
    ), 422 if errors else 200


@needs("")
def pipelines() -> str:
    """The stages that records move along."""
    _admin_only()
    stages: dict[UUID, list[Stage]] = {}
    for stage in reader().all(Stage, Stage.archived_at.is_(None), order=Stage.position):
        stages.setdefault(stage.pipeline_id, []).append(stage)
    staged = [entity.meta for entity in current_site().entities if entity.meta.staged]
    return render_template("pages/admin/pipelines.html", stages=stages, staged=staged,
                           pipelines=reader().all(Pipeline, Pipeline.archived_at.is_(None), order=Pipeline.position))  # fmt: skip  # noqa: E501


@needs("")
def audit() -> str:
    """Every change: who, what, when, by which way; newest first."""
    _admin_only()
    site = current_site()
    statement = select(change_log).order_by(change_log.c.seq.desc()).limit(AUDIT_PAGE + 1)
    if before := request.args.get("before", type=int):
        statement = statement.where(change_log.c.seq < before)
    if entity := request.args.get("entity", ""):
        statement = statement.where(change_log.c.entity == entity)
    if who := request.args.get("who", "").strip():
        statement = statement.where(change_log.c.actor == who)
    with site.db.read() as connection:
        rows = connection.execute(statement).all()
    return render_template(
        "pages/admin/audit.html", rows=rows[:AUDIT_PAGE], entity=entity, who=who,
        more=rows[AUDIT_PAGE - 1].seq if len(rows) > AUDIT_PAGE else None,
        metas={each.meta.name: each.meta for each in site.entities},
    )  # fmt: skip


@needs("")
def jobs() -> str:
    """Work under way and behind, and what plugins could not be told."""
    _admin_only()
    with current_site().db.read() as connection:
        rows = connection.execute(select(job_table).order_by(job_table.c.created_at.desc()).limit(50)).all()
        dead = connection.execute(select(delivery_table).where(delivery_table.c.state == "dead").limit(50)).all()
        waiting = connection.scalar(
            select(func.count()).select_from(delivery_table).where(delivery_table.c.state == "waiting")
        )
    return render_template("pages/admin/jobs.html", jobs=rows, dead=dead, waiting=waiting)


@needs("")
def tell_again(delivery_id: int) -> Response:
    """Try once more what a plugin could not be told."""
    _admin_only()
    with current_site().db.write() as connection:
        connection.execute(update(delivery_table).where(delivery_table.c.id == delivery_id)
                           .values(state="waiting", attempts=0, due_at=utcnow()))  # fmt: skip
    current_site().wake()
    return go("/admin/jobs")
