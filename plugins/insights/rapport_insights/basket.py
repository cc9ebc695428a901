"""What goes with what: products that the same customers buy, and what that suggests to a customer next.

Two products are as near as the cosine of their columns in the table of customers and products: the customers who bought
both, over the root of the product of those who bought either (item-to-item filtering: Sarwar, Karypis, Konstan, Riedl
2001; Linden, Smith, York 2003). A customer's suggestion is the product nearest to all that they bought, the latest more
than the earlier. How good that is, is counted as by Deshpande and Karypis (2004): the last purchase of each customer is
held out, and it is a hit when one of the first k suggestions is in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from rapport import batched

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

FEWEST = 3
"""So many customers must have bought both."""
FADES = 0.7
"""What a purchase counts for, of what the next later one does."""
AT_ONCE = 500
"""Customers whose scores for every product are in memory together."""
Id = TypeVar("Id", bound=Hashable)
Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Suggestion(Generic[Item]):
    """A product for a customer, and why: of the `of` customers who bought `beside`, `both` bought this too."""

    item: Item
    beside: Item
    both: int
    of: int
    lift: float
    """How many times as often as customers buy it in general (Brin, Motwani, Ullman, Tsur 1997)."""


class Baskets(Generic[Id, Item]):
    """Who bought what, from rows of customer, product and day, in any order."""

    def __init__(self, rows: Sequence[tuple[Id, Item, Any]]) -> None:
        """Sort the rows into a table; of one customer and product, the latest day counts."""
        import numpy as np
        from scipy.sparse import csr_array

        last: dict[tuple[Id, Item], Any] = {}
        for customer, item, day in rows:
            if (customer, item) not in last or last[customer, item] < day:
                last[customer, item] = day
        self.customers: list[Id] = list(dict.fromkeys(customer for customer, _item in last))
        self.items: list[Item] = list(dict.fromkeys(item for _customer, item in last))
        self.place = {customer: at for at, customer in enumerate(self.customers)}
        self.column = {item: at for at, item in enumerate(self.items)}
        days: dict[Id, set[Any]] = {}
        for (customer, _item), day in last.items():
            days.setdefault(customer, set()).add(day)
        age = {(customer, day): at for customer, own in days.items()
               for at, day in enumerate(sorted(own, reverse=True))}  # fmt: skip
        at = [self.place[customer] for customer, _item in last]
        what = [self.column[item] for _customer, item in last]
        weight = [FADES ** age[customer, day] for (customer, _item), day in last.items()]
        size = (len(self.customers), len(self.items))
        self.bought = csr_array((np.ones(len(at)), (at, what)), shape=size)
        self.lately = csr_array((np.array(weight, dtype=np.float64), (at, what)), shape=size)
        self.buyers: Floats = np.asarray(self.bought.sum(axis=0), dtype=np.float64).ravel()
        both = (self.bought.T @ self.bought).tocsr()
        both.setdiag(0)
        both.data[both.data < FEWEST] = 0
        both.eliminate_zeros()
        self.both = both
        near = both.tocoo()
        near.data = near.data / np.sqrt(self.buyers[near.row] * self.buyers[near.col])
        self.near = near.tocsr()

    def suggest(
        self, customers: Sequence[Id], most: int, *, offered: Sequence[Item] | None = None, again: bool = False
    ) -> dict[Id, list[Suggestion[Item]]]:
        """For each customer the nearest products, best first: of those `offered`, and not bought before unless `again`.

        A customer whose purchases are near to nothing gets none: better no suggestion than one without a reason.
        """
        import numpy as np

        found: dict[Id, list[Suggestion[Item]]] = {}
        shown = np.ones(len(self.items), dtype=bool)
        if offered is not None:
            shown[:] = False
            shown[[self.column[item] for item in offered if item in self.column]] = True
        for some in batched((customer for customer in customers if customer in self.place), AT_ONCE):
            places = [self.place[customer] for customer in some]
            scores = (self.lately[places] @ self.near).toarray()
            scores[:, ~shown] = 0
            if not again:
                scores[self.bought[places].toarray() > 0] = 0
            best = np.argsort(-scores, axis=1, kind="stable")[:, :most]
            for row, customer in enumerate(some):
                chosen = [int(column) for column in best[row] if scores[row, column] > 0]
                found[customer] = [self._why(places[row], column) for column in chosen]
        return found

    def popular(self, customers: Sequence[Id], most: int) -> dict[Id, list[Item]]:
        """The plain way beside it: what most customers bought, of what this one has not."""
        import numpy as np

        order = [int(column) for column in np.argsort(-self.buyers, kind="stable")]
        found: dict[Id, list[Item]] = {}
        for customer in customers:
            at = self.place.get(customer)
            own = set() if at is None else set(self.bought.indices[self.bought.indptr[at] : self.bought.indptr[at + 1]])
            fresh = (column for column in order if column not in own)
            found[customer] = [self.items[column] for column, _at in zip(fresh, range(most), strict=False)]
        return found

    def _why(self, place: int, column: int) -> Suggestion[Item]:
        """Of what the customer bought, the product that speaks for it most."""
        import numpy as np

        start, end = self.lately.indptr[place], self.lately.indptr[place + 1]
        own, weight = self.lately.indices[start:end], self.lately.data[start:end]
        first, past = self.near.indptr[column], self.near.indptr[column + 1]
        near = np.zeros(len(self.items))
        near[self.near.indices[first:past]] = self.near.data[first:past]
        beside = int(own[int((near[own] * weight).argmax())])
        both, of = int(self.both[beside, column]), int(self.buyers[beside])
        lift = both / of / (self.buyers[column] / len(self.customers))
        return Suggestion(self.items[column], self.items[beside], both, of, round(float(lift), 2))


@dataclass(frozen=True, slots=True)
class Hits:
    """Of so many customers, for which share one of the first k suggestions was in what they bought next."""

    customers: int
    model: float
    popular: float
    """The same for the plain way: what most customers bought."""


def try_out(rows: Sequence[tuple[Id, Item, Any]], most: int = 10) -> Hits:
    """Hold out what happened since the day on which half of the customers had bought for the last time.

    Those who had bought before and came again are asked about: was anything of their next purchase suggested that they
    had not bought before? Nothing that anybody bought later is known to the suggestions.
    """
    last: dict[Id, Any] = {}
    for customer, _item, day in rows:
        last[customer] = max(day, last.get(customer, day))
    if not last:
        return Hits(0, 0.0, 0.0)
    cut = sorted(last.values())[len(last) // 2]
    known = [row for row in rows if row[2] < cut]
    before: dict[Id, set[Item]] = {}
    for customer, item, _day in known:
        before.setdefault(customer, set()).add(item)
    first: dict[Id, Any] = {}
    for customer, _item, day in rows:
        if day >= cut and customer in before:
            first[customer] = min(day, first.get(customer, day))
    fresh: dict[Id, set[Item]] = {}
    for customer, item, day in rows:
        if first.get(customer) == day and item not in before[customer]:
            fresh.setdefault(customer, set()).add(item)
    asked = list(fresh)
    if not asked:
        return Hits(0, 0.0, 0.0)
    baskets = Baskets(known)
    told, plain = baskets.suggest(asked, most), baskets.popular(asked, most)
    hits = sum(any(each.item in fresh[customer] for each in told.get(customer, ())) for customer in asked)
    easy = sum(any(item in fresh[customer] for item in plain[customer]) for customer in asked)
    return Hits(len(asked), hits / len(asked), easy / len(asked))
