"""What is kept of dashboards: the dashboards, their cards, targets to reach, and alerts when a figure goes astray."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from rapport_warehouse import Question
from sqlalchemy import ColumnElement, UniqueConstraint, or_, select
from sqlalchemy.orm import Mapped, Session

from rapport import N_, Actor, Choice, Entity, Forbidden, Invalid, Owned, Problem, field, ref
from rapport import gettext as _

DASHBOARD = "dashboards.dashboard"
OWN = {
    "manager": "read create update delete export import",
    "member": "read:own create update:own delete:own",
    "viewer": "read:own",
}
PARTS = {
    "manager": "read create update delete export import",
    "member": "read create update delete",
    "viewer": "read",
}
"""Of one's own dashboards only: a card is within reach with its dashboard, see `Card.row_scope`."""
DECIDED = {"manager": "read create update delete export import", "member": "read", "viewer": "read"}

SHARED = [
    Choice("nobody", "Only me", "secondary"), Choice("team", "My team", "azure"),
    Choice("everybody", "Everybody", "green"),
]  # fmt: skip
SHAPES = [
    Choice("figure", "Figure with comparison"), Choice("bar", "Bars"), Choice("stacked", "Stacked bars"),
    Choice("line", "Line"), Choice("area", "Area"),
    Choice("pie", "Pie"), Choice("funnel", "Funnel"), Choice("heatmap", "Heat map"), Choice("table", "Table"),
    Choice("gauge", "Gauge against a target"), Choice("list", "List of records"),
    Choice("panel", "What a module shows"),
]  # fmt: skip
WITHOUT_FIGURES = {"list", "panel"}
"""Shapes that ask the warehouse nothing."""
SIZES = [
    Choice("quarter", "A quarter of the width"), Choice("third", "A third"), Choice("half", "Half"),
    Choice("wide", "Two thirds"), Choice("full", "The whole width"),
]  # fmt: skip
PERIODS = [Choice("month", "Month"), Choice("quarter", "Quarter"), Choice("year", "Year")]
DIRECTIONS = [Choice("least", "At least"), Choice("most", "At most")]
CONDITIONS = [
    Choice("below", "falls below"), Choice("above", "rises above"),
    Choice("fell", "fell by more than … % against the time before"),
    Choice("rose", "rose by more than … % against the time before"),
]  # fmt: skip
WAYS = [Choice("task", "A task for them"), Choice("mail", "Mail to them")]
OFTEN = [
    Choice("refresh", "With every refresh of the figures"),
    Choice("day", "Once a day"),
    Choice("week", "Once a week"),
]


class Dashboard(
    Owned, Entity, name=DASHBOARD, title="Dashboard", icon="dashboard", roles=OWN, listed=False, display="name",
    natural_key=("name",),
):  # fmt: skip
    """Cards that answer what somebody asks in the morning. Whoever looks sees the figures of their own records."""

    name: Mapped[str] = field(label="Name", max_length=80, searchable=True, in_list=True)
    note: Mapped[str] = field(label="What it answers", default="", max_length=200, in_list=True)
    shared: Mapped[str] = field(label="Who may see it", choices=SHARED, default="nobody", in_list=True)
    roles: Mapped[tuple[str, ...]] = field(
        label="First for", kind="tags", in_list=True,
        help="Roles, such as manager: whoever has one gets it before the others.",
    )  # fmt: skip
    position: Mapped[int] = field(label="Position", default=100, help="Among the dashboards of one’s roles.")

    @classmethod
    def is_shared(cls) -> ColumnElement[bool]:
        """What is for everybody is found by people who otherwise see their own only."""
        return cls.shared == "everybody"

    @classmethod
    def is_configuration(cls) -> ColumnElement[bool]:
        """What somebody made for themselves is theirs, not the site's."""
        return cls.shared == "everybody"

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """A team's dashboard is seen by the team."""
        if scope is None or action != "read" or not actor.team_ids:
            return scope
        return or_(scope, (cls.shared == "team") & cls.team_id.in_(actor.team_ids))

    def validate(self) -> Sequence[Problem]:
        """What is for a team names the team."""
        wrong = self.shared == "team" and self.team_id is None
        return [Problem("team_id", _("is needed: whose dashboard is it?"))] if wrong else []


class Card(
    Entity, name="dashboards.card", title="Card", icon="layout-grid", roles=PARTS, listed=False, display="title",
    natural_key=("dashboard_id", "title"),
):  # fmt: skip
    """One question of a dashboard and the shape of its answer."""

    __table_args__ = (UniqueConstraint("dashboard_id", "title"),)

    dashboard_id: Mapped[UUID] = ref(DASHBOARD, label="Dashboard")
    title: Mapped[str] = field(label="Title", max_length=80, in_list=True)
    note: Mapped[str] = field(label="What it says", default="", max_length=300)
    shape: Mapped[str] = field(label="Shape", choices=SHAPES, default="figure", in_list=True)
    question: Mapped[dict[str, Any]] = field(
        label="Question", kind="json", default=dict, help="As the page of analyses keeps it."
    )
    entity: Mapped[str] = field(label="Kind of record", default="", help="For a list of records.")
    panel: Mapped[str] = field(label="What a module shows", default="", max_length=200)
    filter: Mapped[str] = field(label="Filter", kind="longtext", default="", help="Which records the list shows.")
    sort: Mapped[str] = field(label="Order", default="")
    columns: Mapped[tuple[str, ...]] = field(
        label="Beside the title", kind="tags", help="Fields of the records listed."
    )
    size: Mapped[str] = field(label="Size", choices=SIZES, default="third", in_list=True)
    position: Mapped[int] = field(label="Position", default=0, in_list=True)

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """Cards are read with their dashboard, and changed by those who may change it."""
        return _with_dashboard(cls.dashboard_id, scope, actor, action)

    def complete(self, session: Session) -> None:
        """A card joins a dashboard that its maker may change."""
        dashboard = session.get(Dashboard, self.dashboard_id)
        if dashboard is not None:
            check_may_arrange(session, dashboard)

    def validate(self) -> Sequence[Problem]:
        """A list names its records, and a piece of a module that piece; everything else asks a question."""
        if self.shape == "panel":
            return [] if self.panel else [Problem("panel", _("is needed: what does the card show?"))]
        if self.shape == "list":
            return [] if self.entity else [Problem("entity", _("is needed for a list of records."))]
        try:
            if self.question:  # an empty one says on the card that something is to be chosen
                Question.from_json(self.question)
        except Invalid as error:
            return [Problem("question", each.message) for each in error.problems]
        return []


class Target(
    Entity, name="dashboards.target", title="Target", icon="target", roles=DECIDED, listed=False, display="name",
    natural_key=("name",),
):  # fmt: skip
    """What a figure should be by the end of a month, a quarter or a year."""

    name: Mapped[str] = field(label="Name", max_length=80, in_list=True, searchable=True)
    measure: Mapped[str] = field(label="Figure", in_list=True, indexed=True)
    value: Mapped[Decimal] = field(label="Target", kind="decimal", in_list=True)
    period: Mapped[str] = field(label="In a", choices=PERIODS, default="month", in_list=True)
    direction: Mapped[str] = field(label="Direction", choices=DIRECTIONS, default="least", in_list=True)
    currency: Mapped[str] = field(
        label="Currency", default="", max_length=3, help="Of an amount; empty: the business’s."
    )

    def validate(self) -> Sequence[Problem]:
        """It is a target for something."""
        return [] if self.value > 0 else [Problem("value", _("must be more than 0."))]


class Alert(
    Owned, Entity, name="dashboards.alert", title="Alert", icon="bell-ringing", roles=OWN, listed=False, display="name",
):  # fmt: skip
    """Tells somebody when a card's figure goes where it should not; once, until it is well again."""

    name: Mapped[str] = field(label="Name", max_length=80, in_list=True, searchable=True)
    card_id: Mapped[UUID] = ref("dashboards.card", label="Card", in_list=True)
    condition: Mapped[str] = field(label="When it", choices=CONDITIONS, default="below", in_list=True)
    threshold: Mapped[Decimal] = field(label="Threshold", kind="decimal", in_list=True)
    user_id: Mapped[UUID | None] = ref(
        "user", label="Tell", on_delete="SET NULL", in_list=True, help="Left empty: its owner."
    )
    tell_team_id: Mapped[UUID | None] = ref("team", label="Tell a team", on_delete="SET NULL")
    way: Mapped[str] = field(label="How", choices=WAYS, default="task", in_list=True)
    often: Mapped[str] = field(label="How often it is checked", choices=OFTEN, default="refresh")
    active: Mapped[bool] = field(label="In force", default=True, in_list=True)
    checked_at: Mapped[dt.datetime | None] = field(label="Checked", readonly=True)

    def complete(self, session: Session) -> None:
        """It watches a card that has a figure."""
        card = session.get(Card, self.card_id)
        if card is not None and card.shape in WITHOUT_FIGURES:
            raise Invalid(Problem("card_id", _("has no figure to watch.")))


class AlertState(
    Entity, name="dashboards.alert_state", title="State of an alert", plural="States of alerts", icon="bell",
    roles={"manager": "read", "member": "read", "viewer": "read"}, listed=False, display="state",
):  # fmt: skip
    """How things stand between an alert and one of those it tells: each by the figures that they themselves may see."""

    __table_args__ = (UniqueConstraint("alert_id", "user_id"),)

    alert_id: Mapped[UUID] = ref("dashboards.alert", label="Alert", readonly=True)
    user_id: Mapped[UUID] = ref("user", label="Person", readonly=True, in_list=True)
    state: Mapped[str] = field(
        label="State", choices=[Choice("well", "Well", "green"), Choice("astray", "Astray", "red")], default="well",
        readonly=True, in_list=True,
    )  # fmt: skip
    value: Mapped[Decimal | None] = field(label="Figure", kind="decimal", readonly=True, in_list=True)
    told_at: Mapped[dt.datetime | None] = field(label="Told", readonly=True, in_list=True)

    @classmethod
    def row_scope(cls, scope: ColumnElement[bool] | None, actor: Actor, action: str) -> ColumnElement[bool] | None:
        """The figure is what that person may see, so it is nobody else's business."""
        return None if actor.unlimited else cls.user_id == actor.id


def _with_dashboard(
    column: Any, scope: ColumnElement[bool] | None, actor: Actor, action: str
) -> ColumnElement[bool] | None:
    if action == "read" or actor.reach(f"{DASHBOARD}.update") == "all":
        return scope
    own = Dashboard.__table__.c  # the bare table: its own scope is not asked again
    mine: ColumnElement[bool] = column.in_(select(own.id).where(own.owner_id == actor.id))
    return mine if scope is None else scope & mine


def may_arrange(actor: Actor, dashboard: Dashboard) -> bool:
    """Whether somebody may change a dashboard and its cards."""
    reach = actor.reach(f"{DASHBOARD}.update")
    return reach == "all" or (reach is not None and dashboard.owner_id == actor.id and actor.id is not None)


def check_may_arrange(session: Session, dashboard: Dashboard) -> None:
    """Refuse what touches a dashboard of somebody else's."""
    unit = getattr(session, "unit", None)
    if unit is not None and not may_arrange(unit.actor, dashboard):
        text = _("This dashboard is somebody else’s. Copy it, and change the copy.")
        raise Forbidden(f"{DASHBOARD}.update", text)


KIND_OF_PERIOD = {"month": "this month", "quarter": "this quarter", "year": "this year"}
"""The period of a question that a target of this period is compared with."""
ALL_TIME = N_("At any time")
