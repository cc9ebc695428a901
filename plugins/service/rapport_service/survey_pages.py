"""The pages of a survey: the one that a customer's link opens, and the one an agent fills in during a call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, send_from_directory
from flask.blueprints import BlueprintSetupState
from rapport_products import Product
from werkzeug.wrappers import Response as BaseResponse

from rapport import LANGUAGES, Actor, Customer, Invalid, Reader, gettext, system
from rapport.http import current_actor, current_site, needs, public, speak
from rapport_service import surveys
from rapport_service.surveys import Invitation, Question, Survey

STATIC = Path(__file__).parent / "static"
ACTOR = system("survey")


def make_blueprint() -> Blueprint:
    """The customer's page. Opening it changes nothing, since scanners of mail open links too."""
    pages = Blueprint("service_survey", __name__)
    pages.add_url_rule(f"{surveys.PAGE}<token>", view_func=page, methods=["GET"])
    pages.add_url_rule(f"{surveys.PAGE}<token>", view_func=save, methods=["POST"])
    pages.add_url_rule("/service/static/<path:filename>", view_func=static_file, methods=["GET"])
    pages.record_once(_prepare_app)
    return pages


def make_desk_blueprint() -> Blueprint:
    """The agent's page, for those who work here."""
    pages = Blueprint("service_survey_desk", __name__)
    pages.add_url_rule("/service.invitation/<uuid:invitation_id>/ask", view_func=ask, methods=["GET", "POST"])
    return pages


def _prepare_app(state: BlueprintSetupState) -> None:
    # There is no session here that another site could misuse: all rights are in the link.
    app: Any = state.app
    app.extensions["csrf"].exempt(state.blueprint)


@public
def static_file(filename: str) -> BaseResponse:
    """The look of the questions."""
    return send_from_directory(STATIC, filename, max_age=3600)


# The customer's ------------------------------------------------------------------------------------------------------


@public
def page(token: str) -> str | tuple[str, int]:
    """The questions; what was answered before is only thanked for."""
    with current_site().read(ACTOR) as reader:
        return _customer_page(reader, token)


@public
def save(token: str) -> str | tuple[str, int]:
    """Keep the answers, once."""
    site = current_site()
    with site.read(ACTOR) as reader:
        invitation = surveys.invitation_of(reader, token)
        if invitation is None:
            return _customer_page(reader, token)
        _speak_to(reader, invitation)
        values, errors = surveys.read_form(surveys.questions_of(reader, invitation.survey_id), request.form)
        if errors and "decline" not in request.form:
            return _customer_page(reader, token, typed=request.form, errors=errors)
    try:
        with site.write(ACTOR.through("web")) as unit:
            found = unit.get(Invitation, invitation.id)
            if "decline" in request.form:
                surveys.decline(unit, found)
            else:
                surveys.answer(unit, found, values, by="portal" if request.args.get("from") == "portal" else "link")
    except Invalid:
        pass  # the page says that it was answered before, or that the time is over
    with site.read(ACTOR) as reader:
        return _customer_page(reader, token)


def _customer_page(
    reader: Reader, token: str, *, typed: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None
) -> str | tuple[str, int]:
    invitation = surveys.invitation_of(reader, token)
    if invitation is None:
        return render_template("service/survey.html", invitation=None), 404
    _speak_to(reader, invitation)
    answer = render_template(
        "service/survey.html", **_facts(reader, invitation), typed=typed or {}, errors=errors or {},
        open=invitation.open(reader.today()), others=list(LANGUAGES.values()),
    )  # fmt: skip
    return (answer, 422) if errors else answer


def _speak_to(reader: Reader, invitation: Invitation) -> None:
    chosen = request.values.get("language", "")
    if chosen not in LANGUAGES:
        chosen = surveys.language_of(reader.get(Customer, invitation.customer_id))
    speak(Actor(id=None, name="", language=chosen))


def _facts(reader: Reader, invitation: Invitation) -> dict[str, Any]:
    names = reader.titles(Product, [invitation.product_id])
    return {
        "invitation": invitation,
        "survey": reader.get(Survey, invitation.survey_id),
        "customer": reader.get(Customer, invitation.customer_id),
        "product": names.get(invitation.product_id, "") if invitation.product_id is not None else "",
        "questions": [_shown(question) for question in surveys.questions_of(reader, invitation.survey_id)],
    }


def _shown(question: Question) -> dict[str, Any]:
    scale = question.scale
    marks = list(range(scale[0], scale[1] + 1)) if scale is not None else []
    return {"it": question, "name": f"q-{question.id}", "marks": marks, "options": question.options,
            "recommend": question.kind.startswith("recommend")}  # fmt: skip


# The agent's ---------------------------------------------------------------------------------------------------------


@needs("service.invitation.update")
def ask(invitation_id: UUID) -> BaseResponse | str | tuple[str, int]:
    """What an agent asks on the phone, and writes down."""
    site, actor = current_site(), current_actor()
    back = f"/service.invitation/{invitation_id}"
    typed: Mapping[str, str] = {}
    errors: dict[str, str] = {}
    with site.read(actor) as reader:
        invitation = reader.get(Invitation, invitation_id)
        facts = _facts(reader, invitation)
        today = reader.today()
    if not invitation.open(today):
        return redirect(back)
    if request.method == "POST":
        typed = request.form
        if "decline" in typed:
            with site.write(actor) as unit:
                surveys.decline(unit, unit.get(Invitation, invitation_id))
            return redirect(back)
        values, errors = surveys.read_form([each["it"] for each in facts["questions"]], typed)
        if not errors:
            with site.write(actor) as unit:
                found = unit.get(Invitation, invitation_id)
                unit.update(found, {})  # whether this person may change this one
                surveys.answer(unit, found, values, by="phone")
            return redirect(back)
    text = render_template("service/ask.html", **facts, typed=typed, errors=errors, back=back,
                           told=gettext("Please look at what is marked.") if errors else "")  # fmt: skip
    return (text, 422) if errors else text
