"""Signing in and out, the second factor, and a new password for those who forgot theirs."""

from __future__ import annotations

import secrets
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, current_app, g, redirect, render_template, request, session
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from werkzeug.wrappers import Response as BaseResponse

from rapport.access import Actor, User, system
from rapport.access.service import (
    end_sessions,
    find_user,
    forget_failures,
    note_failure,
    set_password,
    too_many_tries,
    totp_matches,
)
from rapport.contributions import Job
from rapport.entities import table_of
from rapport.errors import Invalid, Stale
from rapport.http import current_site, own_path, public
from rapport.i18n.catalogs import _
from rapport.jobs import JobContext, enqueue_job
from rapport.mail import send_mail

RESET_SECONDS = 2 * 3600


def add_pages(web: Blueprint) -> None:
    """The pages that anybody may open."""
    web.add_url_rule("/sign-in", view_func=sign_in, methods=["GET", "POST"])
    web.add_url_rule("/sign-in/code", view_func=second_factor, methods=["GET", "POST"])
    web.add_url_rule("/sign-out", view_func=sign_out, methods=["POST"])
    web.add_url_rule("/forgotten", view_func=forgotten, methods=["GET", "POST"])
    web.add_url_rule("/reset/<token>", view_func=reset, methods=["GET", "POST"])
    web.add_url_rule("/language", view_func=language, methods=["POST"])


def signed_in_actor() -> Actor | Response:
    """The actor of the session, or the way to the sign-in page. A session ends when the user's stamp changes."""
    from rapport.builtin.web.context import speak

    site = current_site()
    user_id, stamp = session.get("user"), session.get("stamp")
    if isinstance(user_id, str) and isinstance(stamp, str):
        actor = site.remembered(("session", user_id, stamp), lambda c: _actor_of_session(c, user_id, stamp))
        if actor is not None:
            speak(actor)
            return actor
        session.clear()
    if request.headers.get("HX-Request") == "true" or request.method != "GET":
        return Response("", 401, {"HX-Redirect": "/sign-in"})
    target = request.full_path.rstrip("?") if request.path != "/" else ""
    answer = redirect("/sign-in" if not target else f"/sign-in?next={_quoted(target)}")
    return Response(answer.get_data(), 302, answer.headers)


def _actor_of_session(connection: Any, user_id: str, stamp: str) -> Actor | None:
    from rapport.access.service import load_actor

    users = table_of(User)
    kept = connection.scalar(users.select().with_only_columns(users.c.stamp).where(users.c.id == UUID(user_id)))
    if kept is None or not secrets.compare_digest(kept, stamp):
        return None
    return load_actor(connection, UUID(user_id), current_site().grants)


def _quoted(target: str) -> str:
    from urllib.parse import quote

    return quote(target, safe="")


def _safe_next() -> str:
    """Where to go after signing in: only a path of this site."""
    return own_path(request.values.get("next", ""), "/")


@public
def sign_in() -> BaseResponse | str | tuple[str, int]:
    """Ask for address and password. Wrong address and wrong password look, and take, the same."""
    if request.method == "GET":
        return render_template("pages/sign_in.html", next=_safe_next(), email="", errors=[])
    site = current_site()
    email, password = request.form.get("email", "").strip().lower(), request.form.get("password", "")
    keys = [f"email:{email[:320]}", f"ip:{request.remote_addr}"]
    with site.db.read() as connection:
        blocked = too_many_tries(connection, keys)
        user = None if blocked else find_user(connection, email)
    if blocked:
        return _again(email, g.texts.gettext("Too many tries. Wait ten minutes, or set a new password."), 429)
    matches = site.passwords.matches(password, user.password_hash if user is not None else "")
    if not matches or user is None:
        with site.db.write() as connection:
            note_failure(connection, keys)
        return _again(email, g.texts.gettext("E-mail or password is wrong."), 422)
    if user.totp_secret:
        session.clear()
        session["half"] = [str(user.id), user.stamp]
        return redirect(f"/sign-in/code?next={_quoted(_safe_next())}")
    return _enter(user)


def _again(email: str, error: str, status: int) -> tuple[str, int]:
    return render_template("pages/sign_in.html", next=_safe_next(), email=email, errors=[error]), status


@public
def second_factor() -> BaseResponse | str | tuple[str, int]:
    """Ask for the six digits of the authenticator app."""
    half = session.get("half")
    if not isinstance(half, list):
        return redirect("/sign-in")
    if request.method == "GET":
        return render_template("pages/code.html", next=_safe_next(), errors=[])
    site = current_site()
    key = f"code:{half[0]}"
    users = table_of(User)
    with site.db.read() as connection:
        user = connection.execute(users.select().where(users.c.id == UUID(half[0]), users.c.active)).one_or_none()
        blocked = too_many_tries(connection, [key])
    if user is None or user.stamp != half[1] or blocked:
        session.clear()
        return redirect("/sign-in")
    if not totp_matches(user.totp_secret, request.form.get("code", "")):
        with site.db.write() as connection:
            note_failure(connection, [key])
        return render_template(
            "pages/code.html", next=_safe_next(), errors=[g.texts.gettext("The code is wrong.")]
        ), 422
    return _enter(user)


def _enter(user: Any) -> BaseResponse:
    """A new session: nothing of the one before is kept, so that it cannot have been planted."""
    with current_site().db.write() as connection:
        forget_failures(connection, f"email:{user.email}")
    target = _safe_next()
    session.clear()
    session.permanent = True
    session["user"], session["stamp"] = str(user.id), user.stamp
    return redirect(target)


@public
def sign_out() -> BaseResponse:
    """End one's sessions, here and wherever else: a copy of the cookie is worth nothing from now on."""
    actor = signed_in_actor() if "user" in session else None
    if isinstance(actor, Actor) and actor.id is not None:
        with current_site().write(system("sign out").through("web")) as unit:
            end_sessions(unit, unit.get(User, actor.id))
    session.clear()
    return redirect("/sign-in")


@public
def language() -> BaseResponse:
    """Choose the language: of this session, and of the user who is signed in."""
    from rapport.i18n.catalogs import LANGUAGES

    chosen = request.form.get("lang", "")
    if chosen in LANGUAGES:
        session["lang"] = chosen
        actor = signed_in_actor() if "user" in session else None
        if isinstance(actor, Actor) and actor.id is not None:
            with current_site().write(system("language chosen").through("web")) as unit:
                unit.update(unit.get(User, actor.id), {"language": chosen})
    target = request.referrer or "/"
    return redirect(target if target.startswith(request.host_url) else "/")


@public
def forgotten() -> str:
    """Send a reset link, if there is such a user; the answer does not tell."""
    if request.method == "GET":
        return render_template("pages/forgotten.html", sent=False)
    site, email = current_site(), request.form.get("email", "").strip().lower()[:320]
    keys = [f"reset:{email}", f"ip-reset:{request.remote_addr}"]
    with site.db.write() as connection:  # a job looks for the user, so that the time tells nothing either
        if not too_many_tries(connection, keys):
            enqueue_job(connection, RESET_JOB.name, {"email": email}, actor=system("password reset"))
        note_failure(connection, keys)
    site.wake()
    return render_template("pages/forgotten.html", sent=True)


def mail_reset_link(context: JobContext, *, email: str) -> None:
    """The job behind the page: mail a link to the user with this address, if there is one."""
    site = context.site
    with site.db.read() as connection:
        user = find_user(connection, email)
    if user is None:
        return
    with site.speaking(user.language):
        text = _("To set a new password for Rapport, open this link within two hours:\n\n%(link)s\n\n"
                 "If you did not ask for it, do nothing.", link=reset_link(site, user))  # fmt: skip
        send_mail(site, to=user.email, subject=_("A new password for Rapport"), text=text)


RESET_JOB = Job("web.reset", "Mail a link for a new password", mail_reset_link)


def reset_link(site: Any, user: Any) -> str:
    """A link that lets this user set a new password once."""
    return f"{site.config.base_url.rstrip('/')}/reset/{_serializer(site).dumps([str(user.id), user.stamp])}"


def _serializer(site: Any) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(site.config.secret_key, salt="password-reset")


@public
def reset(token: str) -> BaseResponse | str | tuple[str, int]:
    """Set a new password by a link. The link carries the user's stamp, which the new password changes."""
    site, users = current_site(), table_of(User)
    try:
        user_id, stamp = _serializer(site).loads(token, max_age=RESET_SECONDS)
    except (BadSignature, SignatureExpired, ValueError):
        user_id, stamp = None, ""
    user = None
    if user_id is not None:
        with site.db.read() as connection:
            user = connection.execute(users.select().where(users.c.id == UUID(user_id), users.c.active)).one_or_none()
    if user is None or user.stamp != stamp:
        return render_template("pages/reset.html", errors=[], expired=True), 410
    if request.method == "GET":
        return render_template("pages/reset.html", errors=[], expired=False)
    if request.form.get("password") != request.form.get("again"):
        errors = [g.texts.gettext("The two passwords differ.")]
        return render_template("pages/reset.html", errors=errors, expired=False), 422
    try:
        with site.write(system("password reset").through("web")) as unit:
            held = unit.get(User, user.id)
            if held.stamp != stamp:  # somebody used the link at this very moment
                return render_template("pages/reset.html", errors=[], expired=True), 410
            set_password(unit, held, request.form.get("password", ""))
    except Stale:
        return render_template("pages/reset.html", errors=[], expired=True), 410
    except Invalid as error:
        errors = [f"{g.texts.gettext('The password')} {g.texts.gettext(p.message)}" for p in error.problems]
        return render_template("pages/reset.html", errors=errors, expired=False), 422
    current_app.logger.info("password of user %s was reset", user.id)
    return redirect("/sign-in")
