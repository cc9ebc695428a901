"""Scores of leads: points by rules that people write, or a chance learned from the leads that went before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Mapped, Session

from rapport import Choice, Entity, Invalid, Problem, Unit, enqueue_job, field, system, wrong_with
from rapport import gettext as _

RULES = {"manager": "read create update delete export import"}
"""For those who decide how work is done; what follows from it is shown to everybody where it matters."""
SETUP = {"manager": "read create update delete export import", "member": "read", "viewer": "read"}
RATE_JOB = "sales.rate_leads"
TRAIN_JOB = "sales.train_scores"
LEAD = "sales.lead"
CONDITION_HELP = 'In the language of lists: source = "Fair" and address.country = "FR". Empty: every lead.'


class ScoreRule(
    Entity, name="sales.score_rule", title="Scoring rule", icon="list-check", roles=RULES, display="name",
    natural_key=("name",),
):  # fmt: skip
    """Points that a lead gets when it meets a condition, and the reason as people read it."""

    name: Mapped[str] = field(
        label="Reason",
        unique=True,
        searchable=True,
        in_list=True,
        help="As it is shown on a lead: Came by recommendation.",
    )
    condition: Mapped[str] = field(label="Condition", default="", in_list=True, help=CONDITION_HELP)
    points: Mapped[int] = field(label="Points", default=10, in_list=True, help="Less than 0 speaks against a lead.")
    active: Mapped[bool] = field(label="In force", default=True, in_list=True)

    def complete(self, session: Session) -> None:
        """Refuse a condition that leads cannot be asked."""
        check_condition(session, self.condition)

    def validate(self) -> Sequence[Problem]:
        """Points stay within what can be compared."""
        wrong = abs(self.points) > 1000
        return [Problem("points", _("must be between -1000 and 1000."))] if wrong else []

    @classmethod
    def follow_up(cls, records: Sequence[ScoreRule], session: Session) -> None:
        """Every lead is scored anew."""
        rate_anew(session)


class ScoreModel(
    Entity, name="sales.score_model", title="Trained score", icon="chart-dots", roles=RULES, display="name"
):
    """What was learned from the leads whose outcome is known, how well it foretells, and whether scores go by it."""

    name: Mapped[str] = field(label="Version", searchable=True, in_list=True, unique=True, help="Such as 2027-03.")
    fields: Mapped[tuple[str, ...]] = field(
        label="Fields", kind="tags",
        help="What to learn from, as the API names it: source, language, x_visits. Choose what is known before anybody "
        "talks with the lead. Left empty: whatever suits.",
    )  # fmt: skip
    state: Mapped[str] = field(
        label="State",
        choices=[
            Choice("waiting", "Is being trained", "azure"), Choice("ready", "Ready", "teal"),
            Choice("active", "Scores go by it", "green"), Choice("failed", "Could not be trained", "red"),
        ],
        default="waiting",
        readonly=True,
        in_list=True,
    )  # fmt: skip
    told: Mapped[str] = field(label="What came of it", default="", readonly=True)
    trained_at: Mapped[dt.datetime | None] = field(label="Trained", readonly=True, in_list=True)
    leads: Mapped[int] = field(label="Leads it learned from", default=0, readonly=True, section="How well it foretells")
    held_out: Mapped[int] = field(
        label="Leads held out", default=0, readonly=True, section="How well it foretells",
        help="They were kept back while it learned; the figures below are about them.",
    )  # fmt: skip
    held_out_by: Mapped[str] = field(
        label="Held out", default="", readonly=True, section="How well it foretells",
        choices=[
            Choice("", "Not yet"), Choice("later", "The latest fifth, as time passed"),
            Choice("rows", "Every fifth lead"),
        ],
    )  # fmt: skip
    auc: Mapped[Decimal | None] = field(
        label="AUC", readonly=True, in_list=True, section="How well it foretells",
        help="Of two leads, one that came to something and one that did not: how often the former has the higher "
        "score. 0.5 is chance, 1 is perfect.",
    )  # fmt: skip
    best_field: Mapped[str] = field(
        label="Best single field", default="", readonly=True, section="How well it foretells",
        help="The one field that would foretell best by itself, to compare with.",
    )  # fmt: skip
    best_auc: Mapped[Decimal | None] = field(label="AUC of that field", readonly=True, section="How well it foretells")
    log_loss: Mapped[Decimal | None] = field(
        label="Log loss", readonly=True, section="How well it foretells", help="Less is better."
    )
    base_log_loss: Mapped[Decimal | None] = field(
        label="Log loss of the share", readonly=True, section="How well it foretells",
        help="If every lead were given the same chance: the share that came to something before.",
    )  # fmt: skip
    brier: Mapped[Decimal | None] = field(
        label="Brier score", readonly=True, in_list=True, section="How well it foretells",
        help="The mean squared distance between chance and outcome. Less is better.",
    )  # fmt: skip
    base_brier: Mapped[Decimal | None] = field(
        label="Brier score of the share", readonly=True, section="How well it foretells"
    )
    weights: Mapped[dict[str, Any]] = field(label="Weights", kind="json", default=dict, readonly=True, hidden=True)
    calibration: Mapped[list[Any]] = field(label="Calibration", kind="json", default=list, readonly=True, hidden=True)

    @classmethod
    def follow_up(cls, records: Sequence[ScoreModel], session: Session) -> None:
        """A new version is trained at once."""
        unit: Unit = session.unit  # type: ignore[attr-defined]
        for model in records:
            if model.state == "waiting" and model.archived_at is None:
                arguments = {"model_id": str(model.id)}
                enqueue_job(session.connection(), TRAIN_JOB, arguments, actor=unit.actor, key=str(model.id))


def check_condition(session: Any, text: str) -> None:
    """Invalid when leads cannot be asked a condition."""
    site = session.unit.site
    if text and (wrong := wrong_with(site, text, site.meta_named(LEAD))):
        raise Invalid(Problem("condition", wrong))


def rate_anew(session: Session) -> None:
    """Have every lead rated again: what they are rated by has changed. Asked for often, it is done once."""
    enqueue_job(session.connection(), RATE_JOB, {}, actor=system("scores of leads"), key="all")
