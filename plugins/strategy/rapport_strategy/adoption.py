"""Adoption: who works with what, how soon, how good the records are, and which customers have a next step."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Index, Text, UniqueConstraint, and_, cast, exists, func, or_, select
from sqlalchemy.orm import Mapped

from rapport import (
    Customer,
    Entity,
    Interaction,
    JobContext,
    Membership,
    Owned,
    Problem,
    Reader,
    Site,
    Task,
    Team,
    User,
    done_after,
    ref,
    utcnow,
)
from rapport import field as field_
from rapport import gettext as _
from rapport_strategy import hookspecs
from rapport_strategy.common import SCOPED, formats_of, share
from rapport_strategy.hookspecs import NextStep

JOB = "strategy.count"
COMPARE = "strategy.rollout.compare"
WEEK = 7
STALE = dt.timedelta(days=365)
AT_ONCE = 20_000
BY_HAND = ("web", "api")
"""The ways in which people work. What an import, a plugin or the system does is nobody's use."""


class Activity(
    Entity, name="strategy.activity", title="Use on a day", plural="Use by day", icon="activity", listed=False,
    roles={}, display="module",
):  # fmt: skip
    """How much somebody did with a module on a day. People see their own figures; see `people_in_reach`."""

    __table_args__ = (
        UniqueConstraint("user_id", "on", "module"),
        Index("ix_strategy_activity_day", "on", "user_id"),
    )

    user_id: Mapped[UUID] = ref("user", readonly=True, on_delete="CASCADE")
    on: Mapped[dt.date] = field_(label="Day", readonly=True)
    module: Mapped[str] = field_(label="Module", readonly=True)
    actions: Mapped[int] = field_(label="Changes", default=0, readonly=True)
    made: Mapped[int] = field_(label="Records made", default=0, readonly=True)
    seq: Mapped[int] = field_(label="Counted up to", default=0, readonly=True, indexed=True)
    """The last entry of the log that is in it: counting goes on after the highest of all."""


class Rollout(
    Owned, Entity, name="strategy.rollout", title="Rollout", icon="rocket", roles={
        "manager": "read create update delete export import compare:team", "member": "read", "viewer": "read"},
    display="title", verbs={"compare": "See how much each person uses it"},
):  # fmt: skip
    """A module for a team, from a day on, with somebody who helps the others, and how many are to use it by when."""

    title: Mapped[str] = field_(label="Phase", searchable=True, in_list=True)
    module: Mapped[str] = field_(
        label="Module", default="", in_list=True, help="Such as sales. Left empty: whatever they do counts."
    )
    team_id: Mapped[UUID] = ref("team", label="Team", in_list=True)
    starts_on: Mapped[dt.date] = field_(label="Starts on", in_list=True)
    champion_id: Mapped[UUID | None] = ref(
        "user", label="Champion", on_delete="SET NULL", in_list=True, help="Who in the team helps the others."
    )
    first_share: Mapped[int] = field_(label="Use it at first, in %", default=80, section="Targets")
    first_months: Mapped[int] = field_(label="After months", default=6, section="Targets")
    then_share: Mapped[int] = field_(label="Use it in the end, in %", default=95, section="Targets")
    then_months: Mapped[int] = field_(label="After so many months", default=12, section="Targets")
    note: Mapped[str] = field_(label="Note", kind="longtext", default="")

    def validate(self) -> Sequence[Problem]:
        """Shares are percentages, and the second target comes after the first."""
        problems = [Problem(name, _("must be between 1 and 100.")) for name in ("first_share", "then_share")
                    if not 1 <= (getattr(self, name) or 0) <= 100]  # fmt: skip
        if not 1 <= (self.first_months or 0) < (self.then_months or 0) <= 120:
            problems += [Problem("first_months", _("must be at least 1, and less than those of the second target.")),
                         Problem("then_months", _("must be more than those of the first target."))]  # fmt: skip
        return problems


# Counting ------------------------------------------------------------------------------------------------------------


def count_use(context: JobContext) -> str:
    """Go on in the log of changes, and note for each person, day and module how much they did."""
    counted = place = 0
    zone = ZoneInfo(str(context.site.settings.get("core.zone") or "UTC"))
    while True:
        with context.site.write(context.actor) as unit:
            place = max(place, int(unit.session.scalar(select(func.max(Activity.seq))) or 0))
            entries = done_after(unit.session.connection(), place, via=BY_HAND, limit=AT_ONCE)
            people = set(unit.session.scalars(select(User.id)))
            _note(unit.session, [each for each in entries if each.actor_id in people], zone)
        counted += len(entries)
        context.progress(counted)
        if len(entries) < AT_ONCE:
            return _("%(num)s changes were looked at.", num=counted)
        place = entries[-1].seq


def _note(session: Any, entries: Sequence[Any], zone: ZoneInfo) -> None:
    actions: Counter[tuple[UUID, dt.date, str]] = Counter()
    made: Counter[tuple[UUID, dt.date, str]] = Counter()
    last: dict[tuple[UUID, dt.date, str], int] = {}
    for each in entries:
        key = (each.actor_id, each.at.astimezone(zone).date(), module_of(each.entity))
        actions[key] += 1
        made[key] += each.action == "created"
        last[key] = each.seq
    if not actions:
        return
    people, days = {key[0] for key in actions}, {key[1] for key in actions}
    statement = select(Activity).where(Activity.user_id.in_(people), Activity.on.in_(days))
    known = {(each.user_id, each.on, each.module): each for each in session.scalars(statement)}
    for key, number in actions.items():
        row = known.get(key)
        if row is None:
            row = Activity(user_id=key[0], on=key[1], module=key[2], actions=0, made=0)
            session.add(row)
        row.actions, row.made, row.seq = row.actions + number, row.made + made[key], last[key]


def module_of(entity: str) -> str:
    """The module a kind of record belongs to; those without a dot are the core's."""
    plugin, dot, _noun = entity.partition(".")
    return plugin if dot else "core"


# Whose figures -------------------------------------------------------------------------------------------------------


def people_in_reach(reader: Reader) -> dict[UUID, str]:
    """Whose use somebody may look at: their own, that of their teams, or of all, by the permission to compare."""
    actor = reader.actor
    if actor.customer_id is not None or actor.id is None:
        return {}
    reach = actor.reach(COMPARE)
    where: list[Any] = [User.active.is_(True), User.archived_at.is_(None)]
    if reach != "all":
        mine: Any = User.id == actor.id
        if reach == "team":
            team = select(Membership.user_id).where(
                Membership.team_id.in_(list(actor.team_ids)), Membership.archived_at.is_(None)
            )
            mine = or_(mine, User.id.in_(team))
        where.append(mine)
    rows = reader.session.execute(
        select(User.id, User.name).where(*where).order_by(User.name, User.id), execution_options=SCOPED
    )
    return {row[0]: row[1] for row in rows}


@dataclass(slots=True)
class Use:
    """How somebody works with the system."""

    user_id: UUID
    name: str
    actions: int = 0
    """In the last seven days."""
    modules: dict[str, int] = field(default_factory=dict)
    active: bool = False
    first_after: int | None = None
    """Days from the account to the first record of their own."""
    customers: int = 0
    with_next: int = 0
    last_on: dt.date | None = None

    @property
    def next_share(self) -> float | None:
        """Of their customers, the share with a next step."""
        return share(self.with_next, self.customers)


def least_actions(site: Site) -> int:
    """How many changes in seven days make somebody active."""
    return max(1, int(site.settings.get("strategy.active_actions") or 5))


def use_of(reader: Reader, people: Mapping[UUID, str]) -> list[Use]:
    """The figures of some people, with a few queries however many they are."""
    if not people:
        return []
    found = {user_id: Use(user_id, name) for user_id, name in people.items()}
    first = reader.today() - dt.timedelta(days=WEEK - 1)
    ids = list(people)
    for user_id, module, actions in reader.session.execute(
        select(Activity.user_id, Activity.module, func.sum(Activity.actions))
        .where(Activity.user_id.in_(ids), Activity.on >= first).group_by(Activity.user_id, Activity.module),
        execution_options=SCOPED,
    ):  # fmt: skip
        found[user_id].modules[module] = int(actions)
        found[user_id].actions += int(actions)
    for user_id, last_on in reader.session.execute(
        select(Activity.user_id, func.max(Activity.on)).where(Activity.user_id.in_(ids)).group_by(Activity.user_id),
        execution_options=SCOPED,
    ):
        found[user_id].last_on = last_on
    _first_records(reader, found)
    _next_steps(reader, found)
    least = least_actions(reader.site)
    for each in found.values():
        each.active = each.actions >= least
    return list(found.values())


def _first_records(reader: Reader, found: Mapping[UUID, Use]) -> None:
    first = (
        select(Activity.user_id, func.min(Activity.on).label("on")).where(Activity.made > 0).group_by(Activity.user_id)
    )
    firsts = {row[0]: row[1] for row in reader.session.execute(first, execution_options=SCOPED)}
    rows = reader.session.execute(
        select(User.id, User.created_at).where(User.id.in_(list(found))), execution_options=SCOPED
    )
    for user_id, created_at in rows:
        if user_id in firsts:
            found[user_id].first_after = max(0, (firsts[user_id] - created_at.date()).days)


def _next_steps(reader: Reader, found: Mapping[UUID, Use]) -> None:
    rows = reader.session.execute(
        select(Customer.owner_id, func.count(), func.count().filter(has_next_step(reader)))
        .where(Customer.owner_id.in_(list(found)), Customer.archived_at.is_(None)).group_by(Customer.owner_id)
    )  # fmt: skip
    for owner_id, customers, with_next in rows:
        if owner_id is not None:
            found[owner_id].customers, found[owner_id].with_next = customers, with_next


def has_next_step(reader: Reader) -> Any:
    """Of a customer: something is planned with them. A task that is not done, or what other modules plan."""
    task = NextStep(Task, Task.customer_id, (Task.done_at.is_(None), Task.archived_at.is_(None)))
    steps: list[NextStep] = [task, *reader.site.hooks.collect(hookspecs.ask_strategy_next_steps, reader=reader)]
    planned = [
        exists(select(step.entity.id).where(step.customer_id == Customer.id, *step.where).correlate(Customer))
        for step in steps
    ]
    return or_(*planned)


# Teams and modules ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TeamUse:
    """How a team works with the system."""

    name: str
    people: int
    active: int
    first_after: float | None
    customers: int
    with_next: int

    @property
    def active_share(self) -> float | None:
        """The share of its people who are active."""
        return share(self.active, self.people)

    @property
    def next_share(self) -> float | None:
        """Of their customers, the share with a next step."""
        return share(self.with_next, self.customers)


def teams_of(reader: Reader, uses: Sequence[Use]) -> list[TeamUse]:
    """The same by team; only of people within reach."""
    by_id = {each.user_id: each for each in uses}
    members: dict[UUID, list[Use]] = {}
    rows = reader.session.execute(
        select(Membership.team_id, Membership.user_id).where(
            Membership.user_id.in_(list(by_id)), Membership.archived_at.is_(None)
        ),
        execution_options=SCOPED,
    )
    for team_id, user_id in rows:
        members.setdefault(team_id, []).append(by_id[user_id])
    names = reader.titles(Team, members)
    found = []
    for team_id, some in members.items():
        firsts = [each.first_after for each in some if each.first_after is not None]
        found.append(TeamUse(
            names.get(team_id, ""), len(some), sum(each.active for each in some),
            sum(firsts) / len(firsts) if firsts else None, sum(each.customers for each in some),
            sum(each.with_next for each in some),
        ))  # fmt: skip
    return sorted(found, key=lambda each: each.name)


def modules_of(uses: Sequence[Use]) -> list[tuple[str, int]]:
    """How many people used each module in the last seven days, the most used first."""
    counts = Counter(module for each in uses for module in each.modules)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


# The quality of the records ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Quality:
    """How complete customers are, of those somebody may see."""

    customers: int
    email: int
    phone: int
    address: int
    owner: int
    next_step: int
    double: int
    stale: int

    def rows(self) -> list[tuple[str, int, float, bool]]:
        """What is looked at: the words, how many, their share, and whether more is good."""
        known = [(_("With an e-mail address"), self.email, True), (_("With a phone number"), self.phone, True),
                 (_("With an address"), self.address, True), (_("With an owner"), self.owner, True),
                 (_("With a next step"), self.next_step, True), (_("Known twice, it seems"), self.double, False),
                 (_("Not heard of for a year"), self.stale, False)]  # fmt: skip
        return [(text, number, number / self.customers if self.customers else 0.0, good)
                for text, number, good in known]  # fmt: skip


def quality(reader: Reader, *where: Any) -> Quality:
    """Of all customers within reach, with three queries."""
    live = (Customer.archived_at.is_(None), *where)
    old = utcnow() - STALE
    in_touch = exists(
        select(Interaction.id).where(Interaction.customer_id == Customer.id, Interaction.at >= old).correlate(Customer)
    )
    has_address = func.length(cast(Customer.address, Text)) > 4
    row = reader.session.execute(
        select(
            func.count(), func.count().filter(Customer.email != ""), func.count().filter(Customer.phone != ""),
            func.count().filter(has_address), func.count().filter(Customer.owner_id.is_not(None)),
            func.count().filter(has_next_step(reader)),
            func.count().filter(and_(Customer.updated_at < old, ~in_touch)),
        ).select_from(Customer).where(*live)
    ).one()  # fmt: skip
    return Quality(row[0], row[1], row[2], row[3], row[4], row[5], _doubles(reader, live), row[6])


def _doubles(reader: Reader, live: Sequence[Any]) -> int:
    """How many customers have an e-mail address that another one has too, or a name and a phone number."""
    same_mail = select(func.count().label("n")).where(*live, Customer.email != "").group_by(Customer.email)
    same_phone = (
        select(func.count().label("n"))
        .where(*live, Customer.email == "", Customer.phone != "").group_by(Customer.name_key, Customer.phone)
    )  # fmt: skip
    both = 0
    for each in (same_mail, same_phone):
        groups = each.having(func.count() > 1).subquery()
        both += int(reader.session.scalar(select(func.coalesce(func.sum(groups.c.n - 1), 0))) or 0)
    return both


# Rollouts ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Curve:
    """How a rollout goes: by week, the share who use it, beside the targets."""

    it: Rollout
    team: str
    champion: str
    people: int
    now: float | None
    target: float
    """In this week, on the straight way to the next target."""
    state: str
    chart: Mapping[str, Any]
    table: Mapping[str, Any]


def target_on(it: Rollout, on: dt.date) -> float:
    """The share that should use it on a day: on straight lines from nothing to the first target, and to the second."""
    first, then = _months_after(it.starts_on, it.first_months), _months_after(it.starts_on, it.then_months)
    if on <= it.starts_on:
        return 0.0
    if on <= first:
        return it.first_share / 100 * (on - it.starts_on).days / (first - it.starts_on).days
    if on >= then:
        return it.then_share / 100
    return (it.first_share + (it.then_share - it.first_share) * (on - first).days / (then - first).days) / 100


def _months_after(day: dt.date, months: int) -> dt.date:
    month = day.month - 1 + months
    year, month = day.year + month // 12, month % 12 + 1
    last = (dt.date(year + month // 12, month % 12 + 1, 1) - dt.timedelta(days=1)).day
    return dt.date(year, month, min(day.day, last))


def curves(reader: Reader, rollouts: Sequence[Rollout]) -> list[Curve]:
    """The curves of some rollouts. The share of a team is for everybody who may see the rollout, not who it is."""
    teams = reader.titles(Team, [each.team_id for each in rollouts])
    names = reader.titles(User, [each.champion_id for each in rollouts])
    members: dict[UUID, set[UUID]] = {}
    rows = reader.session.execute(
        select(Membership.team_id, Membership.user_id)
        .join(User, User.id == Membership.user_id)
        .where(Membership.team_id.in_([each.team_id for each in rollouts]), Membership.archived_at.is_(None),
               User.active.is_(True)),
        execution_options=SCOPED,
    )  # fmt: skip
    for team_id, user_id in rows:
        members.setdefault(team_id, set()).add(user_id)
    everybody = {user_id for some in members.values() for user_id in some}
    first = min((each.starts_on for each in rollouts), default=reader.today())
    use = reader.session.execute(
        select(Activity.user_id, Activity.on, Activity.module, Activity.actions)
        .where(Activity.user_id.in_(everybody), Activity.on >= first),
        execution_options=SCOPED,
    ).all()  # fmt: skip
    return [
        _curve(reader, each, members.get(each.team_id, set()), use, teams.get(each.team_id, ""),
               names.get(each.champion_id, "") if each.champion_id else "")
        for each in rollouts
    ]  # fmt: skip


def _curve(
    reader: Reader, it: Rollout, people: Collection[UUID], use: Sequence[Any], team: str, champion: str
) -> Curve:
    formats, today, least = formats_of(reader), reader.today(), least_actions(reader.site)
    end = _months_after(it.starts_on, it.then_months)
    weeks: dict[int, Counter[UUID]] = {}
    for user_id, on, module, actions in use:
        if user_id in people and on >= it.starts_on and (not it.module or module == it.module):
            weeks.setdefault((on - it.starts_on).days // WEEK, Counter())[user_id] += actions
    known = min((today - it.starts_on).days // WEEK, 520)
    count = max(1, min(((end - it.starts_on).days + WEEK - 1) // WEEK, 520), known + 1)
    full = known - 1 if (today - it.starts_on).days % WEEK != WEEK - 1 else known
    shares: list[float | None] = []
    for week in range(count):
        active = sum(number >= least for number in weeks.get(week, Counter()).values())
        shares.append(None if week > max(full, 0) or not people else active / len(people))
    ends = [it.starts_on + dt.timedelta(days=WEEK * (week + 1) - 1) for week in range(count)]
    targets = [round(target_on(it, day), 4) for day in ends]
    full = max(full, 0) if known >= 0 else -1  # the week under way tells nothing yet, but for the first
    now = shares[full] if 0 <= full < count else None
    wanted = target_on(it, today)
    state = "waiting" if today < it.starts_on or now is None else "on_track" if now >= wanted else "behind"
    labels = [formats.date(day, "short") for day in ends]

    def percent(value: float | None) -> str:
        return "–" if value is None else formats.percent(value)

    return Curve(
        it, team, champion, len(people), now, wanted, state,
        chart={
            "type": "line", "title": it.title, "x": labels, "unit": "percent",
            "series": [{"name": _("Use it"), "data": shares}, {"name": _("Target"), "data": targets}],
        },
        table={
            "columns": [_("Week up to"), _("Use it"), _("Target")],
            "rows": [[label, percent(value), percent(goal)]
                     for label, value, goal in zip(labels, shares, targets, strict=True)],
        },
    )  # fmt: skip


def rollout_facts(reader: Reader, record: Rollout) -> Mapping[str, Any]:
    """The curve of one rollout, for its page."""
    return {"curve": curves(reader, [record])[0]}
