"""The dashboard: what plugins have to show of the whole business, each person by their roles and rights."""

from __future__ import annotations

from flask import Blueprint, render_template

from rapport.http import needs


def add_pages(web: Blueprint) -> None:
    """The dashboard."""
    web.add_url_rule("/dashboard", view_func=dashboard, methods=["GET"])


@needs("")
def dashboard() -> str:
    """Every panel of the slot `dashboard` that is for the person who looks."""
    return render_template("pages/dashboard.html")
