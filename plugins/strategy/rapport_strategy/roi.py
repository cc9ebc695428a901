"""What the CRM costs and what it brings: the return by the formula, with weights that are the user's to set.

cost = (cost per customer of implementation + maintenance: staff, overhead, hardware, storage, training, upgrades)
x customers; return = customers x gross profit per customer x success rate; ROI = return - cost. The success rate is the
weighted sum of factors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped, Session

from rapport import Choice, Customer, Entity, Owned, Problem, Reader, field, known_currency, not_negative, ref
from rapport import gettext as _
from rapport_strategy.common import DECIDED, check_measure, formats_of, tidy_currency

COSTS = ("implementation", "staff", "overhead", "hardware", "storage", "training", "upgrades")
ONE = Decimal(1)


class Case(
    Owned, Entity, name="strategy.case", title="Return of the CRM", plural="Returns of the CRM", icon="coins",
    roles=DECIDED, display="title",
):  # fmt: skip
    """A scenario of what the CRM costs and brings. Several stand side by side."""

    title: Mapped[str] = field(label="Scenario", searchable=True, in_list=True)
    currency: Mapped[str] = field(
        label="Currency", default="", max_length=3, help="The ISO 4217 code. Left empty: that of the business."
    )
    customers: Mapped[int | None] = field(
        label="Customers", in_list=True, help="Left empty: as many as there are when it is looked at."
    )
    gross_profit: Mapped[Decimal] = field(
        label="Gross profit per customer", in_list=True, help="In a year, at full success."
    )
    implementation: Mapped[Decimal] = field(label="Implementation", default=Decimal(0), section="Cost per customer")
    staff: Mapped[Decimal] = field(label="Staff", default=Decimal(0), section="Cost per customer")
    overhead: Mapped[Decimal] = field(label="Overhead", default=Decimal(0), section="Cost per customer")
    hardware: Mapped[Decimal] = field(label="Hardware", default=Decimal(0), section="Cost per customer")
    storage: Mapped[Decimal] = field(label="Storage", default=Decimal(0), section="Cost per customer")
    training: Mapped[Decimal] = field(label="Training", default=Decimal(0), section="Cost per customer")
    upgrades: Mapped[Decimal] = field(label="Upgrades", default=Decimal(0), section="Cost per customer")
    weights: Mapped[str] = field(
        label="If the weights do not add up to 1",
        choices=[Choice("refuse", "Say so, and work nothing out"), Choice("share", "Divide each by their sum")],
        default="refuse",
    )
    note: Mapped[str] = field(label="Note", kind="longtext", default="")

    def complete(self, session: Session) -> None:
        """Amounts are in some currency."""
        self.currency = tidy_currency(session, self.currency)

    def validate(self) -> Sequence[Problem]:
        """Costs and customers count from nothing upwards."""
        counted = [problem for name in ("customers", *COSTS) for problem in not_negative(name, getattr(self, name))]
        return [*known_currency(self.currency), *counted]


class Factor(
    Entity, name="strategy.factor", title="Factor of success", plural="Factors of success", icon="scale",
    roles=DECIDED, display="title", listed=False,
):  # fmt: skip
    """One part of the success rate: office efficiency, sales growth, customer growth … and how much it counts."""

    case_id: Mapped[UUID] = ref("strategy.case", label="Scenario", in_list=True)
    title: Mapped[str] = field(label="Factor", in_list=True, searchable=True)
    weight: Mapped[Decimal] = field(
        label="Weight", default=Decimal(1), in_list=True, help="All weights together are 1, as in 0.4."
    )
    success: Mapped[Decimal | None] = field(
        label="Success", in_list=True, help="0 is none, 1 is full success, as in 0.25. Or name a measure."
    )
    measure: Mapped[str] = field(
        label="Measure", default="", help="The name of a measure, such as sales.win_rate: then the success is measured."
    )
    goal: Mapped[Decimal | None] = field(
        label="Full success at", help="Of the measure. A percentage needs none: it is the success itself."
    )
    days: Mapped[int] = field(label="Measured over days", default=365)

    def complete(self, session: Session) -> None:
        """A measure has to be one of this site."""
        check_measure(session, self.measure)

    def validate(self) -> Sequence[Problem]:
        """A weight and a success that are rates. What has neither a number nor a measure is not known yet."""
        problems: list[Problem] = []
        if self.weight is not None and not 0 <= self.weight <= 1:
            problems.append(Problem("weight", _("must be between 0 and 1.")))
        if self.success is not None and not -1 <= self.success <= 10:
            problems.append(Problem("success", _("must be a rate: 0.25 is a quarter.")))
        if self.goal is not None and self.goal == 0:
            problems.append(Problem("goal", _("must not be 0.")))
        if not 1 <= (self.days or 0) <= 3660:
            problems.append(Problem("days", _("must be between 1 and 3660.")))
        return problems


@dataclass(frozen=True, slots=True)
class Part:
    """A factor as it counts."""

    title: str
    weight: Decimal
    success: Decimal | None
    """None: it is measured, and nothing is known yet."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the arithmetic: what is worked out, how, and what comes out."""

    title: str
    how: str
    value: str
    bold: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """What a scenario comes to. Where it cannot be worked out, `wrong` says why, and the figures are None."""

    customers: int
    per_customer: Decimal
    cost: Decimal
    success: Decimal | None = None
    returned: Decimal | None = None
    roi: Decimal | None = None
    wrong: str = ""
    told: str = ""

    @property
    def ratio(self) -> Decimal | None:
        """What comes back for each unit of money spent, beyond it: ROI / cost."""
        return self.roi / self.cost if self.roi is not None and self.cost else None


def success_rate(parts: Sequence[Part], weights: str) -> tuple[Decimal | None, str, str]:
    """The weighted sum of the factors; why it cannot be worked out; and what else is to be said of it."""
    if not parts:
        return None, _("There is no factor of success yet. Add some, with weights that add up to 1."), ""
    unknown = [part.title for part in parts if part.success is None]
    if unknown:
        return None, _("Nothing is measured yet of: %(names)s.", names=", ".join(unknown)), ""
    together = sum((part.weight for part in parts), Decimal(0))
    if together == 0:
        return None, _("All weights are 0. Say how much each factor counts."), ""
    if together != ONE and weights != "share":
        return None, _("The weights add up to %(sum)s; together they must be 1. Change them, or have each divided by "
                       "their sum.", sum=f"{together.normalize():f}"), ""  # fmt: skip
    rate = sum((part.weight * part.success for part in parts if part.success is not None), Decimal(0)) / together
    told = "" if together == ONE else _("The weights add up to %(sum)s, so each was divided by that.",
                                        sum=f"{together.normalize():f}")  # fmt: skip
    return rate, "", told


def worked_out(
    customers: int, gross_profit: Decimal, costs: Mapping[str, Decimal], parts: Sequence[Part], weights: str = "refuse"
) -> Result:
    """The formula, on figures alone."""
    per_customer = sum(costs.values(), Decimal(0))
    cost = per_customer * customers
    rate, wrong, told = success_rate(parts, weights)
    if rate is None:
        return Result(customers, per_customer, cost, wrong=wrong)
    returned = customers * gross_profit * rate
    return Result(customers, per_customer, cost, rate, returned, returned - cost, told=told)


@dataclass(frozen=True, slots=True)
class Scenario:
    """A case with its factors, its result and the way there."""

    case: Case
    parts: Sequence[Part]
    result: Result
    steps: Sequence[Step]


def scenarios(reader: Reader, cases: Sequence[Case]) -> list[Scenario]:
    """Work several cases out, with two queries and what their measures need."""
    factors = reader.all(Factor, Factor.case_id.in_([each.id for each in cases]), Factor.archived_at.is_(None),
                         order=(Factor.weight.desc(), Factor.id))  # fmt: skip
    there: int | None = None
    found = []
    for case in cases:
        customers = case.customers
        if customers is None:
            if there is None:
                there = reader.count(Customer, Customer.archived_at.is_(None), cap=10_000_000)[0]
            customers = there
        parts = [Part(each.title, each.weight, success_of(reader, each)) for each in factors if each.case_id == case.id]
        costs = {name: getattr(case, name) or Decimal(0) for name in COSTS}
        result = worked_out(customers, case.gross_profit, costs, parts, case.weights)
        found.append(Scenario(case, parts, result, steps_of(reader, case, costs, parts, result)))
    return found


def success_of(reader: Reader, factor: Factor) -> Decimal | None:
    """What a factor comes to: its number, or its measure in the days up to now, as a share of full success."""
    if not factor.measure:
        return factor.success
    from rapport_strategy.measuring import value_of

    today = reader.today()
    value = value_of(reader, factor.measure, until=today, days=factor.days)
    if value is None:
        return factor.success
    return value / factor.goal if factor.goal else value


def steps_of(
    reader: Reader, case: Case, costs: Mapping[str, Decimal], parts: Sequence[Part], result: Result
) -> list[Step]:
    """The arithmetic, line by line, as one would write it on paper."""
    formats = formats_of(reader)

    def money(amount: Decimal) -> str:
        return formats.money(amount, case.currency)

    number = formats.number
    spent = [money(amount) for amount in costs.values() if amount]
    steps = [
        Step(_("Cost per customer"), " + ".join(spent) or money(Decimal(0)), money(result.per_customer)),
        Step(_("Cost"), f"{money(result.per_customer)} × {number(result.customers)}", money(result.cost), bold=True),
    ]
    if result.success is None or result.returned is None or result.roi is None:
        return steps
    together = sum((part.weight for part in parts), Decimal(0))
    summed = " + ".join(f"{number(part.weight)} × {number(part.success or 0)}" for part in parts)
    how = summed if together == ONE else f"({summed}) ÷ {number(together)}"
    rate = formats.percent(result.success, 1)
    return [
        *steps,
        Step(_("Success rate"), how, rate),
        Step(_("Return"), f"{number(result.customers)} × {money(case.gross_profit)} × {rate}", money(result.returned),
             bold=True),
        Step(_("ROI"), f"{money(result.returned)} − {money(result.cost)}", money(result.roi), bold=True),
    ]  # fmt: skip


def case_facts(reader: Reader, record: Case) -> dict[str, Any]:
    """The arithmetic of one scenario, for its page."""
    (scenario,) = scenarios(reader, [record])
    return {"scenario": scenario}
