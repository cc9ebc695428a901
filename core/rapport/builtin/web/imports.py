"""Bringing a list in, step by step: the file, its columns, a check of every row, the import; and the way back."""

from __future__ import annotations

import io
from typing import Any

from flask import Blueprint, abort, g, render_template, request, send_file
from werkzeug.wrappers import Response

from rapport.builtin.exchange import imports
from rapport.builtin.exchange.engine import steps_for
from rapport.builtin.exchange.imports import Run
from rapport.builtin.exchange.readers import Unreadable
from rapport.builtin.exchange.targets import targets_of
from rapport.builtin.web.context import go, is_htmx, meta_of, toast
from rapport.entities import EntityMeta
from rapport.errors import Invalid, RapportError
from rapport.http import current_actor, current_site, needs
from rapport.i18n.catalogs import LANGUAGES, N_

PROBLEMS = 200
"""Problems shown on the page; the list of refused rows has all of them."""
UNKNOWN = 50
CONSTANTS = 3
"""Rows of the form in which values for all records are given."""
STATES = {
    "draft": (N_("prepared"), "neutral"), "checking": (N_("being checked"), "blue"),
    "checked": (N_("checked"), "azure"), "running": (N_("running"), "blue"), "stopped": (N_("stopped"), "orange"),
    "done": (N_("done"), "green"),
    "undoing": (N_("being undone"), "blue"), "undone": (N_("undone"), "neutral"), "failed": (N_("failed"), "red"),
}  # fmt: skip
"""What people call the states of an import, and the colour of each."""


def add_pages(web: Blueprint) -> None:
    """The steps of an import."""
    web.add_url_rule("/imports", view_func=list_imports, methods=["GET"])
    web.add_url_rule("/import", view_func=choose_file, methods=["GET", "POST"])
    web.add_url_rule("/import/<int:run_id>", view_func=show_import, methods=["GET"])
    web.add_url_rule("/import/<int:run_id>/columns", view_func=choose_meanings, methods=["POST"])
    web.add_url_rule("/import/<int:run_id>/settle", view_func=settle, methods=["POST"])
    web.add_url_rule("/import/<int:run_id>/progress", view_func=import_progress, methods=["GET"])
    web.add_url_rule("/import/<int:run_id>/refused.csv", view_func=refused_rows, methods=["GET"])
    web.add_url_rule("/import/<int:run_id>/<any(check,run,stop,undo,forget):work>", view_func=work_on, methods=["POST"])


@needs("")
def list_imports() -> str:
    """The newest imports: one's own; administrators see everybody's."""
    found = imports.recent(current_site(), current_actor())
    return render_template("pages/imports.html", runs=found, states=STATES, titles=_titles(), importable=_importable())


@needs("")
def choose_file() -> str | Response | tuple[str, int]:
    """The first step: which file, and what its rows are."""
    chosen = request.values.get("entity", "")
    kinds = _importable()
    if not kinds:
        abort(403)
    errors: list[str] = []
    if request.method == "POST":
        upload = request.files.get("file")
        if upload is None or not upload.filename:
            errors = [g.texts.gettext("Choose a file.")]
        else:
            try:
                run = imports.start(current_site(), current_actor(), chosen, upload.stream, upload.filename)  # type: ignore[arg-type]
                return go(f"/import/{run.id}")
            except (Invalid, Unreadable) as error:
                errors = _texts(error)
    page = render_template("pages/import_file.html", kinds=kinds, chosen=chosen, errors=errors,
                           limit=current_site().config.max_upload_mb)  # fmt: skip
    return (page, 422) if errors else page


@needs("")
def show_import(run_id: int) -> str:
    """Where an import is: its columns to be decided, its progress, or its result."""
    run = _run(run_id)
    if run.busy:
        return render_template("pages/import_progress.html", **_facts(run))
    if run.state == "draft" or (run.state == "checked" and request.args.get("step") == "columns"):
        return _columns_page(run, [])
    return render_template("pages/import_result.html", **_facts(run), **_findings(run))


@needs("")
def import_progress(run_id: int) -> Response | str:
    """What the page with the bar asks for every second; at the end it goes on to the result."""
    run = _run(run_id)
    return render_template("pages/_import_progress.html", **_facts(run)) if run.busy else go(f"/import/{run_id}")


@needs("")
def choose_meanings(run_id: int) -> str | Response | tuple[str, int]:
    """Keep what was decided of the columns; then look again, or check every row."""
    site, actor, form = current_site(), current_actor(), request.form
    run = _run(run_id)
    decided: dict[str, Any] = {
        "mapping": {name: form.get(f"map:{at}", "") for at, name in enumerate(run.columns)},
        "match_by": [form["match_by"]] if form.get("match_by") else [],
        "on_match": form.get("on_match", "update"),
        "constants": {form[f"field:{at}"]: form.get(f"value:{at}", "").strip() for at in range(CONSTANTS)
                      if form.get(f"field:{at}") and form.get(f"value:{at}", "").strip()},
    }  # fmt: skip
    decided["options"] = {"steps": form.getlist("step")}
    options = {
        name: form[name] or None for name in ("encoding", "delimiter", "sheet", "dates", "language") if name in form
    }
    try:
        if any(run.options.get(name) != value for name, value in options.items() if value or name in run.options):
            run = imports.decide(site, actor, run.id, options=options)
            return go(f"/import/{run.id}?step=columns")
        run = imports.decide(site, actor, run.id, **decided)
        if form.get("do") == "look":
            return go(f"/import/{run.id}?step=columns")
        imports.enqueue(site, actor, run.id, "check")
    except Invalid as error:
        return _columns_page(_run(run_id), _texts(error)), 422
    return go(f"/import/{run.id}")


@needs("")
def settle(run_id: int) -> Response:
    """Say what values mean that nobody knows; then every row is checked again."""
    run, form = _run(run_id), request.form
    decisions = {field: dict(values) for field, values in run.decisions.items()}
    for at in range(UNKNOWN):
        field, value, answer = form.get(f"field:{at}"), form.get(f"value:{at}"), form.get(f"do:{at}", "")
        if field is None or value is None or not answer:
            continue
        word, _colon, to = answer.partition(":")
        decisions.setdefault(field, {})[value] = {"do": word, "to": to} if word == "use" else {"do": word}
    imports.decide(current_site(), current_actor(), run.id, decisions=decisions)
    imports.enqueue(current_site(), current_actor(), run.id, "check")
    return go(f"/import/{run.id}")


@needs("")
def work_on(run_id: int, work: str) -> Response:
    """Check, run, stop, undo or forget an import. Long work is a job; its page shows how far it is."""
    site, actor = current_site(), current_actor()
    if work == "forget":
        imports.forget(site, actor, run_id)
        toast(g.texts.gettext("The import is forgotten. Its records stay."))
        return go("/imports")
    try:
        if work == "stop":
            imports.stop(site, actor, run_id)
        else:
            imports.enqueue(site, actor, run_id, work)  # type: ignore[arg-type]  # the route knows these words only
    except RapportError as error:
        toast(" ".join(_texts(error)), "danger")
    return go(f"/import/{run_id}")


@needs("")
def refused_rows(run_id: int) -> Response:
    """The refused rows with line and reason, to be mended and imported again."""
    run, target = _run(run_id), io.BytesIO()
    imports.write_refused(current_site(), current_actor(), run.id, target)
    target.seek(0)
    return send_file(target, "text/csv", as_attachment=True, download_name=f"refused-{run.id}.csv")


# Facts ---------------------------------------------------------------------------------------------------------------


def _run(run_id: int) -> Run:
    return imports.get(current_site(), current_actor(), run_id)


def _meta(run: Run) -> EntityMeta:
    entity = current_site().entities.get(run.entity)
    if entity is None:
        abort(404)
    return meta_of(entity)


def _importable() -> list[tuple[str, str]]:
    actor = current_actor()
    return [
        (entity.meta.name, g.texts.gettext(meta_of(entity).plural))
        for entity in current_site().entities
        if entity.meta.listed and actor.may(entity.meta.permission("import"))
    ]


def _titles() -> dict[str, str]:
    return {entity.meta.name: g.texts.gettext(meta_of(entity).plural) for entity in current_site().entities}


def _texts(error: Exception) -> list[str]:
    """Problems as sentences; the field of each is a column of the file or a label."""
    if not isinstance(error, Invalid):
        return [str(error)]
    return [f"{problem.field}: {problem.message}" if problem.field else problem.message for problem in error.problems]


def _facts(run: Run) -> dict[str, Any]:
    word, tone = STATES[run.state]
    return {"run": run, "meta": _meta(run), "word": g.texts.gettext(word), "tone": tone, "htmx": is_htmx()}


def _columns_page(run: Run, errors: list[str]) -> str:
    look = imports.look(current_site(), current_actor(), run.id)
    choices = [(target.name, target.label + (" *" if target.required else "")) for target in look.targets]
    shown = [column.field for column in look.columns if column.field]
    constants = [*run.constants.items(), *[("", "")] * CONSTANTS][:CONSTANTS]
    return render_template(
        "pages/import_columns.html", **_facts(run), look=look, errors=errors, choices=choices, shown=shown,
        labels={target.name: target.label for target in look.targets}, constants=constants,
        steps=steps_for(current_site(), current_actor(), run.entity),
        language_choices=[(each.code, each.name) for each in LANGUAGES.values()],
        matchable=[(target.name, target.label) for target in look.match_fields if target.name in shown],
    )  # fmt: skip


def _findings(run: Run) -> dict[str, Any]:
    site, actor = current_site(), current_actor()
    targets = {target.name: target for target in targets_of(_meta(run))}
    unknown = imports.unknown(site, actor, run.id)
    known = {(each.field, each.value) for each in unknown}
    problems = [
        each for each in imports.problems(site, actor, run.id, PROBLEMS) if (each.field, each.value) not in known
    ]
    fields = {each.field for each in unknown[:UNKNOWN] if each.field in targets}
    return {
        "targets": targets,
        "labels": {name: target.label for name, target in targets.items()},
        "problems": problems,
        "unknown": [each for each in unknown if each.field in targets][:UNKNOWN],
        "choices": {name: imports.choices(site, actor, run.id, name, limit=200) for name in fields},
        "nullable": {name for name in fields if _meta(run).fields[name].nullable},
        "creatable": {name for name, target in targets.items() if target.target and _may_make(target.target)},
    }


def _may_make(name: str) -> bool:
    entity = current_site().entities.get(name)
    return (
        entity is not None and name not in {"stage", "user"} and current_actor().may(entity.meta.permission("create"))
    )
