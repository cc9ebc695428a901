"""The way from a form to the next page, for dialogs as for pages without scripts."""

from __future__ import annotations

from flask import Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse


def go(url: str) -> AnyResponse:
    """To another page: a dialog is answered within a page that stays, so its script is told."""
    if not request.headers.get("HX-Request"):
        return redirect(url)
    answer = Response("", 200)
    answer.headers["HX-Redirect"] = url
    return answer
