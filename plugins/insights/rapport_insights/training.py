"""The jobs of insights: training a model as a new version, going back to an earlier one, and giving scores by it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, select

from rapport import Action, Invalid, JobContext, Problem, Site, Unit, enqueue_job, system, utcnow
from rapport import gettext as _
from rapport_insights.entities import Model
from rapport_insights.kinds import KINDS, Kind, Trained, Work, kind_of
from rapport_insights.scores import ACTOR, write_scores

TRAIN, SCORE, RENEW = "insights.train", "insights.score", "insights.renew"
JOBS = (TRAIN, SCORE, RENEW)


def ask(connection: Connection, job: str, kind: str) -> UUID:
    """Ask for training or scoring, once however often it is asked. It learns from all customers, whoever asked."""
    return enqueue_job(connection, job, {"kind": kind}, actor=system(job), key=kind)


def train(context: JobContext, kind: str) -> str:
    """Train a kind of model as a new version, use it from now on, and give scores by it."""
    known = _known(kind)
    model_id = _begin(context.site, kind)
    context.progress(0, 0, _("Reading"))
    work = Work(context)
    try:
        trained = known.do_train(work)
    except Invalid as reason:
        _fail(context.site, model_id, str(reason))
        return str(reason)
    except Exception:
        _fail(context.site, model_id, _("It ended with an error. The list of jobs says which."))
        raise
    _keep(context.site, model_id, trained)
    return trained.note + " " + _give(work, known, model_id, trained.parameters)


def score(context: JobContext, kind: str) -> str:
    """Give scores by the version that is in use."""
    known, model = _known(kind), current(context.site, kind)
    if model is None:
        return _("Nothing has been trained yet.")
    try:
        return _give(Work(context), known, model.id, model.parameters)
    except Invalid as reason:
        return str(reason)


def renew(context: JobContext) -> str:
    """What comes round: each kind is trained anew when its time has come, and else gives scores anew."""
    site, asked = context.site, 0
    days = int(site.settings.get("insights.train_days") or 0)
    for kind in KINDS:
        model = current(site, kind.name)
        old = model is not None and days and utcnow() - (model.trained_at or utcnow()) >= dt.timedelta(days=days)
        if model is None and _failed_lately(site, kind.name):
            continue
        with site.db.write() as connection:
            if model is None or old:
                ask(connection, TRAIN, kind.name)
            elif kind.score:
                ask(connection, SCORE, kind.name)
        asked += 1
    return _("%(num)s models are looked after.", num=asked)


def current(site: Site, kind: str) -> Model | None:
    """The version of a kind that is in use."""
    with site.read(ACTOR) as reader:
        found = reader.all(Model, Model.kind == kind, Model.state == "current", order=Model.number.desc(), limit=1)
    return found[0] if found else None


def _failed_lately(site: Site, kind: str) -> bool:
    """Whether it could not be trained within the last week: there is no need to hear that every morning."""
    lately = utcnow() - dt.timedelta(days=7)
    with site.read(ACTOR) as reader:
        return bool(reader.all(Model, Model.kind == kind, Model.state == "failed", Model.trained_at > lately, limit=1))


def _known(kind: str) -> Kind:
    known = kind_of(kind)
    if known is None:
        raise Invalid(Problem("kind", _("names a kind of model that is not there.")))
    return known


def _begin(site: Site, kind: str) -> UUID:
    """The record of the new version; the one that an interrupted attempt left is taken up again."""
    with site.write(ACTOR) as unit:
        begun = unit.reader.all(Model, Model.kind == kind, Model.state == "training", limit=1)
        if begun:
            return begun[0].id
        last = unit.session.scalar(select(func.max(Model.number)).where(Model.kind == kind)) or 0
        name = f"{_(_known(kind).title)} {last + 1}"
        model = Model(name=name, kind=kind, number=last + 1, state="training", note=_("Being trained."))
        unit.session.add(model)
        unit.flush()
        return model.id


def _fail(site: Site, model_id: UUID, told: str) -> None:
    with site.write(ACTOR) as unit:
        model = unit.get(Model, model_id)
        model.state, model.note, model.trained_at = "failed", told, utcnow()


def _keep(site: Site, model_id: UUID, trained: Trained) -> None:
    with site.write(ACTOR) as unit:
        model = unit.get(Model, model_id)
        model.parameters, model.errors = dict(trained.parameters), {k: dict(v) for k, v in trained.errors.items()}
        model.count, model.until, model.note = trained.count, trained.until, trained.note
        model.trained_at = utcnow()
        _put_to_use(unit, model)


def _put_to_use(unit: Unit, model: Model) -> None:
    for other in unit.reader.all(Model, Model.kind == model.kind, Model.state == "current"):
        other.state = "former"
    model.state = "current"
    unit.flush()


def _give(work: Work, kind: Kind, model_id: UUID, parameters: Mapping[str, Any]) -> str:
    drift = kind.do_drift(work, parameters)
    given = changed = 0
    if kind.score:
        scores = kind.do_score(work, parameters)
        say = _("Giving scores")
        given, changed = write_scores(
            work.site, kind.into, kind.fields, scores, lambda done, total: work.tell(done, total, say)
        )
    with work.site.write(ACTOR) as unit:
        model = unit.get(Model, model_id)
        model.scored_at, model.scored, model.drift = utcnow(), given if kind.score else None, drift
    if not kind.score:
        return ""
    return _("%(num)s customers have scores, %(changed)s changed.", num=given, changed=changed)


# What people do ------------------------------------------------------------------------------------------------------


def model_actions() -> list[Action]:
    """Go back to a former version, and train anew."""
    train_it = "insights.model.train"
    return [
        Action("insights.model", "use", "Use this version again", "arrow-back-up", train_it, _use, primary=True,
               applies=lambda model: model.state == "former"),
        Action("insights.model", "renew", "Train anew", "refresh", train_it, _train_anew,
               applies=lambda model: model.state != "training"),
    ]  # fmt: skip


def _use(unit: Unit, records: Sequence[Model], values: Mapping[str, Any]) -> str:
    (model,) = records
    if model.state != "former":
        raise Invalid(Problem("state", _("is not “Former”: only a version that was in use before can be used again.")))
    _put_to_use(unit, model)
    ask(unit.session.connection(), SCORE, model.kind)
    return _("Version %(num)s is in use again. Customers get their scores by it in a moment.", num=model.number)


def _train_anew(unit: Unit, records: Sequence[Model], values: Mapping[str, Any]) -> str:
    ask(unit.session.connection(), TRAIN, records[0].kind)
    return _("It is being trained.")
