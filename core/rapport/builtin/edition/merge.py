"""The three-way merge: what the former version gave, what the new one wants, and what the site made of it.

What the site did not touch moves, what it changed stays, and where both changed something differently the site's word
stays and the clash is listed. Nothing in here touches a database.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rapport.builtin.edition.folder import Wanted, spell
from rapport.builtin.edition.items import SETTING, Configuration, Item, Key, Kinds, Values, is_blank
from rapport.entities import uuid7
from rapport.errors import Invalid
from rapport.i18n.catalogs import N_

MISSING: Any = object()
"""Stands for a part that a value of many parts does not have: unlike None, which such a part may well be."""
CHANGED_SINCE = N_("It was changed since, so it stays as it is.")


@dataclass(frozen=True, slots=True)
class Given:
    """What an edition gave, kept so that its next version can be told from what the site changed."""

    key: Key
    """Its name in the edition; on the site it may be called something else by now."""
    identity: str
    values: Values
    """What the edition named."""
    under: Values
    """What stands below: a module's or the site's word, or how the item came out where the edition named nothing."""
    made: bool
    absent: bool = False

    def kept(self) -> list[Any]:
        """A form for the database."""
        return [list(self.key), self.identity, self.values, self.under, self.made, self.absent]

    @classmethod
    def of(cls, kept: Sequence[Any]) -> Given:
        """What `kept` wrote."""
        key, identity, values, under, made, absent = kept
        return cls(tuple(key), identity, values, under, made, absent)


@dataclass(frozen=True, slots=True)
class Clash:
    """Where edition and site do not agree; the site's word stayed."""

    item: str
    field: str
    base: Any
    wanted: Any
    here: Any
    why: str

    def kept(self) -> dict[str, Any]:
        """A form for the database."""
        return {"item": self.item, "field": self.field, "base": self.base, "wanted": self.wanted, "here": self.here,
                "why": self.why}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """One item to make, change or remove."""

    action: str
    key: Key
    identity: str
    values: Values
    """All of a new item; the changed fields of another."""
    before: Values

    @property
    def kind(self) -> str:
        """The kind of the item."""
        return self.key[0]


@dataclass(slots=True)
class Plan:
    """What is to be done, in order, and where edition and site clash."""

    steps: list[Step] = field(default_factory=list)
    clashes: list[Clash] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)

    def note_made(self, after: Configuration) -> None:
        """Keep how new items came out, where the edition named nothing: that is no change of the site's."""
        made = {step.identity for step in self.steps if step.action == "create"} & after.items.keys()
        for number, each in enumerate(self.given):
            if each.made and each.identity in made:
                values = after.items[each.identity].values
                rest = {name: value for name, value in values.items() if name not in each.values}
                self.given[number] = replace(each, under=rest)

    def sort(self, kinds: Kinds) -> Plan:
        """What others refer to comes first when it is made, and last when it is removed."""
        makes = [step for step in self.steps if step.action != "remove"]
        removes = [step for step in self.steps if step.action == "remove"]
        makes.sort(key=lambda step: (step.action != "create", kinds.order(step.kind)))
        removes.sort(key=lambda step: -kinds.order(step.kind))
        self.steps = [*makes, *removes]
        return self


def same(one: Any, other: Any) -> bool:
    """Equal, with all empty values counting as one."""
    return (is_blank(one) and is_blank(other)) or one == other


class Apart(NamedTuple):
    """A part of a value that edition and site changed differently."""

    part: str
    base: Any
    wanted: Any
    here: Any


def merge_value(base: Any, wanted: Any, here: Any) -> tuple[Any, list[Apart]]:
    """One field, three ways: what counts from now on, and the parts on which both moved apart.

    Values of named parts, such as a role's grants, are merged part by part.
    """
    if same(wanted, base) or same(wanted, here):
        return here, []
    if same(here, base):
        return wanted, []
    if isinstance(wanted, Mapping) and isinstance(here, Mapping) and (is_blank(base) or isinstance(base, Mapping)):
        return _merge_parts(base or {}, wanted, here)
    return here, [Apart("", base, wanted, here)]


def _merge_parts(
    base: Mapping[str, Any], wanted: Mapping[str, Any], here: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Apart]]:
    merged: dict[str, Any] = {}
    clashes: list[Apart] = []
    for name in dict.fromkeys([*here, *wanted, *base]):
        old, new, mine = base.get(name, MISSING), wanted.get(name, MISSING), here.get(name, MISSING)
        result = mine
        if new in (old, mine):
            pass
        elif mine == old:
            result = new
        elif isinstance(new, Mapping) and isinstance(mine, Mapping):
            result, inner = _merge_parts(old if isinstance(old, Mapping) else {}, new, mine)
            clashes += [each._replace(part=f"{name} {each.part}".strip()) for each in inner]
        else:
            clashes.append(Apart(name, *(None if each is MISSING else each for each in (old, new, mine))))
        if result is not MISSING:
            merged[name] = result
    return merged, clashes


class Merger:
    """Plans the way from a site as it is to what an edition wants of it."""

    def __init__(
        self,
        here: Configuration,
        base: Iterable[Given],
        defaults: Mapping[str, Values],
        take: Collection[str] = (),
    ) -> None:
        self.here = here
        self.kinds = here.kinds
        self.base = {self._name(given.key, given.values): given for given in base}
        self._named = {self._name(item.key, item.values): item for item in here.items.values()}
        self.defaults = defaults
        self.take = take
        self.plan = Plan()
        self._identities: dict[Key, str] = {}
        self._used: set[str] = set()
        self._there = set(here.items)

    def merge(self, wanted: Sequence[Wanted]) -> Plan:
        """The plan for a version of an edition."""
        wanted = sorted(wanted, key=lambda each: self.kinds.order(each.key[0]))
        formers = self._recognise(wanted)
        for each, former in zip(wanted, formers, strict=True):
            identity = self._identities[each.key]
            local = {name: self._local(value, each) for name, value in each.values.items()}
            item = self._item(each.key, identity)
            if each.absent:
                self._absent(each.key, identity, local, former, item)
            elif item is not None:
                self._change(each.key, local, former, item)
            elif former is None or former.absent:
                self._make(each.key, identity, local, former)
            else:
                self._gone_here(each.key, identity, local, former)
        for former in self.base.values():
            if former.identity not in self._used:
                self._dropped(former)
        return self.plan.sort(self.kinds)

    # Who is who ------------------------------------------------------------------------------------------------------

    def _recognise(self, wanted: Sequence[Wanted]) -> list[Given | None]:
        """Find what each was in the former version, and which record it is; new ones get their id now.

        What something belongs to comes first, so that it is known whatever that is called by now.
        """
        formers = []
        for each in wanted:
            names = self.kinds.natural_key(each.key[0])
            values = {name: self._local(each.values.get(name), each) for name in names}
            name = self._name(each.key, values)
            was = self._name(each.key, {**values, **each.was}) if each.was is not None else name
            former = self.base.get(name) or self.base.get(was)
            item = self._named.get(name) or self._named.get(was)
            if former is not None and (former.identity in self.here.items or item is None):
                self._identities[each.key] = former.identity
            elif item is not None:
                self._identities[each.key] = item.identity
            elif each.key[0] == SETTING:
                self._identities[each.key] = f"{SETTING}:{each.key[1]}"
            else:
                self._identities[each.key] = f"{each.key[0]}:{uuid7()}"
            if former is not None:
                self._used.add(former.identity)
            formers.append(former)
        return formers

    def _name(self, key: Key, values: Mapping[str, Any]) -> Key:
        """What tells an item apart within this site: its natural key, with what it belongs to by id."""
        if key[0] == SETTING or key[0] not in self.kinds:
            return key
        return (key[0], *(str(values.get(name) or "") for name in self.kinds.natural_key(key[0])))

    def _item(self, key: Key, identity: str) -> Item | None:
        """The item as it is here. A setting nobody decided is there too, with its default."""
        item = self.here.items.get(identity)
        if item is None and key[0] == SETTING:
            return Item(key, identity, {"value": self.kinds.default(SETTING, key, "value")})
        return item

    def _local(self, value: Any, each: Wanted) -> Any:
        """A reference by key becomes one by id."""
        if not isinstance(value, tuple):
            return value
        item = self.here.by_key.get(value)
        identity = self._identities.get(value) or (item.identity if item is not None else None)
        if identity is None:
            raise Invalid(
                f"{each.where}: {spell(each.key)} refers to {spell(value)}, which neither the edition nor the site has."
            )
        return identity.partition(":")[2]

    # One item --------------------------------------------------------------------------------------------------------

    def _make(self, key: Key, identity: str, local: Values, former: Given | None) -> None:
        if (lost := self._lost_reference(key[0], local)) is not None:
            self._clash(key, lost, None, None, None, N_("What it belongs to was removed on this site."))
        else:
            self._create(key, identity, {**(former.under if former is not None else {}), **local})
        self.plan.given.append(Given(key, identity, local, {}, made=True))

    def _gone_here(self, key: Key, identity: str, local: Values, former: Given) -> None:
        """The site removed what the edition gave: it stays removed."""
        changed = [name for name in local if not same(local[name], former.values.get(name))]
        if spell(key) in self.take and self._lost_reference(key[0], local) is None:
            self._create(key, identity, local)
        elif changed:
            self._clash(key, "", None, None, None, N_("It was removed on this site; the new version changes it."))
        self.plan.given.append(Given(key, identity, local, former.under, former.made))

    def _create(self, key: Key, identity: str, values: Values) -> None:
        self._there.add(identity)
        self._step("create", key, identity, values, {})

    def _change(self, key: Key, local: Values, former: Given | None, item: Item) -> None:
        changes: Values = {}
        under = {} if former is None or former.absent else dict(former.under)
        made = former.made if former is not None else item.identity not in self.here.items
        names = dict.fromkeys([*local, *(former.values if former is not None else {})])
        for name in names:
            here = item.values.get(name)
            wanted = local[name] if name in local else self._under(key, name, under, made=made)
            base = self._base(key, name, former, item)
            if name not in under and not made:
                under[name] = here
            if spell(key) in self.take:
                result, clashes = wanted, list[Apart]()
            elif base is MISSING and not same(here, wanted):
                result, clashes = here, [Apart("", None, wanted, here)]
            else:
                result, clashes = merge_value(None if base is MISSING else base, wanted, here)
            why = (
                N_("Both changed it.")
                if former is not None
                else N_("The site has one of this name, with another value.")
            )
            for each in clashes:
                self._clash(key, f"{name} {each.part}".strip(), each.base, each.wanted, each.here, why)
            if not same(result, here):
                changes[name] = result
        if changes:
            self._step("update", key, item.identity, changes, {name: item.values.get(name) for name in changes})
        under = under if made else {name: value for name, value in under.items() if name in local}
        self.plan.given.append(Given(key, item.identity, local, under, made))

    def _dropped(self, former: Given) -> None:
        """The new version no longer names an item: it goes, or becomes again what it was."""
        item = self.here.items.get(former.identity)
        if former.absent:
            if item is None and former.under:
                self._step("create", former.key, former.identity, former.under, {})
            return
        if item is None:
            return
        if not former.made:
            changes = {
                name: former.under.get(name)
                for name, value in former.values.items()
                if same(item.values.get(name), value) and not same(former.under.get(name), value)
            }
            if changes:
                self._step(
                    "update", item.key, item.identity, changes, {name: item.values.get(name) for name in changes}
                )
            return
        if spell(former.key) in self.take or self._untouched(item, former):
            self._step("remove", item.key, item.identity, {}, item.values)
        else:
            why = N_("The new version drops it; it was changed on this site, so it stays.")
            self._clash(former.key, "", None, None, None, why)

    def _absent(self, key: Key, identity: str, local: Values, former: Given | None, item: Item | None) -> None:
        """The edition wants an item gone."""
        under = former.under if former is not None and former.absent else {}
        if item is not None:
            under = item.values
            default = self.defaults.get(identity)
            untouched = (
                self._untouched(item, former)
                if former is not None and not former.absent
                else default is not None and equal(item.values, default)
            )
            if untouched or spell(key) in self.take:
                self._step("remove", item.key, identity, {}, item.values)
            else:
                why = N_("The edition takes it out; it was changed on this site, so it stays.")
                self._clash(key, "", None, None, None, why)
        self.plan.given.append(Given(key, identity, local, under, made=False, absent=True))

    # Facts -----------------------------------------------------------------------------------------------------------

    def _base(self, key: Key, name: str, former: Given | None, item: Item) -> Any:
        """What the layer below gave; MISSING when it was the site itself that set it."""
        if former is not None and name in former.values:
            return former.values[name]
        if former is not None and former.made:
            return self._under(key, name, former.under, made=True)
        if item.identity not in self.here.items:
            return self.kinds.default(item.kind, key, name)
        default = self.defaults.get(item.identity)
        return MISSING if default is None else default.get(name)

    def _under(self, key: Key, name: str, under: Values, *, made: bool) -> Any:
        return self.kinds.default(key[0], key, name) if made and name not in under else under.get(name)

    def _untouched(self, item: Item, former: Given) -> bool:
        names = {*item.values, *former.values, *self.kinds.fields(item.kind, former.key)}
        return all(same(item.values.get(name), self._base(former.key, name, former, item)) for name in names)

    def _lost_reference(self, kind: str, local: Values) -> str | None:
        for name, value in local.items():
            target = self.kinds.target(kind, name)
            if target is not None and value is not None and f"{target}:{value}" not in self._there:
                return name
        return None

    def _step(self, action: str, key: Key, identity: str, values: Values, before: Values) -> None:
        self.plan.steps.append(Step(action, key, identity, values, before))

    def _clash(self, key: Key, name: str, base: Any, wanted: Any, here: Any, why: str) -> None:
        old, new, mine = (self.here.spelled(key[0], name, value) for value in (base, wanted, here))
        self.plan.clashes.append(Clash(spell(key), name, old, new, mine, why))


def plan_return(before: Configuration, after: Configuration, here: Configuration) -> Plan:
    """The way back: from what an edition left to what was there before it, leaving what people changed since."""
    plan = Plan()
    for identity in dict.fromkeys([*before.items, *after.items]):
        kind, _, name = identity.partition(":")
        if kind not in here.kinds or (kind == SETTING and not here.kinds.has_setting(name)):
            plan.clashes.append(Clash(identity, "", None, None, None, N_("Its module is off, so it stays as it is.")))
            continue
        old, new, item = before.items.get(identity), after.items.get(identity), here.items.get(identity)
        if old is not None and new is not None and equal(old.values, new.values):
            continue
        if old is not None and new is not None and item is not None:
            _change_back(plan, old, new, item)
        elif old is not None and new is None and item is None:
            plan.steps.append(Step("create", old.key, identity, old.values, {}))
        elif old is None and new is not None and item is not None and equal(new.values, item.values):
            plan.steps.append(Step("remove", item.key, identity, {}, item.values))
        elif old is not None or item is not None:
            key = (item or old).key  # type: ignore[union-attr]  # one of them is there
            plan.clashes.append(Clash(spell(key), "", None, None, None, CHANGED_SINCE))
    return plan.sort(here.kinds)


def _change_back(plan: Plan, old: Item, new: Item, item: Item) -> None:
    changes: Values = {}
    for name in dict.fromkeys([*old.values, *new.values, *item.values]):
        here = item.values.get(name)
        result, clashes = merge_value(new.values.get(name), old.values.get(name), here)
        for each in clashes:
            part = f"{name} {each.part}".strip()
            plan.clashes.append(Clash(spell(item.key), part, each.base, each.wanted, each.here, CHANGED_SINCE))
        if not same(result, here):
            changes[name] = result
    if changes:
        before = {name: item.values.get(name) for name in changes}
        plan.steps.append(Step("update", item.key, item.identity, changes, before))


def plan_exact(wanted: Configuration, here: Configuration, alike: Mapping[str, str]) -> tuple[Plan, dict[str, str]]:
    """The way to exactly another site's configuration; everything else goes. Also, which record became which.

    `alike` tells which records of the two sites plugins put in as the same, whatever they are called by now.
    """
    plan = Plan()
    became: dict[str, str] = {}
    for identity, item in wanted.items.items():
        named = here.by_key.get(item.key)
        candidates = (identity, alike.get(identity), named.identity if named is not None else None)
        free = [each for each in candidates if each in here.items and each not in became.values()]
        became[identity] = str(free[0]) if free else identity
    for identity, item in wanted.items.items():
        local = translated(item.key[0], item.values, here.kinds, became)
        mine = here.items.get(became[identity])
        if mine is None:
            plan.steps.append(Step("create", item.key, identity, local, {}))
            continue
        names = dict.fromkeys([*local, *mine.values])
        changes = {name: local.get(name) for name in names if not same(local.get(name), mine.values.get(name))}
        if changes:
            before = {name: mine.values.get(name) for name in changes}
            plan.steps.append(Step("update", item.key, mine.identity, changes, before))
    kept = set(became.values())
    for identity, item in here.items.items():
        if identity not in kept:
            plan.steps.append(Step("remove", item.key, identity, {}, item.values))
    return plan.sort(here.kinds), became


def translated(kind: str, values: Values, kinds: Kinds, became: Mapping[str, str]) -> Values:
    """Values with references to what the records of another site became on this one."""
    local = {}
    for name, value in values.items():
        target = kinds.target(kind, name)
        local[name] = became.get(f"{target}:{value}", f"{target}:{value}").partition(":")[2] if target else value
    return local


def equal(one: Values, other: Values) -> bool:
    """Whether two items say the same."""
    return all(same(one.get(name), other.get(name)) for name in {*one, *other})
