"""Many things, some at a time: as many as one statement can name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batched(items: Iterable[T], size: int = 500) -> Iterator[tuple[T, ...]]:
    """The items in their order, in batches that a statement can name on both databases; of no items there is none.

    As `itertools.batched`, which comes with Python 3.12: ours for as long as we support 3.11. The items are read as the
    batches are asked for, so do not change what they are read from in between.
    """
    if size < 1:
        raise ValueError(f"A batch needs room for one item at least, not for {size}.")
    rest = iter(items)
    while batch := tuple(islice(rest, size)):
        yield batch
