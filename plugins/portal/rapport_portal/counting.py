"""Asking whether visits may be counted by name, and counting the pages of the portal and of the company's web site."""

from __future__ import annotations

import base64
import re

from flask import Response, g, redirect, request
from werkzeug.wrappers import Response as BaseResponse

from rapport import system
from rapport.http import current_site, public
from rapport_portal import visits
from rapport_portal.accounts import Account
from rapport_portal.customers import recognise

COOKIE = "rapport_portal_visits"
"""Set only by an answer: "no", or "yes" with the campaign that brought them."""
DAYS = 180
DOT = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")


def must_ask() -> bool:
    """Whether the page asks: whoever has not answered yet, and has not told their browser to say no for them."""
    answered = request.cookies.get(COOKIE) or g.get("portal_by_name") is not None
    return _is_on() and visits.may_count(request) and not answered


@public
def answer() -> BaseResponse:
    """The answer: a cookie remembers it, and of whoever is signed in their account."""
    yes = request.form.get("answer") == "yes"
    if (actor := recognise()) is not None and actor.customer_id is not None:
        site = current_site()
        with site.write(system("portal")) as unit:
            unit.get(Account, g.portal_account).visits_by_name = yes
        if not yes:
            visits.forget_name(site, actor.customer_id)
    back = request.form.get("back", "")
    said = redirect(back if re.fullmatch(r"/portal/[\w/.-]*", back) and "//" not in back else "/portal/")
    value = "no" if not yes else f"yes:{visits.code_of(request.form.get('campaign', ''))}"
    secure = current_site().config.base_url.startswith("https:")
    said.set_cookie(COOKIE, value, max_age=DAYS * 86400, path="/portal/", httponly=True, samesite="Lax", secure=secure)
    return said


def campaign() -> str:
    """The campaign that brought the visitor: as the address says, or, where they agreed to it, as their cookie does."""
    remembered = request.cookies.get(COOKIE, "").partition("yes:")[2]
    return visits.code_of(request.args.get("campaign", "")) or visits.code_of(remembered)


def count_page(response: Response) -> Response:
    """Count a page of the portal that was shown, by its kind: no record's id is kept."""
    shown = request.method == "GET" and response.status_code == 200 and response.mimetype == "text/html"
    if shown and request.url_rule is not None and _is_on() and visits.may_count(request):
        site = current_site()
        referrer = visits.host_of(request.referrer or "")
        by_name = g.get("portal_by_name") and g.get("portal_actor")
        seen = visits.Seen(
            visits.OWN_SITE, re.sub(r"<[^>]*>", "…", request.url_rule.rule), campaign(),
            "" if referrer == request.host.partition(":")[0] else referrer,
            g.portal_actor.customer_id if by_name else None,
        )  # fmt: skip
        site.hooks.shielded("portal", "counting a visit", lambda: visits.count(site, seen, request), None)
    return response


@public
def dot() -> Response:
    """The dot that the company's own web site shows: no cookie is read or set, and only sites that are named count."""
    site, args = current_site(), request.args
    host = visits.host_of(request.referrer or "")
    named = {each.strip().lower().removeprefix("www.") for each in site.settings.get("portal.web_sites").split(",")}
    if host and host.removeprefix("www.") in named and visits.may_count(request):
        referrer = visits.host_of(args.get("r", ""))
        page = args.get("p", "/").partition("?")[0]
        seen = visits.Seen(host, page, visits.code_of(args.get("c", "")), "" if referrer == host else referrer)
        site.hooks.shielded("portal", "counting a visit", lambda: visits.count(site, seen, request), None)
    headers = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "cross-origin"}
    return Response(DOT, mimetype="image/gif", headers=headers)


def _is_on() -> bool:
    return bool(current_site().settings.get("portal.count_visits"))
