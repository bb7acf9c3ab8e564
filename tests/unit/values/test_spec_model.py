"""Errors of the records that people write by hand: the same words for every one of them."""

from __future__ import annotations

import pytest

from ces_ml.errors import SpecError, WeightSetError
from ces_ml.spec import CountRule, CountSpec, OutcomeSpec, Term
from ces_ml.weights import WeightedTerm


def test_an_unknown_key_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(SpecError, match=r"unknown key in Term\n.*'windw'\n.*mean 'window'\?"):
        Term.parse({"event": "x", "windw": "3d"})


def test_a_key_deep_inside_is_named_with_its_path() -> None:
    with pytest.raises(SpecError, match=r"terms\[1\]: unknown key in Term"):
        CountSpec.parse({"terms": [{"event": "x", "window": "3d"}, {"evnt": "y", "window": "3d"}]})


def test_a_missing_key_is_named() -> None:
    with pytest.raises(SpecError, match="window is missing"):
        Term.parse({"event": "x"})


def test_a_word_that_is_not_allowed_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(SpecError, match=r"measure has a value.*\n.*'cuont'\n.*mean 'count'\?"):
        Term.parse({"event": "x", "window": "3d", "measure": "cuont"})


def test_a_number_out_of_range_is_shown_with_its_bound() -> None:
    with pytest.raises(SpecError, match=r"cap has a value.*\n.*-1\n.*greater than 0"):
        Term.parse({"event": "x", "window": "3d", "cap": -1})


@pytest.mark.parametrize("cap", [float("nan"), float("inf")])
def test_numbers_are_finite(cap: float) -> None:
    with pytest.raises(SpecError, match="cap has a value that is not allowed"):
        Term(event="x", window="3d", cap=cap)


@pytest.mark.parametrize("data", [None, [], "text", 3])
def test_what_is_not_a_mapping_is_refused(data: object) -> None:
    with pytest.raises(SpecError, match=r"Term has a value that is not allowed"):
        Term.parse(data)


@pytest.mark.parametrize("key", ["self", "data", "cls", "__class__"])
def test_a_key_named_like_an_argument_is_an_unknown_key(key: str) -> None:
    with pytest.raises(SpecError, match="unknown key"):
        CountSpec.parse({"terms": [{"event": "x", "window": "3d", key: 1}]})


@pytest.mark.parametrize("key", [1, False, None, (1, 2)])
def test_a_key_that_is_not_text_is_refused_with_its_path(key: object) -> None:
    with pytest.raises(SpecError, match=r"a key in terms\[0\] is not text\n.*\n.*\n.*quotes"):
        CountSpec.parse({"terms": [{"event": "x", "window": "3d", key: 1}]})


@pytest.mark.parametrize(
    "make",
    [
        lambda bad: Term(event=bad, window="3d"),
        lambda bad: CountRule(events=("x", bad), window="3d"),
        lambda bad: OutcomeSpec(task="conversion", event=bad, horizon="3d"),
    ],
)
def test_half_a_surrogate_pair_is_refused_because_no_file_can_hold_it(make) -> None:
    with pytest.raises(SpecError, match=r"not valid Unicode\n.*'\\ud800'"):
        make("\ud800")


def test_the_error_is_of_the_kind_that_the_record_states() -> None:
    with pytest.raises(WeightSetError, match="weight is missing"):
        WeightedTerm.parse({"event": "x", "window": "3d"})


def test_records_are_frozen() -> None:
    term = Term(event="x", window="3d")
    with pytest.raises(ValueError, match="frozen"):
        term.event = "y"


def test_a_wrong_shape_is_answered_in_the_words_of_yaml() -> None:
    with pytest.raises(SpecError, match=r"members has a value.*\n.*\n.*allowed: a list"):
        Term.parse({"event": "x", "window": "3d", "members": {"a": 1}})
    with pytest.raises(SpecError, match=r"property has a value.*\n.*3\n.*allowed: text"):
        Term.parse({"event": "x", "window": "3d", "measure": "sum", "property": 3})
