"""The long work behind scores: training on the leads whose outcome is known, and rating every lead anew."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, func, select, update

from rapport import Action, Invalid, JobContext, Problem, Reader, Unit, utcnow
from rapport import gettext as _
from rapport_sales import learning
from rapport_sales.entities import Lead
from rapport_sales.rating import rater_of
from rapport_sales.scoring import ScoreModel, rate_anew

AT_ONCE = 500
MOST = 50_000
"""The newest leads are enough to learn from."""
FEWEST = 50
"""Of either outcome, to learn from; a fifth of that is held out at least."""
OUTCOMES = {"converted": 1, "qualified": 1, "unqualified": 0}
LEFT_OUT = frozenset({"status", "rating", "score", "name", "owner_id", "team_id"})
"""Fields that people fill in while they talk, or that tell the outcome."""
SPAN = dt.timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Examples:
    """Leads whose outcome is known, the oldest first, and which of them are held out."""

    rows: list[Mapping[str, Any]]
    outcomes: list[int]
    held: list[bool]
    by: str

    def part(self, held: bool) -> tuple[list[Mapping[str, Any]], list[int]]:
        """Those to learn from, or those to test on."""
        chosen = [at for at, is_held in enumerate(self.held) if is_held is held]
        return [self.rows[at] for at in chosen], [self.outcomes[at] for at in chosen]


def train(context: JobContext, model_id: str) -> str:
    """Learn from the leads whose outcome is known, and note how well that foretells the leads that were held out."""
    with context.site.read(context.actor) as reader:
        model = reader.get(ScoreModel, UUID(model_id))
        if model.state != "waiting":
            return ""
        chosen, problem = _fields(reader, model)
        examples = _examples(reader, chosen)
    rows, outcomes = examples.part(held=False)
    held_rows, held = examples.part(held=True)
    problem = problem or _too_few(outcomes, held)
    values: dict[str, Any] = {"state": "failed", "told": problem, "trained_at": utcnow()}
    if not problem:
        trial = learning.try_out(
            rows, outcomes, held_rows, held, chosen,
            lambda step: context.progress(step, learning.STEPS, _("Step %(step)s", step=step + 1)),
        )  # fmt: skip
        better = trial.log_loss < trial.base_log_loss and trial.auc > max(trial.best_auc, learning.CHANCE)
        told = _("It foretells better than the share and than any single field.") if better else (
            _("It does not foretell better than the plain ways beside it. Better not use it.")
        )  # fmt: skip
        values |= {
            "state": "ready", "told": told, "leads": len(rows), "held_out": len(held), "held_out_by": examples.by,
            "auc": trial.auc, "brier": trial.brier, "base_brier": trial.base_brier, "log_loss": trial.log_loss,
            "base_log_loss": trial.base_log_loss, "best_auc": trial.best_auc, "weights": trial.model.kept(),
            "best_field": _label(context, trial.best_field),
            "calibration": [list(group) for group in trial.calibration],
        }  # fmt: skip
    with context.site.write(context.actor) as unit:
        model = unit.get(ScoreModel, UUID(model_id))
        for name, value in values.items():
            setattr(model, name, value)
        unit.flush()
        context.finish_in(unit.session.connection(), values["told"])
    return str(values["told"])


def _fields(reader: Reader, model: ScoreModel) -> tuple[list[str], str]:
    """What to learn from: the fields that were named, else all that suit; and what is wrong with the names."""
    known = reader.site.meta(Lead).fields
    if not model.fields:
        return [f.name for f in known.values() if learning.suits(f) and f.name not in LEFT_OUT], ""
    wrong = [name for name in model.fields if name not in known or not learning.suits(known[name])]
    told = _("“%(name)s” is no field that can be learned from.", name=wrong[0]) if wrong else ""
    return [name for name in model.fields if name not in wrong], told


def _examples(reader: Reader, names: Sequence[str]) -> Examples:
    meta = reader.site.meta(Lead)
    found: list[tuple[dt.datetime, Mapping[str, Any], int]] = []
    for leads in _batches(reader, Lead.status.in_(OUTCOMES), newest=True):
        found += [(lead.created_at, learning.values_of(names, meta, lead), OUTCOMES[lead.status]) for lead in leads]
        if len(found) >= MOST:
            break
    found.reverse()
    later = bool(found) and found[-1][0] - found[0][0] >= SPAN
    if later:
        found.sort(key=lambda each: each[0])
    held = [at >= len(found) * 4 // 5 if later else at % 5 == 4 for at in range(len(found))]
    return Examples([each[1] for each in found], [each[2] for each in found], held, "later" if later else "rows")


def _batches(reader: Reader, *where: Any, newest: bool = False) -> Iterator[list[Lead]]:
    last: UUID | None = None
    while True:
        after = () if last is None else (Lead.id < last if newest else Lead.id > last,)
        order = Lead.id.desc() if newest else Lead.id
        leads = reader.all(Lead, Lead.archived_at.is_(None), *where, *after, order=order, limit=AT_ONCE)
        if not leads:
            return
        last = leads[-1].id
        yield leads
        reader.session.expunge_all()


def _too_few(outcomes: Sequence[int], held: Sequence[int]) -> str:
    fewest = min(sum(outcomes), len(outcomes) - sum(outcomes), 5 * sum(held), 5 * (len(held) - sum(held)))
    if fewest >= FEWEST:
        return ""
    return _(
        "There are too few leads to learn from: %(good)s that came to something and %(bad)s that did not suit. "
        "Of each, at least %(fewest)s are needed.",
        good=sum(outcomes) + sum(held), bad=len(outcomes) + len(held) - sum(outcomes) - sum(held),
        fewest=FEWEST * 5 // 4,
    )  # fmt: skip


def _label(context: JobContext, name: str) -> str:
    field = context.site.meta(Lead).fields.get(name)
    return _(field.label) if field is not None else name


def rate_all(context: JobContext) -> str:
    """Give every lead its score and its territory anew. What others change at the same time is not disturbed."""
    table: Any = Lead.__table__
    change = update(table).where(table.c.id == bindparam("lead")).values(
        score=bindparam("new_score"), territory_id=bindparam("new_territory")
    )  # fmt: skip
    with context.site.read(context.actor) as reader:
        total = reader.session.scalar(select(func.count()).select_from(Lead).where(Lead.archived_at.is_(None))) or 0
    last: UUID | None = None
    done = changed = 0
    while True:
        with context.site.write(context.actor) as unit:
            after = () if last is None else (Lead.id > last,)
            leads = unit.reader.all(Lead, Lead.archived_at.is_(None), *after, order=Lead.id, limit=AT_ONCE)
            rater = rater_of(unit.session)
            rated = [(lead, *rater.rate(lead)) for lead in leads]
            rows = [{"lead": lead.id, "new_score": score, "new_territory": place} for lead, score, place in rated
                    if (score, place) != (lead.score, lead.territory_id)]  # fmt: skip
            connection = unit.session.connection()
            if rows:
                connection.execute(change, rows)
            done, changed = done + len(leads), changed + len(rows)
            context.progress_in(connection, done, max(total, done))
        if len(leads) < AT_ONCE:
            break
        last = leads[-1].id
    return _("%(changed)s of %(all)s leads have another score or territory.", changed=changed, all=done)


def model_actions() -> list[Action]:
    """Use a trained score, or go back to the rules."""
    change = "sales.score_model.update"
    return [
        Action("sales.score_model", "use", "Use for scores", "circle-check", change, _use, primary=True,
               applies=lambda model: model.state == "ready"),
        Action("sales.score_model", "stop", "Stop using", "circle-x", change, _stop, primary=True,
               applies=lambda model: model.state == "active"),
    ]  # fmt: skip


def _use(unit: Unit, records: Sequence[ScoreModel], values: Mapping[str, Any]) -> str:
    (model,) = records
    if model.state != "ready":
        raise Invalid(Problem("state", _("is not “Ready”: only a score that was trained can be used.")))
    for other in unit.reader.all(ScoreModel, ScoreModel.state == "active"):
        other.state = "ready"
    unit.flush()
    return _set_state(unit, model, "active", _("The leads are being scored by it."))


def _stop(unit: Unit, records: Sequence[ScoreModel], values: Mapping[str, Any]) -> str:
    return _set_state(unit, records[0], "ready", _("The leads are being scored by the rules again."))


def _set_state(unit: Unit, model: ScoreModel, state: str, told: str) -> str:
    model.state = state
    unit.flush()
    rate_anew(unit.session)
    return told
