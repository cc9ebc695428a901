"""The pages of the portal: signing in, one's own details, changing them, signing out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from flask import Blueprint, Response, abort, g, make_response, redirect, render_template, request, send_from_directory
from flask.blueprints import BlueprintSetupState
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as BaseResponse

from rapport import Actor, Customer, Invalid, NotFound, RapportError, Stale, enqueue_job, gettext, send_mail, system
from rapport.http import current_actor, current_site, needs, public, sign_in_by, too_many
from rapport_portal import accounts, addresses, counting, look, others, preferences
from rapport_portal.customers import COOKIE, current_customer, recognise, typed

PATH = "/portal/"
DETAILS = ("email", "phone", "address")
"""What customers may change of themselves, whatever else the form sends."""
STATIC = Path(__file__).parent / "static"


def make_blueprint() -> Blueprint:
    """The portal's pages, with a way to sign in of their own."""
    portal = Blueprint("portal", __name__)
    for rule, view, methods in (
        ("", home, ["GET"]),
        ("details", details, ["GET", "POST"]),
        ("preferences", preferences.page, ["GET", "POST"]),
        ("visits", counting.answer, ["POST"]),
        ("visit.gif", counting.dot, ["GET"]),
        ("look.css", look.style, ["GET"]),
        ("logo/<path:name>", look.logo, ["GET"]),
        ("sign-in", sign_in, ["GET", "POST"]),
        ("enter/<token>", enter, ["GET", "POST"]),
        ("email/<token>", confirm_email, ["GET", "POST"]),
        ("sign-out", sign_out, ["POST"]),
        ("static/<path:filename>", static_file, ["GET"]),
        ("<path:rest>", nowhere, ["GET", "POST"]),
    ):
        portal.add_url_rule(PATH + rule, view_func=view, methods=methods)
    portal.record_once(_prepare_app)
    portal.before_request(_only_from_here)
    portal.after_request(counting.count_page)
    portal.context_processor(_facts)
    portal.register_error_handler(HTTPException, _http_error)
    portal.register_error_handler(RapportError, _refused)
    return portal


def _prepare_app(state: BlueprintSetupState) -> None:
    app: Any = state.app
    sign_in_by(app, PATH, _signed_in)
    others.add_pages(state, app.extensions["rapport"])
    # The tokens of forms live in the session of the people who work here; `_only_from_here` does their work.
    app.extensions["csrf"].exempt(state.blueprint)


def _facts() -> dict[str, Any]:
    """What every page of the portal shows, whoever's it is."""
    site = current_site()
    return {
        "portal_menu": others.menu(site), "ask_for_visits": counting.must_ask(), "campaign": counting.campaign(),
        **look.facts(site),
    }  # fmt: skip


def _only_from_here() -> Response | None:
    """What is sent must come from a page of this site: browsers say so themselves."""
    if request.method in {"GET", "HEAD"}:
        return None
    site_says, origin = request.headers.get("Sec-Fetch-Site", "same-origin"), request.headers.get("Origin")
    if site_says != "same-origin" or (origin is not None and urlsplit(origin).netloc != request.host):
        abort(403, gettext("This form was not sent from our page. Open the page and try again."))
    return None


def _signed_in() -> Actor | Response:
    """The customer of the session, or the way to the sign-in page. Only for views of the portal."""
    if request.blueprint != "portal":
        return Response("", 404)
    return recognise() or Response("", 302, {"Location": f"{PATH}sign-in"})


# Signing in ----------------------------------------------------------------------------------------------------------


@public
def sign_in() -> str | tuple[str, int]:
    """Ask for an address, and say the same whether or not it is known."""
    if request.method == "GET":
        return render_template("portal/sign_in.html", sent=False)
    email = request.form.get("email", "").strip()[:320]
    if too_many(f"portal:{email.lower()}", f"portal-ip:{request.remote_addr}"):
        return render_template("portal/sign_in.html", sent=True), 429
    site = current_site()
    with site.db.write() as connection:  # a job looks it up, so that the time tells nothing either
        enqueue_job(connection, "portal.link", {"email": email}, actor=system("portal"))
    site.wake()
    return render_template("portal/sign_in.html", sent=True)


@public
def enter(token: str) -> BaseResponse | str | tuple[str, int]:
    """What the mailed link opens: a button, since scanners of mail open links too, but press no buttons."""
    if request.method == "GET":
        return render_template("portal/enter.html")
    cookie = None
    if not too_many(f"portal-enter:{request.remote_addr}"):
        cookie = accounts.enter(current_site(), token)
    if cookie is None:
        return render_template("portal/sign_in.html", sent=False, expired=True), 410
    answer = redirect(PATH)
    answer.set_cookie(
        COOKIE, cookie, max_age=accounts.SESSION_DAYS * 24 * 3600, path=PATH, httponly=True, samesite="Lax",
        secure=urlsplit(current_site().config.base_url).scheme == "https",
    )  # fmt: skip
    return answer


@needs("")
def sign_out() -> BaseResponse:
    """End the customer's sessions, here and wherever else."""
    account_id: UUID = g.portal_account
    accounts.leave(current_site(), account_id)
    answer = redirect(f"{PATH}sign-in")
    answer.delete_cookie(COOKIE, path=PATH)
    return answer


# One's own details ---------------------------------------------------------------------------------------------------


@needs("")
def home() -> str:
    """What we know of the customer, and what other plugins have for them."""
    return render_template("portal/home.html", customer=current_customer(), waiting=request.args.get("mail") == "1")


@needs("")
def details() -> BaseResponse | str | tuple[str, int]:
    """Change phone and address at once; another e-mail address once the link that is mailed to it was opened."""
    customer = current_customer()
    if request.method == "GET":
        return _form(customer, {name: getattr(customer, name) for name in DETAILS}, {})
    sent = typed(*DETAILS)
    values = dict(sent)
    email = values.pop("email").strip().lower()
    try:
        Customer.meta.fields["email"].load(email)
        if isinstance(values["address"], dict):  # it came in parts, as our form sends it; else the unit refuses it
            values["address"] = addresses.checked(values["address"])
        with current_site().write(current_actor()) as unit:
            unit.update(unit.get(Customer, customer.id), values)
    except ValueError as error:
        return _form(customer, sent, {"email": [gettext(str(error))]}), 422
    except Invalid as error:
        return _form(customer, sent, {each.field or "": [gettext(each.message)] for each in error.problems}), 422
    if email and email != customer.email:
        _ask_to_confirm(customer, email)
        return redirect(f"{PATH}?mail=1")
    return redirect(PATH)


def _ask_to_confirm(customer: Customer, email: str) -> None:
    if too_many(f"portal-email:{customer.id}"):
        return
    site = current_site()
    link = accounts.address(site, f"email/{accounts.email_token(site, customer, email)}")
    text = gettext("Open this link within a day, so that we know this address is yours:\n\n%(link)s", link=link)
    send_mail(site, to=email, subject=gettext("Is this your e-mail address?"), text=text)


@public
def confirm_email(token: str) -> str | tuple[str, int]:
    """What the link to a new address opens."""
    if request.method == "GET":
        return render_template("portal/email.html", done=False)
    try:
        done = accounts.confirm_email(current_site(), token)
    except (Invalid, Stale):
        done = False
    if not done:
        return render_template("portal/message.html", message=gettext("This link is no longer good.")), 410
    return render_template("portal/email.html", done=True)


def _form(customer: Customer, values: Mapping[str, Any], errors: Mapping[str, list[str]]) -> str:
    fields = [Customer.meta.fields[name] for name in DETAILS]
    return render_template("portal/details.html", customer=customer, fields=fields, values=values, errors=errors)


# The rest ------------------------------------------------------------------------------------------------------------


@public
def static_file(filename: str) -> BaseResponse:
    """The portal's own look."""
    return send_from_directory(STATIC, filename, max_age=3600)


@public
def nowhere(rest: str) -> tuple[str, int]:
    """No page of the people who work here begins with /portal/."""
    return render_template("portal/message.html", message=gettext("There is no such page.")), 404


def _http_error(error: HTTPException) -> BaseResponse:
    text = error.description or str(error)
    return make_response(render_template("portal/message.html", message=text), error.code or 500)


def _refused(error: RapportError) -> BaseResponse:
    status = 404 if isinstance(error, NotFound) else 403
    return make_response(render_template("portal/message.html", message=str(error)), status)
