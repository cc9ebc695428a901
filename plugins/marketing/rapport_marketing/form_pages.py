"""The pages of web forms, for everybody: filling in, and the one that a mailed link opens."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Blueprint, make_response, render_template, request
from flask.blueprints import BlueprintSetupState
from sqlalchemy import select
from werkzeug.wrappers import Response as BaseResponse

from rapport import LANGUAGES, Conflict, Invalid, Reader, system
from rapport.http import current_site, public, speak, too_many
from rapport_marketing import forms
from rapport_marketing.forms import PAGE, Form, Submission

ACTOR = system("web form")
MAX_PROOF = 300


def make_blueprint() -> Blueprint:
    """Opening changes nothing, since scanners of mail open links too."""
    pages = Blueprint("marketing_forms", __name__)
    for rule, view, method in (
        ("confirm/<token>", ask, "GET"), ("confirm/<token>", confirm, "POST"), ("<slug>", show, "GET"),
        ("<slug>", take, "POST"),
    ):  # fmt: skip
        pages.add_url_rule(PAGE + rule, view_func=view, methods=[method])
    pages.record_once(_prepare_app)
    return pages


def _prepare_app(state: BlueprintSetupState) -> None:
    # Nobody is signed in here: a signed word in the page stands for the token of a session.
    app: Any = state.app
    app.extensions["csrf"].exempt(state.blueprint)


@public
def show(slug: str) -> BaseResponse:
    """The form."""
    form = _form(slug)
    return _page(form, values={}, errors={}) if form is not None else _gone()


@public
def take(slug: str) -> BaseResponse:
    """What was filled in. Robots are thanked as well, so that they learn nothing."""
    form, site = _form(slug), current_site()
    if form is None:
        return _gone()
    typed = {name: request.form.get(name, "") for name in forms.ALLOWED}
    page = forms.opened(site, form, request.form.get("page", ""))
    if page is None:
        return _page(form, typed, {"": ["stale"]}, 422)
    # "website" is a field that people do not see; and nobody reads and writes within two seconds.
    if request.form.get("website") or page.seconds < site.settings.get("marketing.form_seconds"):
        return _thanks(form)
    if too_many(f"form-ip:{request.remote_addr}"):
        return _page(form, typed, {"": ["often"]}, 429)
    if form.asks_consent and not request.form.get("agree"):
        return _page(form, typed, {"agree": ["agree"]}, 422)
    try:
        values = forms.read(form, typed)
        if too_many(f"form:{values['email']}"):
            return _thanks(form)
        with site.write(ACTOR) as unit:
            forms.take(unit, unit.get(Form, form.id), values, page.word, _proof())
    except Invalid as error:
        return _page(form, typed, {each.field or "": [each.message] for each in error.problems}, 422)
    except Conflict:  # its word was used already: somebody pressed twice
        return _thanks(form)
    return _thanks(form)


@public
def ask(token: str) -> BaseResponse:
    """What the mailed link opens: a button."""
    found = _submission(token)
    if found is None:
        return _gone()
    form, submission = found
    return make_response(render_template("marketing/form_confirm.html", form=form, done=submission.state != "waiting"))


@public
def confirm(token: str) -> BaseResponse:
    """The button."""
    found = _submission(token)
    if found is None:
        return _gone()
    form, submission = found
    if submission.state == "waiting":
        with current_site().write(ACTOR) as unit:
            held = unit.session.scalars(
                select(Submission).where(Submission.id == submission.id).with_for_update()
            ).one()
            if held.state == "waiting":
                forms.confirm(unit, unit.get(Form, form.id), held, _proof())
    return make_response(render_template("marketing/form_confirm.html", form=form, done=True))


def _form(slug: str) -> Form | None:
    _speak()
    with current_site().read(ACTOR) as reader:
        found = reader.all(Form, Form.slug == slug, Form.active.is_(True), Form.archived_at.is_(None), limit=1)
    return found[0] if found else None


def _submission(token: str) -> tuple[Form, Submission] | None:
    _speak()
    wanted: UUID | None = forms.submission_of(current_site(), token)
    with current_site().read(ACTOR) as reader:
        return _both(reader, wanted) if wanted is not None else None


def _both(reader: Reader, wanted: UUID) -> tuple[Form, Submission] | None:
    found = reader.all(Submission, Submission.id == wanted, limit=1)
    if not found or found[0].archived_at is not None:
        return None
    forms_ = reader.all(Form, Form.id == found[0].form_id, limit=1)
    return (forms_[0], found[0]) if forms_ else None


def _speak() -> None:
    """In the language that the visitor chose, or their browser asks for."""
    wanted = request.values.get("language", "") or request.accept_languages.best_match(list(LANGUAGES)) or ""
    if wanted in LANGUAGES:
        from dataclasses import replace

        speak(replace(ACTOR, language=wanted))


def _page(form: Form, values: dict[str, str], errors: dict[str, list[str]], status: int = 200) -> BaseResponse:
    token = forms.new_token(current_site(), form)
    text = render_template("marketing/form.html", form=form, fields=forms.questions(form), values=values,
                           errors=errors, token=token, language=request.values.get("language", ""))  # fmt: skip
    return _embeddable(make_response(text, status), form)


def _thanks(form: Form) -> BaseResponse:
    return _embeddable(make_response(render_template("marketing/form_thanks.html", form=form)), form)


def _embeddable(answer: BaseResponse, form: Form) -> BaseResponse:
    """The websites that the form names may show it in a frame, and nobody else."""
    places = " ".join(form.embedded_at.split()) or "'none'"
    answer.headers["Content-Security-Policy"] = (
        "default-src 'self'; script-src 'none'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        f"form-action 'self'; frame-ancestors {places}"
    )
    return answer


def _gone() -> BaseResponse:
    return make_response(render_template("marketing/form_confirm.html", form=None, done=False), 404)


def _proof() -> str:
    """By what one can show, years later, that they said so."""
    return f"{request.remote_addr}, {request.headers.get('User-Agent', '')}"[:MAX_PROOF]
