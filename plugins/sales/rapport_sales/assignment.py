"""Who gets a lead: rules in order, by person, in turn, by load or by territory, and why it went to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Mapped, Session

from rapport import (
    Choice,
    Conditions,
    Entity,
    Invalid,
    Membership,
    Problem,
    Team,
    Unit,
    User,
    field,
    ref,
    setting_of,
    stages_of,
    utcnow,
    uuid7,
)
from rapport import gettext as _
from rapport_sales import rating
from rapport_sales.entities import Lead, Opportunity, Turn
from rapport_sales.scoring import RULES, check_condition

SCOPED = rating.SCOPED
KEPT = "sales.assigner"
OPEN_LEADS = ("new", "working", "qualified")


class AssignmentRule(
    Entity, name="sales.assignment_rule", title="Assignment rule", icon="user-share", roles=RULES, display="name",
    natural_key=("name",),
):  # fmt: skip
    """Which leads go to whom. The first rule that a lead meets, and that finds somebody, decides."""

    name: Mapped[str] = field(label="Name", unique=True, searchable=True, in_list=True)
    condition: Mapped[str] = field(
        label="Condition", default="", in_list=True, help="In the language of lists: score >= 50. Empty: every lead."
    )
    method: Mapped[str] = field(
        label="Goes to",
        choices=[
            Choice("person", "A person", "azure"), Choice("turn", "The team, in turn", "blue"),
            Choice("load", "The team, whoever has least to do", "teal"),
            Choice("territory", "Whoever has the territory", "indigo"),
        ],
        default="turn",
        in_list=True,
    )  # fmt: skip
    user_id: Mapped[UUID | None] = ref("user", label="Person", on_delete="SET NULL", in_list=True)
    team_id: Mapped[UUID | None] = ref("team", label="Team", on_delete="SET NULL", in_list=True)
    capacity: Mapped[int | None] = field(
        label="Capacity",
        help="Who has so many open leads and opportunities gets no more by load. Left empty: no limit.",
    )
    position: Mapped[int] = field(label="Position", default=0, in_list=True, help="Smaller ones are asked first.")
    active: Mapped[bool] = field(label="In force", default=True, in_list=True)

    def complete(self, session: Session) -> None:
        """Refuse a condition that leads cannot be asked."""
        check_condition(session, self.condition)

    def validate(self) -> Sequence[Problem]:
        """A capacity is a number of things."""
        wrong = self.capacity is not None and self.capacity < 1
        return [Problem("capacity", _("must be more than 0."))] if wrong else []


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who gets a lead, in which team's name, and why, in words."""

    user_id: UUID
    why: str
    team_id: UUID | None = None


class Assigner:
    """The rules in force, read once for a unit of work, and what it has handed out so far."""

    def __init__(self, session: Any) -> None:
        self.session: Session = session
        self.rules = session.scalars(
            select(AssignmentRule).where(AssignmentRule.active, AssignmentRule.archived_at.is_(None))
            .order_by(AssignmentRule.position, AssignmentRule.name),
            execution_options=SCOPED,
        ).all()  # fmt: skip
        self._conditions = Conditions(session.unit.site, session, Lead, [rule.condition for rule in self.rules])
        self._loads: dict[UUID, dict[UUID, int]] = {}

    def choose(self, lead: Lead) -> Chosen | None:
        """Who gets a lead by the rules; None where none of them finds anybody."""
        if not self.rules:
            return None
        rating.rate(lead, self.session)
        for rule, met in zip(self.rules, self._conditions.met_by(lead), strict=True):
            if met and (chosen := self._by(rule, lead)) is not None:
                return chosen
        return None

    def _by(self, rule: AssignmentRule, lead: Lead) -> Chosen | None:
        match rule.method:
            case "person":
                fits = rule.user_id is not None and is_active(self.session, rule.user_id)
                why = _("Rule “%(rule)s”", rule=rule.name)
                return Chosen(rule.user_id, why, rule.team_id) if fits and rule.user_id is not None else None
            case "turn":
                return self._in_turn(rule.team_id, _("Rule “%(rule)s”: it was their turn", rule=rule.name))
            case "load":
                return self._by_load(rule)
            case _:
                return self._by_territory(rule, lead)

    def _in_turn(self, team_id: UUID | None, why: str) -> Chosen | None:
        person = _next_of(self.session, team_id) if team_id is not None else None
        return Chosen(person, why, team_id) if person is not None else None

    def _by_load(self, rule: AssignmentRule) -> Chosen | None:
        if rule.team_id is None:
            return None
        if rule.team_id not in self._loads:
            self._loads[rule.team_id] = loads(self.session, members(self.session, rule.team_id))
        load = self._loads[rule.team_id]
        free = {each: many for each, many in load.items() if rule.capacity is None or many < rule.capacity}
        if not free:
            return None
        person = min(free, key=lambda each: (free[each], each))
        text = _("Rule “%(rule)s”: least to do, with %(many)s open", rule=rule.name, many=load[person])
        load[person] += 1
        return Chosen(person, text, rule.team_id)

    def _by_territory(self, rule: AssignmentRule, lead: Lead) -> Chosen | None:
        rater = rating.rater_of(self.session)
        place = next((row for row in rater.territories if row.id == lead.territory_id), None)
        if place is None:
            return None
        why = _("Rule “%(rule)s”: territory %(place)s", rule=rule.name, place=place.name)
        if place.user_id is not None and is_active(self.session, place.user_id):
            return Chosen(place.user_id, why, place.team_id)
        return self._in_turn(place.team_id, why)


def assigner_of(session: Any) -> Assigner:
    """The assigner of a unit of work, made for its first lead."""
    known: Assigner | None = session.info.get(KEPT)
    if known is None:
        known = session.info[KEPT] = Assigner(session)
    return known


def choose(lead: Lead, session: Session) -> Chosen | None:
    """Who gets a lead: by the rules, else by the settings `sales.lead_assignment` and `sales.lead_team`."""
    chosen = assigner_of(session).choose(lead)
    if chosen is not None or setting_of(session, "sales.lead_assignment") != "round_robin":
        return chosen
    return _by_setting(session)


def _by_setting(session: Session) -> Chosen | None:
    team = str(setting_of(session, "sales.lead_team"))
    person = next_in_turn(session, team)
    return None if person is None else Chosen(person, _("It was their turn in the team %(team)s", team=team))


def choose_owner(record: Entity, session: Session) -> UUID | None:
    """The owner of a new lead that came without one. Saving it then notes why."""
    if not isinstance(record, Lead):
        return None
    chosen = choose(record, session)
    if chosen is None:
        return None
    vars(record)[rating.ASSIGNED] = chosen
    return chosen.user_id


def assign(unit: Unit, leads: Sequence[Lead], owner_id: UUID | None = None) -> None:
    """Give leads to somebody, or, without a name, to whom the rules say, else to whoever's turn it is."""
    for lead in leads:
        if owner_id is not None:
            unit.update(lead, {"owner_id": owner_id})
            continue
        chosen = assigner_of(unit.session).choose(lead) or _by_setting(unit.session)
        if chosen is None:
            raise Invalid(Problem("owner_id", _nobody(unit)))
        _give(unit, lead, chosen)


def assign_anew(unit: Unit, leads: Sequence[Lead]) -> int:
    """Give leads to whom the rules say as things are now. Returns how many of them nobody was found for."""
    left = 0
    for lead in leads:
        chosen = choose(lead, unit.session)
        if chosen is None:
            left += 1
        else:
            _give(unit, lead, chosen)
    return left


def _give(unit: Unit, lead: Lead, chosen: Chosen) -> None:
    vars(lead)[rating.ASSIGNED] = chosen
    values: dict[str, Any] = {"owner_id": chosen.user_id}
    if chosen.team_id is not None:
        values["team_id"] = chosen.team_id
    unit.update(lead, values)
    if (kept := vars(lead).pop(rating.ASSIGNED, None)) is not None and lead.assignment != kept.why:
        lead.assignment = kept.why  # they had it before; the reason may be another now
        unit.flush()


def _nobody(unit: Unit) -> str:
    team = str(setting_of(unit.session, "sales.lead_team"))
    if team:
        return _(
            "is missing. The team '%(team)s' has no members. Name an owner, or set the team in the settings.", team=team
        )
    return _("is missing. No rule finds anybody, and no team takes leads in rotation. Name an owner, or make a rule.")


# People --------------------------------------------------------------------------------------------------------------


def members(session: Session, team_id: UUID) -> list[UUID]:
    """The people of a team who are at work, always in the same order."""
    found = session.scalars(
        select(User.id).join(Membership, Membership.user_id == User.id).join(Team, Team.id == Membership.team_id)
        .where(Team.id == team_id, Team.archived_at.is_(None), User.active, User.archived_at.is_(None))
        .order_by(User.id),
        execution_options=SCOPED,
    )  # fmt: skip
    return list(found)


def is_active(session: Session, user_id: UUID) -> bool:
    """Whether somebody is at work."""
    known = select(User.id).where(User.id == user_id, User.active, User.archived_at.is_(None))
    return session.scalar(known, execution_options=SCOPED) is not None


def loads(session: Session, people: Sequence[UUID]) -> dict[UUID, int]:
    """How many open leads and opportunities each of them has."""
    stages = [stage.id for stage in stages_of(session, Opportunity.meta.name) if stage.kind == "open"]
    many = dict.fromkeys(people, 0)
    for entity, is_open in ((Lead, Lead.status.in_(OPEN_LEADS)), (Opportunity, Opportunity.stage_id.in_(stages))):
        counted = (
            select(entity.owner_id, func.count())
            .where(entity.owner_id.in_(people), is_open, entity.archived_at.is_(None)).group_by(entity.owner_id)
        )  # fmt: skip
        for person, count in session.execute(counted, execution_options=SCOPED):
            if person is not None:
                many[person] += count
    return many


def next_in_turn(session: Session, team: str) -> UUID | None:
    """Whose turn it is in the team of a name, and count it; None for an unknown or empty team."""
    named = select(Team.id).where(Team.name == team, Team.archived_at.is_(None))
    team_id = session.scalar(named, execution_options=SCOPED)
    return None if team_id is None else _next_of(session, team_id)


def _next_of(session: Session, team_id: UUID) -> UUID | None:
    """Whose turn it is in a team, and count it: everybody gets as many as the others, give or take one.

    The count is a row that is locked until the caller's transaction ends, so two leads at one moment go to two people,
    and a lead that was not saved after all has used up nobody's turn.
    """
    people = members(session, team_id)
    if not people:
        return None
    return people[(_count(session, team_id) - 1) % len(people)]


def _count(session: Session, team_id: UUID) -> int:
    connection = session.connection()
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    now = utcnow()
    first = dialect.insert(Turn).values(
        id=uuid7(), version=1, team_id=team_id, taken=0, created_at=now, updated_at=now, archived_at=None
    )
    connection.execute(first.on_conflict_do_nothing(index_elements=["team_id"]))
    counted = update(Turn).where(Turn.team_id == team_id).values(taken=Turn.taken + 1).returning(Turn.taken)
    return int(connection.scalar(counted) or 1)
