"""Administration: modules, users, roles, settings, pipelines, the audit, and how the site is doing."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, abort, g, render_template, request
from sqlalchemy import ColumnElement, select
from werkzeug.wrappers import Response

from rapport import lifecycle
from rapport.access import Membership, Role, Team, User, UserRole
from rapport.access.actors import BUILTIN_ROLES, REACHES
from rapport.access.service import create_user, deactivate, remove_role
from rapport.builtin.web import forms
from rapport.builtin.web.context import go, meta_of, reader, toast
from rapport.builtin.web.present import logged_titles, logged_value
from rapport.builtin.web.sign_in import reset_link
from rapport.errors import Conflict, Forbidden, Invalid, Problem, RapportError
from rapport.http import current_actor, current_site, needs
from rapport.plugins import dependants, dependencies
from rapport.query.paging import bounded_count
from rapport.records.log import change_log, kind_logged
from rapport.settings import field_of_setting

AUDIT_PAGE = 100
FEW_CHANGES = 10_000
"""So many changes of a kind are found by the index and sorted for a page of them. Of more, the log is gone along:
SQLite would read and sort all of a common kind."""


def add_pages(web: Blueprint) -> None:
    """The pages of administrators."""
    for path, view, methods in (
        ("/admin", overview, ["GET"]),
        ("/admin/modules", modules, ["GET"]),
        ("/admin/modules/<plugin>", module, ["GET"]),
        ("/admin/modules/<plugin>/<verb>", switch_module, ["POST"]),
        ("/admin/users", users, ["GET"]),
        ("/admin/users/new", new_user, ["GET", "POST"]),
        ("/admin/users/<uuid:user_id>", edit_user, ["GET", "POST"]),
        ("/admin/users/<uuid:user_id>/deactivate", deactivate_user, ["POST"]),
        ("/admin/users/<uuid:user_id>/link", user_link, ["POST"]),
        ("/admin/users/<uuid:user_id>/reactivate", reactivate_user, ["POST"]),
        ("/admin/users/<uuid:user_id>/second-factor", drop_second_factor, ["POST"]),
        ("/admin/teams", teams, ["GET"]),
        ("/admin/teams/new", edit_team, ["GET", "POST"]),
        ("/admin/teams/<uuid:team_id>", edit_team, ["GET", "POST"]),
        ("/admin/teams/<uuid:team_id>/archive", archive_team, ["POST"]),
        ("/admin/roles", roles, ["GET", "POST"]),
        ("/admin/settings", settings, ["GET", "POST"]),
        ("/admin/audit", audit, ["GET"]),
    ):
        web.add_url_rule(path, view_func=view, methods=methods)


def admin_only() -> None:
    """Refuse everybody else."""
    if not current_actor().is_admin:
        raise Forbidden("admin", g.texts.gettext("Only administrators may do this."))


@needs("")
def overview() -> str:
    """Where everything is."""
    admin_only()
    return render_template("pages/admin/overview.html", troubled=[
        plugin for plugin in current_site().plugins.values() if plugin.reason or plugin.troubled_bridges])  # fmt: skip


@needs("")
def modules() -> str:
    """What is installed, what is on, and what is wrong with what is not well."""
    admin_only()
    return render_template("pages/admin/modules.html", plugins=current_site().plugins.values())


@needs("")
def module(plugin: str) -> str:
    """One module: how it fares, what it needs and who needs it, and its data."""
    admin_only()
    return _module_page(plugin, {})


def _module_page(name: str, errors: Mapping[str, list[str]]) -> str:
    plugins = current_site().plugins
    if name not in plugins:
        abort(404)
    installed = {each.name: each.info for each in plugins.values() if each.info.module}
    needed_by = dependants(name, installed)
    with current_site().db.read() as connection:
        counts = lifecycle.table_counts(connection, name)
    return render_template(
        "pages/admin/module.html", plugin=plugins[name], counts=counts, errors=errors, needed_by=needed_by,
        needs=dependencies(plugins[name].info, installed), on_with_it=[x for x in needed_by if plugins[x].enabled],
    )  # fmt: skip


@needs("")
def switch_module(plugin: str, verb: str) -> Response | tuple[str, int]:
    """Switch a module on or off, bring its tables up to date, or delete its data. Every worker follows in a second."""
    admin_only()
    config = current_site().config
    try:
        if verb == "enable":
            names = lifecycle.enable(config, plugin)
            toast(g.texts.gettext("Switched on: %(names)s", names=", ".join(names)))
        elif verb == "disable":
            names = lifecycle.disable(config, plugin, with_dependants=True)
            toast(g.texts.gettext("Switched off: %(names)s. The data is kept.", names=", ".join(names)))
        elif verb == "upgrade":
            lifecycle.upgrade(config, plugin)
            toast(g.texts.gettext("“%(name)s” is up to date.", name=plugin))
        elif verb == "purge":
            if request.form.get("name", "").strip() != plugin:
                wrong = g.texts.gettext("This is not the module’s name, so nothing was deleted.")
                return _module_page(plugin, {"name": [wrong]}), 422
            with current_site().db.read() as connection:
                lifecycle.check_purge(connection, plugin, lifecycle.table_counts(connection, plugin))
            folder = lifecycle.export_tables(config, plugin)
            deleted = lifecycle.purge(config, plugin)
            toast(g.texts.gettext("Deleted: %(count)s rows. The export is in %(folder)s",
                                  count=sum(deleted.values()), folder=folder))  # fmt: skip
        else:
            abort(404)
    except RapportError as error:
        toast(str(error), "danger")
    return go("/admin/modules")


@needs("")
def users() -> str:
    """Everybody who can sign in."""
    admin_only()
    everybody = reader().all(User, order=User.name, limit=500)
    held: dict[UUID, list[str]] = {}
    for each in reader().all(UserRole, limit=5000):
        held.setdefault(each.user_id, []).append(each.role)
    return render_template("pages/admin/users.html", users=everybody, held=held)


@needs("")
def new_user() -> str | Response | tuple[str, int]:
    """Add somebody; they get a link to set their password."""
    admin_only()
    errors: Mapping[str, list[str]] = {}
    if request.method == "POST":
        try:
            with current_site().write(current_actor()) as unit:
                user = create_user(
                    unit, name=request.form.get("name", ""), email=request.form.get("email", ""),
                    roles=_chosen_roles(), language=request.form.get("language") or "en",
                    teams=[unit.get(Team, each) for each in _chosen("teams")],
                )  # fmt: skip
            toast(g.texts.gettext("“%(name)s” is added. Send them the link to set a password.", name=user.name))
            return go(f"/admin/users/{user.id}")
        except Invalid as error:
            errors = forms.errors_by_field(error.problems)
        except RapportError as error:
            errors = {"email": [str(error)]}
    return _user_page(None, errors), 422 if errors else 200


def _chosen(name: str) -> list[UUID]:
    """The records that are ticked in a form; 400 for what our own forms never send."""
    try:
        return [UUID(each) for each in request.form.getlist(name)]
    except ValueError:
        abort(400)


def _chosen_roles() -> list[str]:
    known = role_names()
    return [role for role in request.form.getlist("roles") if role in known] or ["member"]


def role_names() -> dict[str, str]:
    """Every role with its title: built in, brought by plugins, made by an administrator."""
    names = {name: g.texts.gettext(title) for name, title in BUILTIN_ROLES.items()}
    names |= {name: name for name in current_site().grants if name not in names}
    made = [role for role in reader().all(Role) if role.name not in names]
    names |= {role.name: g.texts.gettext(role.title) if role.title else role.name for role in made}
    return names


def _user_page(user: User | None, errors: Mapping[str, list[str]], link: str = "") -> str:
    held = {r.role for r in reader().all(UserRole, UserRole.user_id == user.id)} if user else {"member"}
    teams_of = {m.team_id for m in reader().all(Membership, Membership.user_id == user.id)} if user else set()
    typed = request.form if request.method == "POST" else {}
    return render_template(
        "pages/admin/user.html", person=user, errors=errors, roles=role_names(), held=held, link=link, typed=typed,
        teams=reader().all(Team, Team.archived_at.is_(None), order=Team.name), teams_of=teams_of,
        languages_field=meta_of(User).fields["language"],
    )  # fmt: skip


@needs("")
def edit_user(user_id: UUID) -> str | Response | tuple[str, int]:
    """Change somebody's name, roles and teams."""
    admin_only()
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
            teams = set(_chosen("teams"))
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
    admin_only()
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
    admin_only()
    user = reader().get(User, user_id)
    return _user_page(user, {}, reset_link(current_site(), user))


@needs("")
def reactivate_user(user_id: UUID) -> Response:
    """Let somebody sign in again, with the roles and the password they had."""
    admin_only()
    with current_site().write(current_actor()) as unit:
        person = unit.get(User, user_id)
        unit.update(person, {"active": True})
    toast(g.texts.gettext("“%(name)s” can sign in again.", name=person.name))
    return go(f"/admin/users/{user_id}")


@needs("")
def drop_second_factor(user_id: UUID) -> Response:
    """Whoever lost the telephone with the codes signs in with the password alone, until they set it up anew."""
    admin_only()
    with current_site().write(current_actor()) as unit:
        person = unit.get(User, user_id)
        person.totp_secret = ""
    toast(g.texts.gettext("Signing in asks “%(name)s” for no code any more.", name=person.name))
    return go(f"/admin/users/{user_id}")


@needs("")
def teams() -> str:
    """Who works together."""
    admin_only()
    names = {user.id: user.name for user in reader().all(User, User.active.is_(True), order=User.name)}
    members: dict[UUID, list[str]] = {}
    for each in reader().all(Membership, limit=10_000):
        if each.user_id in names:
            members.setdefault(each.team_id, []).append(names[each.user_id])
    found = reader().all(Team, Team.archived_at.is_(None), order=Team.name)
    return render_template("pages/admin/teams.html", teams=found, members=members)


@needs("")
def edit_team(team_id: UUID | None = None) -> str | Response | tuple[str, int]:
    """A team's name, and who is in it."""
    admin_only()
    team = reader().get(Team, team_id) if team_id else None
    mine = reader().all(Membership, Membership.team_id == team_id) if team_id else []
    errors: Mapping[str, list[str]] = {}
    if request.method == "POST":
        try:
            with current_site().write(current_actor()) as unit:
                values = {"name": request.form.get("name", "")}
                saved = unit.update(unit.get(Team, team.id), values) if team else unit.create(Team, values)
                wanted = set(_chosen("members"))
                for each in mine:
                    if each.user_id not in wanted:
                        unit.delete(unit.get(Membership, each.id))
                for user_id in wanted - {each.user_id for each in mine}:
                    unit.create(Membership, {"user_id": str(user_id), "team_id": str(saved.id)})
            toast(g.texts.gettext("“%(name)s” is saved.") % {"name": saved.name})
            return go("/admin/teams")
        except Invalid as error:
            errors = forms.errors_by_field(error.problems)
        except Conflict as error:
            errors = {error.field or "": [str(error)]}
    held = set(request.form.getlist("members")) if errors else {str(each.user_id) for each in mine}
    people = reader().all(User, User.active.is_(True), User.archived_at.is_(None), order=User.name)
    page = render_template("pages/admin/team.html", team=team, people=people, held=held, errors=errors,
                           name=request.form.get("name", team.name if team else ""))  # fmt: skip
    return page, 422 if errors else 200


@needs("")
def archive_team(team_id: UUID) -> Response:
    """A team that is no more; records that were the team's keep saying so."""
    admin_only()
    with current_site().write(current_actor()) as unit:
        team = unit.get(Team, team_id)
        unit.archive(team)
    toast(g.texts.gettext("“%(name)s” is archived.") % {"name": team.name})
    return go("/admin/teams")


@needs("")
def roles() -> str | Response:
    """Who may do what: for each role and kind of record, nothing, one's own, the team's, or all."""
    admin_only()
    site = current_site()
    name = request.values.get("role", "member")
    entities = [meta_of(entity) for entity in site.entities if entity.meta.listed or meta_of(entity).roles]
    defaults = site.grants.get(name, {})
    decided = next(iter(reader().all(Role, Role.name == name)), None)
    if request.method == "POST":
        if name == "admin" or not name.isidentifier():
            raise Invalid(Problem(None, g.texts.gettext("A role is named by letters, digits and underscores.")))
        grants: dict[str, str | None] = {}
        for meta in entities:
            for action in meta.actions:
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
    return render_template("pages/admin/roles.html", role=name, roles=role_names(), metas=entities, effective=effective,
                           title=decided.title if decided else "",
                           verbs={name: label for meta in entities for name, label in meta.verbs.items()})  # fmt: skip


@needs("")
def settings() -> str | Response | tuple[str, int]:
    """What counts for the whole site."""
    admin_only()
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
def audit() -> str:
    """Every change: who, what, when, by which way; newest first."""
    admin_only()
    site = current_site()
    statement = select(change_log)
    order: ColumnElement[int] = change_log.c.seq
    asked = {key: request.args.get(key, "").strip() for key in ("entity", "who", "via", "action")}
    for key, column in (("via", change_log.c.via), ("action", change_log.c.action)):
        if asked[key]:
            statement = statement.where(column == asked[key])
    if asked["who"]:
        statement = statement.where(change_log.c.actor.icontains(asked["who"], autoescape=True))
    if before := request.args.get("before", type=int):
        statement = statement.where(change_log.c.seq < before)
    with site.db.read() as connection:
        if kind := asked["entity"]:
            known: ColumnElement[str] = change_log.c.entity
            if connection.dialect.name == "sqlite":  # PostgreSQL knows by itself how common a kind is
                _count, few = bounded_count(connection, select(change_log.c.seq).where(known == kind), FEW_CHANGES)
                known = known if few else kind_logged()
                order = order + 0 if few else order  # said so that the index of kinds serves, not the way back
            statement = statement.where(known == kind)
        rows = connection.execute(statement.order_by(order.desc()).limit(AUDIT_PAGE + 1)).all()
    shown = rows[:AUDIT_PAGE]
    older = {**asked, "before": shown[-1].seq} if len(rows) > AUDIT_PAGE else None
    return render_template(
        "pages/admin/audit.html", rows=shown, asked=asked, changes=_changes_of(shown), titles=_titles_of(shown),
        older=f"/admin/audit?{urlencode(older)}" if older else "",
        metas={each.meta.name: meta_of(each) for each in site.entities},
    )  # fmt: skip


def _changes_of(rows: Sequence[Any]) -> dict[int, list[tuple[str, str, str]]]:
    """What each entry of the log changed, as people read it: field, before, after."""
    fields = {each.meta.name: meta_of(each).fields for each in current_site().entities}
    known = {
        row.seq: [(field, pair) for name, pair in row.changes.items()
                  if (field := fields.get(row.entity, {}).get(name)) is not None and not field.secret]
        for row in rows
    }  # fmt: skip
    titles = logged_titles([each for pairs in known.values() for each in pairs])
    read = functools.partial(logged_value, titles=titles)
    return {
        seq: [
            (g.texts.gettext(field.label), read(field, before), read(field, after)) for field, (before, after) in pairs
        ]
        for seq, pairs in known.items()
    }


def _titles_of(rows: Sequence[Any]) -> dict[UUID, str]:
    """What the records of log entries are called now; those that are gone are not among them."""
    wanted: dict[str, set[UUID]] = {}
    for row in rows:
        wanted.setdefault(row.entity, set()).add(row.record_id)
    titles: dict[UUID, str] = {}
    for entity in current_site().entities:
        if ids := wanted.get(entity.meta.name):
            titles |= reader().titles(entity, ids)
    return titles
