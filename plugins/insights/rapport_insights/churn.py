"""Who is likely to leave, why, and how far that can be relied upon.

What leaving is, a business decides: a field of customers says it, or that nothing is bought within so many days. For
the latter nothing is known that was not known on the day: facts are of a day in the past, the outcome is of the days
after it, and the model is judged on a later day than the one it learned from.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from rapport import Customer, Invalid, Problem
from rapport import gettext as _
from rapport_insights import drift as drifting
from rapport_insights.chances import STEPS, Chances, Trial, try_out
from rapport_insights.facts import bought, customers, fields_of, label_of, values_of
from rapport_insights.features import Feature, Values, feature_of
from rapport_insights.keepers import tell_keeper
from rapport_insights.kinds import Scores, Trained, Work
from rapport_insights.measured import windows

FEWEST = 50
"""Of either outcome, to learn from; a fifth of that is held out at least."""
MOST = 20_000
"""Of more customers, so many are learned from."""
ACTIVE_DAYS = 365
"""Who bought within so many days before is asked about; the others are gone already."""
FORETOLD = "foretold"


@dataclass(frozen=True, slots=True)
class Rows:
    """Customers, what is told of each, and whether they left (None: nobody knows yet)."""

    ids: list[Any]
    values: list[Values]
    outcomes: list[int]
    names: list[str]

    def part(self, held: bool) -> tuple[list[Values], list[int]]:
        """Every fifth is held out."""
        chosen = [at for at in range(len(self.ids)) if (at % 5 == 4) is held]
        return [self.values[at] for at in chosen], [self.outcomes[at] for at in chosen]


def train(work: Work) -> Trained:
    """Learn who leaves, both ways, and measure it on customers that were held out."""
    if _by_field(work):
        every = _by_label(work)
        rows, outcomes = every.part(held=False)
        held_rows, held = every.part(held=True)
        names, until = every.names, work.today
        how = _("Every fifth customer was held out.")
    else:
        days, purchases = _days(work), work.purchases()
        until = purchases.until
        earlier, later = (_by_purchases(work, until - dt.timedelta(days=days * times), days) for times in (2, 1))
        rows, outcomes, names = earlier.values, earlier.outcomes, earlier.names
        held_rows, held = later.values, later.outcomes
        how = _("It learned from a day %(before)s days ago and was held against one %(days)s days ago.",
                before=2 * days, days=days)  # fmt: skip
    _enough(outcomes, held)
    if len(rows) > MOST:
        work.tell(0, 0, _("Learning"))
        chosen = sorted(random.Random(1).sample(range(len(rows)), MOST))  # noqa: S311 - a sample, no secret
        rows, outcomes = [rows[at] for at in chosen], [outcomes[at] for at in chosen]
    trial = try_out(rows, outcomes, held_rows, held, names, lambda step: work.tell(step, STEPS, _("Learning")))
    foretold = feature_of(FORETOLD, _told_of(Chances.of(trial.chances.kept()), rows))
    return Trained(
        {
            "chances": trial.chances.kept(), "calibration": [list(group) for group in trial.calibration],
            "single": trial.best_field, "foretold": None if foretold is None else foretold.kept(),
        },
        len(rows), until, _errors(trial), f"{_told(work, trial)} {how}",
    )  # fmt: skip


def score(work: Work, parameters: Mapping[str, Any]) -> Scores:
    """The chance that each customer leaves, with the reasons, for those who have not left yet."""
    chances = Chances.of(parameters["chances"])
    rows = _today(work)
    stay = [at for at, left in enumerate(rows.outcomes) if not left]
    values = [rows.values[at] for at in stay]
    told = zip(stay, chances.of_rows(values), chances.reasons(values), strict=True)
    return {
        rows.ids[at]: {
            "churn": round(100 * float(chance)),
            "churn_reasons": [[reason.name, reason.bucket, reason.times] for reason in reasons],
        }
        for at, chance, reasons in told
    }  # fmt: skip


def drift(work: Work, parameters: Mapping[str, Any]) -> Decimal | None:
    """How far customers, and what is foretold of them, have moved since it was learned; much: its keeper is told."""
    from rapport_insights.training import current

    chances = Chances.of(parameters["chances"])
    values = _today(work).values
    found = drifting.drifted(chances.features, values)
    if parameters.get("foretold") and values:
        foretold = Feature.of(parameters["foretold"])
        told = _told_of(chances, values)
        found |= drifting.drifted([foretold], [{FORETOLD: each} for each in told])
    most = drifting.most(found)
    model = current(work.site, "churn")
    if most is not None and most > drifting.MUCH and model is not None:
        facts = [_name(work, name) for name, index in found.items() if index > float(drifting.MUCH)][:5]
        tell_keeper(work.site, model, _(
            "Customers are no longer those it was learned from. What changed most: %(facts)s. Train it anew, and see "
            "whether it still foretells better than the plain ways beside it.", facts=", ".join(facts),
        ))  # fmt: skip
    return most


# Examples ------------------------------------------------------------------------------------------------------------


def _by_field(work: Work) -> bool:
    return bool(work.site.settings.get("insights.churn_by") == "field")


def _days(work: Work) -> int:
    return max(1, int(work.site.settings.get("insights.churn_days") or 90))


def _without(work: Work) -> list[str]:
    return str(work.site.settings.get("insights.churn_without") or "").replace(",", " ").split()


def _today(work: Work) -> Rows:
    """Every customer as they are now, of those that such a model is learned from."""
    return _by_label(work) if _by_field(work) else _by_purchases(work, work.purchases().until, 0)


def _by_label(work: Work) -> Rows:
    """Customers by their fields; a field says who has left. What they did lately is left out: it follows from that."""
    site = work.site
    label = str(site.settings.get("insights.churn_field") or "").strip()
    field = site.meta(Customer).fields.get(label)
    if field is None or field.secret:
        raise Invalid(Problem(None, _("The setting “Field that says who has left” names no field of customers.")))
    said = str(site.settings.get("insights.churn_left") or "")
    left = {value.strip() for value in said.split(",") if value.strip()} or {"True"}
    names = fields_of(site, [label, *_without(work)])
    rows = Rows([], [], [], names)
    with site.read(work.context.actor) as reader:
        for some in customers(reader):
            rows.ids.extend(each.id for each in some)
            rows.outcomes.extend(int(str(getattr(each, label)) in left) for each in some)
            rows.values.extend(values_of(site, names, each, work.today) for each in some)
            work.tell(len(rows.ids), 0, _("Reading"))
    return rows


def _by_purchases(work: Work, on: dt.date, days: int) -> Rows:
    """Those who had bought in the year before a day; whoever bought nothing in the days after it has left."""
    purchases = work.purchases()
    known = bought(purchases, on)
    asked = {who: facts for who, facts in known.items() if facts["purchases.last"] < ACTIVE_DAYS}
    end = on + dt.timedelta(days=days)
    again = {who for who, day, _amount in purchases.rows if on < day <= end}
    fields, measured = fields_of(work.site, _without(work), custom=False), windows(work, on)
    of_fields: dict[Any, dict[str, Any]] = {}
    with work.site.read(work.context.actor) as reader:
        for some in customers(reader):
            of_fields |= {each.id: values_of(work.site, fields, each, on) for each in some if each.id in asked}
            work.tell(len(of_fields), 0, _("Reading"))
    ids = sorted(of_fields)
    names = sorted({name for facts in asked.values() for name in facts} | {n for row in measured.values() for n in row})
    values: list[Values] = [
        {**dict.fromkeys(names), **of_fields[who], **asked[who], **measured.get(who, {})} for who in ids
    ]
    return Rows(ids, values, [int(bool(days) and who not in again) for who in ids], [*fields, *names])


def _enough(outcomes: Sequence[int], held: Sequence[int]) -> None:
    fewest = min(sum(outcomes), len(outcomes) - sum(outcomes), 5 * sum(held), 5 * (len(held) - sum(held)))
    if fewest < FEWEST:
        raise Invalid(Problem(None, _(
            "There are too few customers to learn from: %(left)s left and %(stay)s stayed. Of each, about "
            "%(fewest)s are needed.", left=sum(outcomes) + sum(held), fewest=FEWEST * 5 // 4,
            stay=len(outcomes) + len(held) - sum(outcomes) - sum(held),
        )))  # fmt: skip


# What came of it -----------------------------------------------------------------------------------------------------


def _errors(trial: Trial) -> dict[str, dict[str, float]]:
    """The error on those held out, beside that of the plain ways: the share for all, and the best single fact."""
    return {
        "AUC": {"model": round(trial.measured.auc, 4), "baseline": round(trial.single.auc, 4)},
        "Brier": {"model": round(trial.measured.brier, 4), "baseline": round(trial.share.brier, 4)},
        "Log loss": {"model": round(trial.measured.log_loss, 4), "baseline": round(trial.share.log_loss, 4)},
        "Lift": {"model": round(trial.measured.lift, 2), "baseline": round(trial.single.lift, 2)},
    }


def _told(work: Work, trial: Trial) -> str:
    share = f"{100 * trial.happened:.0f} %"
    said = _(
        "%(share)s left; of the tenth with the highest chances, %(lift)s times as many. The best single fact is "
        "“%(fact)s”.", share=share, lift=f"{trial.measured.lift:.1f}", fact=label_of(work.site, trial.best_field),
    )  # fmt: skip
    way = _("Trees foretold customers it had not seen clearly better than weights, so it goes by trees.") if (
        trial.chances.kind == "boosted"
    ) else _("It goes by weights: trees did not foretell customers it had not seen clearly better.")  # fmt: skip
    good = _("It foretells better than the plain ways beside it.") if trial.better else (
        _("It does not foretell better than the plain ways beside it. Better not use it.")
    )  # fmt: skip
    return f"{good} {said} {way}"


def _told_of(chances: Chances, rows: Sequence[Values]) -> list[float]:
    """The chances to tell buckets by: rounded, so that the same one never falls into two."""
    return [round(float(each), 3) for each in chances.of_rows(rows)]


def _name(work: Work, name: str) -> str:
    return _("what is foretold") if name == FORETOLD else label_of(work.site, name)
