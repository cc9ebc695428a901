"""One's own account: language and calendar, password, second factor, and tokens for programs."""

from __future__ import annotations

import datetime as dt
import io
from typing import Any
from uuid import UUID

import pyotp
import segno
from flask import Blueprint, g, render_template, request, session
from werkzeug.wrappers import Response

from rapport.access import Token, User, system
from rapport.access.service import create_token, set_password, totp_matches
from rapport.builtin.web import forms
from rapport.builtin.web.context import go, meta_of, toast
from rapport.entities import utcnow
from rapport.errors import Invalid, NotFound
from rapport.http import current_actor, current_site, needs
from rapport.i18n import time_zones

OWN_FIELDS = ("name", "language", "time_zone", "calendar")


def add_pages(web: Blueprint) -> None:
    """The pages of one's own account."""
    web.add_url_rule("/account", view_func=account, methods=["GET", "POST"])
    web.add_url_rule("/account/password", view_func=password, methods=["POST"])
    web.add_url_rule("/account/second-factor", view_func=second_factor_setup, methods=["GET", "POST"])
    web.add_url_rule("/account/second-factor/off", view_func=second_factor_off, methods=["POST"])
    web.add_url_rule("/account/tokens", view_func=new_token, methods=["POST"])
    web.add_url_rule("/account/tokens/<uuid:token_id>/revoke", view_func=revoke_token, methods=["POST"])


def _me() -> User:
    """The user who is signed in; users are readable by everybody, so the reader finds them."""
    actor = current_actor()
    assert actor.id is not None
    with current_site().read(system("own account")) as own:
        return own.get(User, actor.id)


def _own(reason: str) -> Any:
    """A unit for changing one's own account, which needs no permission on users at large."""
    return current_site().write(system(f"{current_actor().name}: {reason}").through("web"))


def _page(status: int = 200, **facts: Any) -> tuple[str, int]:
    user = _me()
    with current_site().read(system("own tokens")) as own:
        tokens = own.all(Token, Token.user_id == user.id, Token.archived_at.is_(None))
    fields = [f for f in forms.form_fields(meta_of(User), OWN_FIELDS) if f.name != "time_zone"]
    shown = {"errors": {}, "password_errors": {}, "secret": "", **facts}
    return render_template(
        "pages/account.html", me=user, fields=fields, values=forms.typed_values(user, fields), tokens=tokens,
        zones=sorted(time_zones()), **shown,
    ), status  # fmt: skip


@needs("")
def account() -> tuple[str, int] | Response:
    """Look at one's account, and change how one is called and how dates are written."""
    if request.method == "GET":
        return _page()
    try:
        values = {key: request.form[key] for key in OWN_FIELDS if key in request.form}
        if values.get("time_zone") not in time_zones():
            values.pop("time_zone", None)
        with _own("account") as unit:
            unit.update(unit.get(User, _me().id), values)
    except Invalid as error:
        return _page(422, errors=forms.errors_by_field(error.problems))
    session.pop("lang", None)
    toast(g.texts.gettext("Saved."))
    return go("/account")


@needs("")
def password() -> tuple[str, int] | Response:
    """Change one's password; other sessions end, this one goes on."""
    user = _me()
    if not current_site().passwords.matches(request.form.get("current", ""), user.password_hash):
        return _page(422, password_errors={"current": [g.texts.gettext("This is not your present password.")]})
    try:
        with _own("password") as unit:
            changed = unit.get(User, user.id)
            set_password(unit, changed, request.form.get("password", ""))
    except Invalid as error:
        return _page(422, password_errors=forms.errors_by_field(error.problems))
    session["stamp"] = changed.stamp
    toast(g.texts.gettext("The new password counts from now on."))
    return go("/account")


@needs("")
def second_factor_setup() -> tuple[str, int] | str | Response:
    """Show the QR code for an authenticator app, and switch the second step on once a code fits."""
    user = _me()
    secret = session.get("totp_new") or pyotp.random_base32()
    session["totp_new"] = secret
    errors: list[str] = []
    if request.method == "POST":
        if totp_matches(secret, request.form.get("code", "")):
            with _own("second factor") as unit:
                unit.get(User, user.id).totp_secret = secret
            session.pop("totp_new", None)
            toast(g.texts.gettext("From now on, signing in asks for a code."))
            return go("/account")
        errors = [g.texts.gettext("The code is wrong.")]
    name = str(current_site().settings.get("core.name"))
    picture = io.BytesIO()
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=name)
    segno.make(uri).save(picture, kind="png", scale=5)
    import base64

    code = base64.b64encode(picture.getvalue()).decode()
    return render_template(
        "pages/second_factor.html", secret=secret, picture=code, errors=errors
    ), 422 if errors else 200


@needs("")
def second_factor_off() -> tuple[str, int] | Response:
    """Switch the second step off; the password is asked again, so that an open screen is not enough."""
    user = _me()
    if not current_site().passwords.matches(request.form.get("current", ""), user.password_hash):
        return _page(422, password_errors={"off": [g.texts.gettext("This is not your present password.")]})
    with _own("second factor") as unit:
        unit.get(User, user.id).totp_secret = ""
    toast(g.texts.gettext("Signing in asks for no code any more."))
    return go("/account")


@needs("")
def new_token() -> tuple[str, int]:
    """Make a token; it is shown this once."""
    days = {"30": 30, "365": 365}.get(request.form.get("days", ""), 90)
    scopes = ["*.read"] if request.form.get("scope") == "read" else []
    with _own("new token") as unit:
        secret = create_token(unit, unit.get(User, _me().id), name=request.form.get("name", "")[:100] or "API", scopes=scopes,  # noqa: E501
                              expires_at=utcnow() + dt.timedelta(days=days))  # fmt: skip
    return _page(secret=secret)


@needs("")
def revoke_token(token_id: UUID) -> Response:
    """End one of one's own tokens."""
    with _own("token revoked") as unit:
        token = unit.get(Token, token_id)
        if token.user_id != current_actor().id:
            raise NotFound("There is no such token.")
        unit.archive(token)
    toast(g.texts.gettext("The token no longer works."))
    return go("/account")
