from __future__ import annotations

import copy
import inspect
import pickle

import pytest

from ces_ml import errors
from ces_ml.errors import CesError, SpecError, did_you_mean, show

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, CesError) and kind is not CesError
]


def made(kind: type[CesError]) -> CesError:
    return kind("it broke", got="this", allowed="that", hint="mend it")


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_shows_its_four_parts_on_four_lines(kind: type[CesError]) -> None:
    assert str(made(kind)).splitlines() == [
        "it broke",
        "  got:     this",
        "  allowed: that",
        "  next:    mend it",
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_also_a_built_in_error(kind: type[CesError]) -> None:
    assert issubclass(kind, ValueError | TypeError | OSError | ImportError)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("again", [lambda e: pickle.loads(pickle.dumps(e)), copy.copy])
def test_every_error_crosses_process_borders_whole(kind: type[CesError], again) -> None:
    back = again(made(kind))
    assert type(back) is kind
    assert str(back) == str(made(kind))
    assert (back.problem, back.got, back.allowed, back.hint) == (
        "it broke",
        "this",
        "that",
        "mend it",
    )


def test_parts_that_are_not_given_leave_no_line() -> None:
    assert str(SpecError("it broke", hint="mend it")) == "it broke\n  next:    mend it"


def test_the_closest_name_comes_first() -> None:
    assert did_you_mean("purchse", ["login", "purchase"]).startswith("did you mean 'purchase'?")


def test_the_closest_name_is_found_whatever_its_case() -> None:
    assert did_you_mean("PAGE_VIEW", ["login", "page_view"]).startswith("did you mean 'page_view'?")


def test_without_a_close_name_all_names_are_listed_in_order() -> None:
    assert did_you_mean("zzz", ["b", "a", "b"]) == "'a', 'b'"


def test_a_long_list_of_names_is_cut_and_counted() -> None:
    listed = did_you_mean("zzz", [f"name {k:03d}" for k in range(100)], most=3)
    assert listed == "'name 000', 'name 001', 'name 002', … 97 more"


def test_hostile_names_are_escaped_in_the_list() -> None:
    assert "\n" not in did_you_mean("a", ["two\nlines", "\x1b[31m"])


def test_shown_text_is_escaped_and_cut() -> None:
    assert show("two\nlines\x1b") == r"'two\nlines\x1b'"
    assert len(show("x" * 10_000)) == 200
