"""What every page knows: who looks, in which language, the menu, the assets, and the slots plugins fill."""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import inspect
import json
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit
from uuid import UUID

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    g,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
    session,
)
from flask.blueprints import BlueprintSetupState
from flask_wtf.csrf import CSRFError, CSRFProtect, generate_csrf
from markupsafe import Markup
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Response as BaseResponse

from rapport.access import Actor
from rapport.builtin import BUILTIN
from rapport.builtin.web.design import STATIC, TEMPLATES, Design
from rapport.builtin.web.sign_in import signed_in_actor
from rapport.contributions import Panel
from rapport.entities import Entity, EntityMeta
from rapport.errors import Conflict, Forbidden, Invalid, NotFound, RapportError, Stale, Unavailable
from rapport.http import current_actor, current_site, own_path, public, sign_in_by, way_in
from rapport.i18n.calendars import Calendar
from rapport.i18n.catalogs import LANGUAGES, direction, negotiate
from rapport.i18n.formats import Formats
from rapport.i18n.reading import parse_date
from rapport.i18n.values import use_region
from rapport.records import Reader
from rapport.records.once import SentBefore, SentForm, sent_form

if TYPE_CHECKING:
    from rapport.site import Site


def make_blueprint(*modules: ModuleType) -> Blueprint:
    """The blueprint of all pages; each module adds its own in `add_pages(blueprint)`."""
    web = Blueprint("web", __name__)
    web.add_url_rule("/static/<path:filename>", "static", static_file)
    for module in modules:
        module.add_pages(web)
    web.before_app_request(_choose_language)
    web.before_app_request(_know_form)
    web.teardown_app_request(_close_reader)
    web.teardown_app_request(_fall_silent)
    web.teardown_app_request(_forget_form)
    web.record_once(_prepare_app)
    for kind, handler in (
        (HTTPException, _http_error), (RequestEntityTooLarge, _too_large),
        (CSRFError, _csrf_error), (SentBefore, _sent_before), (NotFound, _not_found), (Forbidden, _forbidden),
        (Stale, _conflict), (Conflict, _conflict), (Invalid, _invalid), (OperationalError, _database_away),
        (Unavailable, _unavailable),
    ):  # fmt: skip
        web.register_error_handler(kind, handler)
        if kind is not RequestEntityTooLarge:  # the pages of plugins, and addresses of nobody
            web.app_errorhandler(kind)(handler)
    return web


@public
def static_file(filename: str) -> BaseResponse:
    """A built script, style or font. Its address changes with its content, so it may be kept for a year."""
    answer = send_from_directory(STATIC, filename, max_age=365 * 24 * 3600)
    answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return answer


def _prepare_app(state: BlueprintSetupState) -> None:
    app = state.app
    site: Site = app.extensions["rapport"]
    design = Design()
    CSRFProtect(app)
    app.config.setdefault("WTF_CSRF_TIME_LIMIT", None)  # as long as the session
    app.config.setdefault("WTF_CSRF_CHECK_DEFAULT", True)
    sign_in_by(app, "/", signed_in_actor)  # type: ignore[arg-type]
    app.extensions["rapport.speak"] = speak
    _use_plugin_templates(app, site)  # type: ignore[arg-type]
    app.jinja_env.globals.update(_=_say, gettext=_say, ngettext=_say_counted)
    app.jinja_env.globals.update(asset=design.asset, icon=design.icon, csrf_token=generate_csrf, slot=slot,
                                 form_key=secrets.token_hex, one_panel=one_panel, written_day=written_day,
                                 fixed=_fixed(app))  # fmt: skip
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.context_processor(_page_facts)


def _fixed(app: Any) -> Callable[[str], Markup]:
    """`fixed()` of templates: a part of every page that depends on the language only is rendered once for each.

    Such parts were half of the work of a small page.
    """

    @functools.cache
    def rendered(name: str, _language: str) -> Markup:
        return Markup(app.jinja_env.get_template(name).render())  # noqa: S704 - rendered by Jinja with autoescape

    return lambda name: rendered(name, g.lang)


def _use_plugin_templates(app: Flask, site: Site) -> None:
    """`sales/open_deals.html` is found in the package of the plugin that has it."""
    import jinja2

    loaders: list[jinja2.BaseLoader] = [jinja2.FileSystemLoader(TEMPLATES)]
    for package in site.packages:
        try:
            loaders.append(jinja2.PackageLoader(package))
        except ValueError:  # a plugin without templates
            continue
    loaders.append(app.create_global_jinja_loader())  # those of blueprints, such as the API's
    app.jinja_env.loader = jinja2.ChoiceLoader(loaders)
    # Compiled once by this user of the machine, not by every process: a third of a second until the first page.
    app.jinja_env.bytecode_cache = jinja2.FileSystemBytecodeCache()


# Forms that are sent twice -------------------------------------------------------------------------------------------

FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}
FORM = "form-key"
"""The hidden control that tells one form from all others, also from the same one on a page that was opened again."""


def _know_form() -> None:
    """With its first unit of work, the form that this request brings has had its effect: see `records.once`.

    What was typed belongs to it: who goes back, types something else and sends it, wants another record.
    """
    is_form = request.method == "POST" and request.mimetype in FORMS  # of another body the view says how much it reads
    named = request.form.get(FORM, "")[:64] if is_form else ""
    sent_form.set(SentForm(f"form#{named}#{_typed()}") if named else None)


def _typed() -> str:
    """All that the request sends, as a hash; but not the token that every page has anew."""
    found = hashlib.sha256(request.full_path.encode())
    for name, text in request.form.items(multi=True):
        if name != "csrf_token":
            found.update(f"\n{len(name)} {len(text)} {name}{text}".encode("utf-8", "surrogatepass"))
    for name, sent in request.files.items(multi=True):
        found.update(f"\n{name} {sent.filename}\n".encode("utf-8", "surrogatepass"))
        for piece in iter(lambda stream=sent.stream: stream.read(1 << 16), b""):  # type: ignore[misc]
            found.update(piece)
        sent.stream.seek(0)
    return found.hexdigest()


def _forget_form(_error: BaseException | None) -> None:
    sent_form.set(None)


def _sent_before(error: SentBefore) -> BaseResponse:
    """The button was pressed twice, or the page loaded again: on to where the first press led."""
    if way_in(request.path) != "/":
        return redirect(request.path, 303)
    name, _slash, record_id = error.record.partition("/")
    if name not in current_site().entities:
        return go(f"/{error.record}")
    try:
        with current_site().read(current_actor()) as now:  # the page's own reader may have begun before the first press
            return go(after(now.get(current_site().entities[name], UUID(record_id))))
    except NotFound:  # gone meanwhile, or out of reach
        return go(own_path(request.values.get("back", ""), came_from("/")))


# Facts ---------------------------------------------------------------------------------------------------------------


def _choose_language() -> None:
    chosen = session.get("lang") if way_in(request.path) == "/" else None
    _speak(negotiate(request.headers.get("Accept-Language", ""), chosen))


def speak(actor: Actor) -> None:
    """From here on the request speaks the actor's language."""
    if actor.language in LANGUAGES and actor.language != g.lang:
        _speak(actor.language)


def speak_to(language: str) -> None:
    """From here on the request speaks a customer's language, if it is one of ours."""
    if language in LANGUAGES and language != g.lang:
        _speak(language)


def _speak(lang: str) -> None:
    """Until the request ends, speak this language, and read phone numbers as those of the site's country."""
    _fall_silent(None)
    site, g.lang, g.speaking = current_site(), lang, ExitStack()
    g.texts = g.speaking.enter_context(site.speaking(lang))
    g.speaking.enter_context(use_region(site.config.country or None))


def _say(text: str, /, **values: Any) -> str:
    """`_()` of templates. What it says is escaped like any text: stages and roles are named by people."""
    said: str = g.texts.gettext(str(text), **values)
    return said


def _say_counted(one: str, many: str, n: int, /, **values: Any) -> str:
    said: str = g.texts.ngettext(one, many, n, **values)
    return said


def _fall_silent(_error: BaseException | None) -> None:
    if "speaking" in g:
        g.pop("speaking").close()


def formats() -> Formats:
    """How dates, numbers and amounts are written for the person who looks."""
    if "formats" not in g:
        actor: Actor | None = g.get("actor")
        g.formats = Formats(g.lang, actor.time_zone, calendar_of(actor)) if actor else Formats(g.lang)
    made: Formats = g.formats
    return made


def calendar_of(actor: Actor) -> Calendar | None:
    """The calendar somebody chose; None: the usual one of their language."""
    return cast("Calendar", actor.calendar) if actor.calendar else None


def written_day(kind: str, value: str | None) -> dict[str, str] | None:
    """How a date or moment is typed by people with another calendar than the browser's: an example, and the same day in the other."""  # noqa: E501
    own = formats()
    if own.calendar == "gregorian":
        return None
    today = own.date(own.here(dt.datetime.now(dt.UTC)).date(), "short")
    example = today if kind == "date" else f"{today} {own.number(14).zfill(2)}:{own.number(30)}"
    return {"example": example, "other": other_day(value)}


def other_day(value: str | None) -> str:
    """A typed day in the calendar of the rest of the world, as a check; empty when it cannot be read."""
    own = formats()
    for text in ((value or "").strip(), (value or "").strip().rpartition(" ")[0]):
        try:
            return own.date(parse_date(text, g.lang, own.calendar), "full", "gregorian")
        except ValueError:
            continue
    return ""


def meta_of(record: Entity | type[Entity]) -> EntityMeta:
    """What this site knows of a kind of record, or of a record's kind."""
    return current_site().meta(record if isinstance(record, type) else type(record))


def reader() -> Reader:
    """The signed-in person's reader, one for the whole request."""
    if "reader" not in g:
        g.reader = current_site().read(current_actor())
    made: Reader = g.reader
    return made


def _close_reader(_error: BaseException | None) -> None:
    if "reader" in g:
        g.pop("reader").close()


def _page_facts() -> dict[str, Any]:
    actor: Actor | None = g.get("actor")
    staff = way_in(request.path) == "/"  # pages of another way in have a shell of their own
    facts: dict[str, Any] = {
        "lang": g.lang,
        "dir": direction(g.lang),
        "theme": request.cookies.get("theme") if request.cookies.get("theme") in {"light", "dark"} else "auto",
        "user": actor,
        "languages": [{"code": each.code, "title": each.name} for each in LANGUAGES.values()],
        "formats": formats(),
        "toasts": _kept_toasts() if staff else [],
        "navigation": [],
        "quick_create": [],
        "user_menu": [],
        "site_name": current_site().settings.get("core.name"),
    }
    if actor is not None and staff:
        if "shell" not in g:  # once for a page: each of its panels is a template too
            g.shell = {"navigation": _navigation(actor), "quick_create": _quick_create(actor)}
        facts |= g.shell
    return facts


_SETTINGS = frozenset({"user", "team", "webhook", "inbound_hook"})
"""Kinds of records that administrators reach through the settings."""


def _navigation(actor: Actor) -> list[dict[str, Any]]:
    site, path, text = current_site(), request.path, g.texts.gettext
    items: list[dict[str, Any]] = [{"title": text("Home"), "icon": "home", "url": "/", "active": path == "/"}]
    items += _overviews(actor, path)
    groups: dict[str, list[dict[str, Any]]] = {}
    for entity in site.entities:
        meta = meta_of(entity)
        if not meta.listed or not actor.may(meta.permission("read")):
            continue
        if meta.name in {"user", "team"} or (meta.name in _SETTINGS and actor.is_admin):
            continue
        url = f"/{meta.name}"
        active = path == url or path.startswith(url + "/")
        owner = site.entities.owner(meta.name)
        groups.setdefault(owner, []).append(
            {"title": text(meta.plural), "icon": meta.icon, "url": url, "active": active, "children": []}
        )
    extra = sorted((item for item in site.navigation if not item.instead_of), key=lambda item: item.order)
    for owner, entries in groups.items():
        if owner not in BUILTIN:
            title = text("More") if owner == "custom" else text(owner.replace("_", " ").capitalize())
            items.append({"title": title, "url": "", "icon": "", "children": []})
        items += entries
        items += [
            _nav_item(item, path) for item in extra if site.navigation.owner(item.url) == owner and _may(actor, item)
        ]
    rest = [item for item in extra if site.navigation.owner(item.url) not in groups and _may(actor, item)]
    items += [_nav_item(item, path) for item in rest]
    if actor.is_admin:
        items.append({"title": text("Administration"), "url": "", "icon": "", "children": []})
        items.append(
            {"title": text("Settings"), "icon": "settings", "url": "/admin", "active": path.startswith("/admin"),
             "children": []}
        )  # fmt: skip
    return items


def _overviews(actor: Actor, path: str) -> list[dict[str, Any]]:
    """Pages that are there once somebody has something to show on them."""
    text, items = g.texts.gettext, []
    instead = [item for item in current_site().navigation if item.instead_of == "/dashboard" and _may(actor, item)]
    if instead:
        items += [_nav_item(item, path) for item in instead]
    elif panels_of("dashboard"):
        items.append(
            {"title": text("Dashboard"), "icon": "dashboard", "url": "/dashboard", "active": path == "/dashboard"}
        )
    if any(_may(actor, report) for report in current_site().reports):
        active = path == "/reports" or path.startswith("/reports/")
        items.append({"title": text("Reports"), "icon": "report", "url": "/reports", "active": active})
    return items


def _may(actor: Actor, item: Any) -> bool:
    return item.needs is None or actor.may(item.needs)


def _nav_item(item: Any, path: str) -> dict[str, Any]:
    active = path == item.url or bool(item.instead_of and path.startswith(f"{item.url}/"))
    return {"title": g.texts.gettext(item.title), "icon": item.icon, "url": item.url, "active": active,
            "children": []}  # fmt: skip


def _quick_create(actor: Actor) -> list[dict[str, str]]:
    return [
        {
            "title": g.texts.gettext(meta_of(entity).title),
            "url": f"/{entity.meta.name}/new",
            "icon": meta_of(entity).icon,
        }
        for entity in current_site().entities
        if entity.meta.listed and entity.meta.name not in _SETTINGS and actor.may(entity.meta.permission("create"))
    ]


def slot(name: str, **facts: Any) -> Markup:
    """What plugins show at a place. A panel that fails leaves a placeholder; the page stands."""
    return Markup("").join(show_panel(panel, facts) for panel in panels_of(name))


def one_panel(name: str) -> Markup:
    """One piece of a place that gives no facts, by its name, for a page that people put together themselves."""
    found = (panel for panel in panels_of(name.partition(":")[0]) if panel.name == name)
    return Markup("").join(show_panel(panel, {}) for panel in found)


def panels_of(name: str) -> list[Panel]:
    """The panels at a place that the person who looks may see, in order."""
    actor: Actor | None = g.get("actor")
    if actor is None:
        return []
    return [each for each in current_site().panels_at.get(name, ()) if _may(actor, each) and _has_role(actor, each)]


def _has_role(actor: Actor, panel: Panel) -> bool:
    return not panel.roles or actor.is_admin or not actor.roles.isdisjoint(panel.roles)


def show_panel(panel: Panel, facts: Mapping[str, Any]) -> Markup:
    """One panel, or the placeholder that says whose it is when it fails."""

    def shown() -> str:
        gathered = dict(panel.facts(reader(), **_taken(panel.facts, facts))) if panel.facts is not None else {}
        return render_template(panel.template, panel=panel, **{**facts, **gathered})

    return show_piece(current_site().panels.owner(panel.name), f"panel {panel.name}", panel.title, shown)


def show_piece(owner: str, what: str, title: str, render: Callable[[], str]) -> Markup:
    """A piece of a page that a plugin has a hand in, rendered by us; when it fails, a card under its title says whose."""  # noqa: E501
    found: str | None = current_site().hooks.shielded(owner, what, render, None)
    if found is None:
        if "reader" in g:
            reader().recover()
        found = render_template("pages/_broken_panel.html", title=title, plugin=owner)
    return Markup(found)  # noqa: S704 - rendered by Jinja with autoescape


def _taken(function: Callable[..., Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Those facts of a slot that a panel asks for by name, so that a slot may get more of them one day."""
    wanted = _parameters(function)
    return {name: value for name, value in facts.items() if wanted is None or name in wanted}


@functools.lru_cache(maxsize=1024)
def _parameters(function: Callable[..., Any]) -> frozenset[str] | None:
    """The names a function takes; None for one that takes whatever there is."""
    every = inspect.signature(function).parameters.values()
    return None if any(each.kind is each.VAR_KEYWORD for each in every) else frozenset(each.name for each in every)


# Answers -------------------------------------------------------------------------------------------------------------


def toast(message: str, tone: str = "success", *, undo: str = "") -> None:
    """Say something on the next page that is shown; `undo` is where a click takes it back."""
    said = {"message": message, "tone": tone}
    if undo:
        said |= {"action": g.texts.gettext("Undo"), "url": undo}
    session.setdefault("toasts", []).append(said)
    session.modified = True


def _kept_toasts() -> list[dict[str, str]]:
    return session.pop("toasts", []) if session.get("toasts") else []


def is_htmx() -> bool:
    """Whether a piece of a page is asked for, not a page."""
    return request.headers.get("HX-Request") == "true"


def go(url: str) -> BaseResponse:
    """Send the browser to another page, also from within htmx."""
    if is_htmx():
        answer = make_response("", 200)
        answer.headers["HX-Redirect"] = url
        return answer
    return redirect(url)


def after(record: Any) -> str:
    """Where a saved form leads: back to where it was opened from, else to the record."""
    if back := own_path(request.values.get("back", ""), ""):
        return back
    if not record.meta.listed:
        for parent in meta_of(record).parents:
            return f"/{parent.target}/{getattr(record, parent.name)}"
    return f"/{record.meta.name}/{record.id}"


def came_from(otherwise: str) -> str:
    """The page of ours that an htmx request was sent from."""
    parts = urlsplit(request.headers.get("HX-Current-URL") or request.referrer or "")
    return own_path(parts.path + (f"?{parts.query}" if parts.query else ""), otherwise)


def done(message: str, *, status: int = 204, body: str = "", **extra: Any) -> Response:
    """Answer an htmx request with a message and, if given, new content."""
    answer = make_response(body, status if not body else 200)
    answer.headers["HX-Trigger"] = json.dumps({"toast": {"message": message, **extra}})
    return answer


def problem(message: str, status: int) -> BaseResponse:
    """An error as htmx's toast, or as a page."""
    if is_htmx():
        answer = make_response(json.dumps({"title": message, "detail": message, "status": status}), status)
        answer.content_type = "application/problem+json"
        return answer
    template = "pages/error.html" if "actor" in g else "pages/error_bare.html"
    return make_response(render_template(template, message=message, status=status), status)


def _http_error(error: HTTPException) -> BaseResponse:
    texts = {404: g.texts.gettext("There is no such page."), 405: g.texts.gettext("That cannot be done here.")}
    return problem(texts.get(error.code or 500, error.description or str(error)), error.code or 500)


def _too_large(_error: RequestEntityTooLarge) -> BaseResponse:
    limit = current_site().config.max_upload_mb
    return problem(g.texts.gettext("That is too large: at most %(limit)s MB can be sent at once.", limit=limit), 413)


def _csrf_error(_error: CSRFError) -> BaseResponse:
    return problem(g.texts.gettext("This page was open for too long. Load it again and repeat what you did."), 400)


def _not_found(error: NotFound) -> BaseResponse:
    return problem(str(error), 404)


def _forbidden(error: Forbidden) -> BaseResponse:
    return problem(str(error), 403)


def _conflict(error: RapportError) -> BaseResponse:
    return problem(str(error), 409)


def _invalid(error: Invalid) -> BaseResponse:
    return problem(str(error), 400 if not is_htmx() else 409)


def _unavailable(error: Unavailable) -> BaseResponse:
    answer = problem(str(error), 503)
    answer.headers["Retry-After"] = "2"
    return answer


def _database_away(error: OperationalError) -> BaseResponse:
    current_app.logger.error("the database did not answer: %s", error)
    answer = problem(g.texts.gettext("The database is busy. Try again in a moment."), 503)
    answer.headers["Retry-After"] = "2"
    return answer
