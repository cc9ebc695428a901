"""More than a statement can name comes some at a time: all of it, in order, and each once."""

from __future__ import annotations

import pytest

from rapport import batched


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1000, 1001])
def test_batches_hold_everything_once_and_none_is_empty(count: int):
    asked = iter(range(count))
    batches = list(batched(asked))
    assert [each for batch in batches for each in batch] == list(range(count))
    assert all(0 < len(batch) <= 500 for batch in batches)
    assert len(batches) == -(-count // 500)


def test_no_more_is_read_than_the_batch_at_hand_needs():
    asked = iter("abcde")
    assert next(batched(asked, 2)) == ("a", "b")
    assert list(asked) == ["c", "d", "e"]


def test_a_batch_of_nothing_is_refused_not_taken_for_the_end():
    with pytest.raises(ValueError, match="room for one item at least, not for 0"):
        list(batched("abc", 0))
