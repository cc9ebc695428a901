"""The laws of a three-way merge, tried with values of every sort."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rapport.builtin.edition.merge import merge_value, same

plain = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.sampled_from(["", "a", "b"]), st.lists(st.integers(0, 1))
)
values = st.one_of(
    plain, st.dictionaries(st.sampled_from("xyz"), st.one_of(plain, st.dictionaries(st.just("q"), plain)))
)


@given(values, values)
def test_what_one_side_left_alone_is_as_the_other_has_it(base, changed):
    assert same(merge_value(base, changed, base)[0], changed)
    assert same(merge_value(base, base, changed)[0], changed)
    assert merge_value(base, changed, changed) == (changed, [])


@given(values, values, values)
def test_without_a_clash_nothing_is_lost_and_with_one_the_sites_word_stays(base, wanted, here):
    result, clashes = merge_value(base, wanted, here)
    if not isinstance(result, dict):
        assert same(result, here) or (same(here, base) and same(result, wanted))
        return
    clashing = {each.part.partition(" ")[0] for each in clashes}
    for side in (wanted, here):
        if isinstance(side, dict) and isinstance(base, dict) and isinstance(wanted, dict) and isinstance(here, dict):
            for name, value in side.items():
                if name not in clashing and value != base.get(name, object()) and not isinstance(value, dict):
                    other = here if side is wanted else wanted
                    assert result.get(name) == value or other.get(name, object()) != base.get(name, object())
    for name in clashing - {""}:
        if not isinstance(here.get(name), dict):
            assert result.get(name) == here.get(name)


@given(values, values, values)
def test_what_clashes_is_told_once_and_going_on_from_there_clashes_no_more(base, wanted, here):
    result, _clashes = merge_value(base, wanted, here)
    assert merge_value(wanted, wanted, result) == (result, [])
