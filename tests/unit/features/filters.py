"""Random filters on properties."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from ces_ml.spec.where import All, Comparison, Condition, IsNull, IsTrue, Membership, Not, OneOf

NUMBERS = st.integers(-100, 100) | st.sampled_from(
    [-0.125, 2.5, 2**40, -(2.0**40), 1e300, 2**63 - 1]
)
ORDERS = ("=", "!=", "<", "<=", ">", ">=")


def conditions(
    numbers: Sequence[str], texts: Sequence[str], flags: Sequence[str], words: Sequence[str]
) -> st.SearchStrategy[Condition]:
    """Filters on columns of numbers, text and truth, in the form that a parser gives back."""
    number, text, flag = (st.sampled_from(list(c)) for c in (numbers, texts, flags))
    word = st.sampled_from(list(words))
    leaves = st.one_of(
        st.builds(Comparison, number, st.sampled_from(ORDERS), NUMBERS),
        st.builds(Comparison, text, st.sampled_from(ORDERS), word),
        st.builds(Comparison, flag, st.sampled_from(["=", "!="]), st.booleans()),
        st.builds(Membership, number, st.lists(NUMBERS, min_size=1, max_size=3).map(tuple)),
        st.builds(Membership, text, st.lists(word, min_size=1, max_size=3).map(tuple)),
        st.builds(IsNull, number | text | flag),
        st.builds(IsTrue, flag),
    )

    def joined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
        return st.one_of(
            st.builds(Not, inner),
            st.builds(All, parts(inner, All)),
            st.builds(OneOf, parts(inner, OneOf)),
        )

    return st.recursive(leaves, joined, max_leaves=4)


def parts(
    inner: st.SearchStrategy[Condition], kind: type[Condition]
) -> st.SearchStrategy[tuple[Condition, ...]]:
    """Two or more conditions; a conjunction never holds a conjunction."""
    other = inner.filter(lambda c: not isinstance(c, kind))
    return st.lists(other, min_size=2, max_size=3).map(tuple)
