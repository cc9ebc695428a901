"""The pages of insights: what has been learned and how far to rely on it, and who comes back."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, redirect, render_template, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from rapport import Reader, job_table
from rapport.http import current_actor, current_site, needs
from rapport_insights import panels, wording
from rapport_insights.entities import Model
from rapport_insights.kinds import KINDS, Kind, kind_of
from rapport_insights.purchases import said_of_left_out
from rapport_insights.training import SCORE, TRAIN, ask

MOST_COLUMNS = 13


def make_blueprint() -> Blueprint:
    """All pages below /insights."""
    pages = Blueprint("insights", __name__)
    for rule, view, method in (
        ("/insights", overview, "GET"),
        ("/insights/retention", retention, "GET"),
        ("/insights/progress/<kind>", progress, "GET"),
        ("/insights/train/<kind>", train, "POST"),
    ):
        pages.add_url_rule(rule, view_func=view, methods=[method])
    return pages


@dataclass(frozen=True, slots=True)
class Known:
    """A kind of model as the page shows it."""

    kind: Kind
    model: Model | None
    """The version in use."""
    latest: Model | None
    versions: int
    measured: Sequence[wording.Measured]
    left_out: Sequence[tuple[str, int]]
    job: Any
    """The job that is training it, or giving scores, if one is."""


@needs("insights.model.read")
def overview() -> str:
    """Every kind of model: what it tells, its error beside a plain way, when it was trained."""
    site = current_site()
    with site.read(current_actor()) as reader:
        return render_template(
            "insights/overview.html", known=_known(reader), segments=panels.segments(reader),
            may_train=reader.actor.may("insights.model.train") and _sees_all(reader), sees_all=_sees_all(reader),
            currency=str(site.settings.get("core.currency")),
        )  # fmt: skip


def _sees_all(reader: Reader) -> bool:
    return reader.actor.reach("customer.read") == "all"


def _known(reader: Reader) -> list[Known]:
    models: dict[str, list[Model]] = {}
    for model in reader.all(Model, order=Model.number.desc()):
        models.setdefault(model.kind, []).append(model)
    jobs = _jobs() if _sees_all(reader) else {}
    found = []
    for kind in KINDS:
        versions = models.get(kind.name, [])
        current = next((each for each in versions if each.state == "current"), None)
        kept: Mapping[str, Any] = (current.parameters if current is not None else None) or {}
        found.append(Known(
            kind, current, versions[0] if versions else None, len(versions),
            wording.measured(current.errors or {}) if current is not None else (),
            said_of_left_out(kept.get("left_out") or {}), jobs.get(kind.name),
        ))  # fmt: skip
    return found


def _jobs() -> dict[str, Any]:
    """The jobs of insights that wait or run, by the kind of model they are for."""
    under_way = select(job_table).where(
        job_table.c.name.in_([TRAIN, SCORE]), job_table.c.state.in_(["waiting", "running"])
    )
    with current_site().db.read() as connection:
        rows = connection.execute(under_way.order_by(job_table.c.id)).all()
    return {str(row.arguments.get("kind")): row for row in rows}


@needs("insights.model.read")
def progress(kind: str) -> str | tuple[str, int]:
    """How far a training is: asked again and again until it is over."""
    with current_site().read(current_actor()) as reader:
        found = next((each for each in _known(reader) if each.kind.name == kind), None)
        if found is None:
            abort(404)
        return render_template("insights/_progress.html", each=found, over=found.job is None)


@needs("insights.model.train")
def train(kind: str) -> Response:
    """The button: train a kind of model now."""
    site = current_site()
    with site.read(current_actor()) as reader:
        if kind_of(kind) is None or not _sees_all(reader):
            abort(404)
    with site.db.write() as connection:
        ask(connection, TRAIN, kind)
    site.wake()
    return redirect(url_for("insights.overview") + f"#{kind}")


# Retention -----------------------------------------------------------------------------------------------------------


@needs("insights.model.read")
def retention() -> str:
    """How many of the customers of each month are still buying, and how soon they come back."""
    with current_site().read(current_actor()) as reader:
        models = reader.all(Model, Model.kind == "retention", Model.state == "current", limit=1)
        model = models[0] if models else None
        kept = model.parameters if model is not None else {}
        curve = kept.get("curve") or []
        return render_template(
            "insights/retention.html", model=model, triangle=_triangle(kept.get("cohorts") or []), kept=kept,
            curve=curve, sees_all=_sees_all(reader), **_drawn(curve),
        )  # fmt: skip


def _triangle(cohorts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Each month's new customers, and the share of them who bought in each month after."""
    return [
        {"month": dt.date.fromisoformat(each["month"]), "size": each["active"][0],
         "shares": [many / each["active"][0] for many in each["active"][1:MOST_COLUMNS]]}
        for each in cohorts
    ]  # fmt: skip


def _drawn(curve: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The curve of those who came back as points of the picture: a line in steps, and the band of its limits."""
    longest = max((each["time"] for each in curve), default=1) or 1
    line, above, below = [_point(0, 0)], [_point(0, 0)], [_point(0, 0)]
    last = (0.0, 0.0, 0.0)
    for each in curve:
        at, now = each["time"] / longest, (1 - each["share"], 1 - each["low"], 1 - each["high"])
        for points, before, after in zip((line, above, below), last, now, strict=True):
            points += [_point(at, before), _point(at, after)]
        last = now
    return {"longest": longest, "line": " ".join(line), "band": " ".join([*above, *reversed(below)])}


def _point(at: float, share: float) -> str:
    return f"{50 + 900 * at:.1f},{220 - 200 * share:.1f}"
