"""The modules of one file: what they need, what they refuse, and that no name leaves its string."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ces_ml.exporters import export, render
from ces_ml.scoring import Scorer
from ces_ml.weights import WeightSet

from .consumers import JavaScript, Python, Refused
from .weight_sets import HOSTILE

Make = Callable[..., WeightSet]
NODE = ["node", "--input-type=module", "-e"]


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)


def test_the_python_module_checks_itself_alone_on_a_bare_python(
    hostile: WeightSet, tmp_path: Path
) -> None:
    path = export(hostile, tmp_path / "scorer.py", "python")
    done = run(sys.executable, "-I", "-S", str(path))
    assert done.stderr == ""
    assert "golden rows agree to 1e-09" in done.stdout


def test_the_python_module_is_syntax_of_python_3_8_and_imports_its_library_only(
    hostile: WeightSet,
) -> None:
    tree = ast.parse(str(render(hostile, "python")), feature_version=(3, 8))
    imported = {
        a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names
    }
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    assert imported == {"datetime", "json", "math", "re"}


def test_the_javascript_module_checks_itself_in_node(hostile: WeightSet, tmp_path: Path) -> None:
    path = export(hostile, tmp_path / "scorer.mjs", "javascript")
    done = run(*NODE, f"import {{ selfCheck }} from '{path}'; console.log(selfCheck())")
    assert done.stderr == ""
    assert int(done.stdout) == 22


def test_the_javascript_module_can_stand_in_a_page(hostile: WeightSet) -> None:
    class Scripts(HTMLParser):
        tags, inside = (), ""

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.tags = (*self.tags, tag)

        def handle_data(self, data: str) -> None:
            self.inside += data

    source = str(render(hostile, "javascript"))
    page = Scripts()
    page.feed(f'<script type="module">{source}</script>')
    page.close()
    assert page.tags == ("script",)
    assert page.inside == source
    assert source.isascii()


@pytest.mark.parametrize("format", ["python", "javascript"])
def test_hostile_names_are_counted_under_their_own_name(
    format: str, hostile: WeightSet, consumers: dict[str, Any]
) -> None:
    events = [
        [["customer_id", "</script>"], ["event_type", name], ["timestamp", "2024-01-01T00:00:00Z"]]
        for name in HOSTILE
        for _ in range(len(name) % 3)
    ]
    ((counts),) = consumers[format].count(hostile, [(events, "2024-01-02")])
    assert counts == {name: len(name) % 3 for name in HOSTILE}
    (found,) = consumers[format].score(hostile, [counts])
    wanted = Scorer(hostile, n_reasons=1).score(counts).iloc[0]
    assert found["score"] == pytest.approx(wanted["score"], abs=1e-9, rel=0)
    assert found["band"] == wanted["band"]
    assert found["reasons"][0]["term"] == wanted["reason_1"]


MOMENTS = {
    "2024-02-29T23:59:59.123456Z": datetime(2024, 2, 29, 23, 59, 59, 123456, UTC),
    "2024-02-29 23:59": datetime(2024, 2, 29, 23, 59, tzinfo=UTC),
    "2024-03-01": datetime(2024, 3, 1, tzinfo=UTC),
    "2024-03-01T01:00:00.5+05:30": datetime(2024, 2, 29, 19, 30, 0, 500000, UTC),
    "2024-03-01T01:00:00-08": datetime(2024, 3, 1, 9, tzinfo=UTC),
    "1969-12-31T23:59:59.9999999Z": datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
    "1700-01-01T00:00:00+0000": datetime(1700, 1, 1, tzinfo=UTC),
}


@pytest.mark.parametrize("text", MOMENTS)
@pytest.mark.parametrize("format", ["python", "javascript"])
def test_a_time_in_text_is_the_microsecond_that_it_says(
    format: str, text: str, make: Make, consumers: dict[str, Any]
) -> None:
    weight_set = make({"event": "login", "window": "1s"})
    event = [["event_type", "login"], ["timestamp", text]]
    at = (MOMENTS[text] - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    # Half-open: one microsecond later it counts, at that microsecond it does not; then it ages out.
    asked = [([event], at + beside) for beside in (0, 1, 1_000_000, 1_000_001)]
    counted = [c["login"] for c in consumers[format].count(weight_set, asked)]
    assert counted == [0, 1, 1, 0]


def test_a_time_that_javascript_cannot_hold_is_refused(
    make: Make, consumers: dict[str, Any]
) -> None:
    weight_set = make({"event": "login", "window": "9d"})
    event = [["event_type", "login"], ["timestamp", "0099-01-01"]]
    with pytest.raises(Refused, match="is not in the years 1684 to 2255"):
        consumers["javascript"].count(weight_set, [([event], "2024-01-02")])
    assert Python().count(weight_set, [([event], "0099-01-02")]) == [{"login": 1}]


def test_python_takes_datetimes_dates_and_numbers_with_a_unit(make: Make) -> None:
    module = Python().load(make({"event": "login", "window": "1d"}))
    zoned = datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    for time in (zoned, datetime(2024, 1, 1, 10), date(2024, 1, 1), "2024-01-01T12:00+02:00"):
        assert module.count_events([{"event_type": "login", "timestamp": time}], "2024-01-02") == {
            "login": 1
        }
    us = 1_704_103_200_000_000
    for unit, number in {"s": us / 1e6, "ms": us // 1000, "us": us, "ns": us * 1000 + 999}.items():
        as_of = {"s": us / 1e6 + 1, "ms": us // 1000 + 1, "us": us + 1, "ns": us * 1000 + 1000}
        event = {"event_type": "login", "timestamp": number}
        assert module.count_events([event], as_of[unit], unit=unit) == {"login": 1}


def test_javascript_takes_dates_and_numbers_with_a_unit(make: Make, tmp_path: Path) -> None:
    path = export(make({"event": "login", "window": "1d"}), tmp_path / "s.mjs", "javascript")
    done = run(
        *NODE,
        f"""import {{ scoreEvents, countEvents }} from '{path}';
        const n = (timestamp, asOf, unit) =>
          countEvents([{{ event_type: "login", timestamp }}], asOf, {{ unit }}).get("login");
        const us = 1704103200000000;
        console.log(JSON.stringify([
          n(new Date(us / 1000), new Date(us / 1000 + 1)), n(us / 1e6, us / 1e6 + 1, "s"),
          n(us, us + 1, "us"), n(BigInt(us) * 1000n + 999n, BigInt(us) * 1000n + 1000n, "ns"),
          n(us, us, "us"),
          scoreEvents([], "2024-01-01").band, scoreEvents([], "2024-01-01").raw_score]));""",
    )
    assert json.loads(done.stdout or done.stderr) == [1, 1, 1, 1, 0, "low", 0]


LOGIN = [["event_type", "login"], ["timestamp", "2024-01-01"]]
REFUSED = {
    "no unit": (
        {"event": "login"},
        [[["event_type", "login"], ["timestamp", 17]]],
        "is a number; state its unit: s, ms, us, ns",
    ),
    "no time": (
        {"event": "login"},
        [[["event_type", "login"], ["timestamp", "yesterday"]]],
        "is not a time in ISO 8601",
    ),
    "no such day": (
        {"event": "login"},
        [[["event_type", "login"], ["timestamp", "2023-02-29"]]],
        "is no moment",
    ),
    "not a time": (
        {"event": "login"},
        [[["event_type", "login"], ["timestamp", [1]]]],
        "is not a time",
    ),
    "seat": (
        {"event": "login", "per": "seat"},
        [LOGIN],
        "term ['\"]login['\"] can't be counted here: per: seat",
    ),
    "not a number": (
        {"event": "login", "measure": "sum"},
        [[*LOGIN, ["value", "many"]]],
        "['\"]many['\"] is not a",
    ),
    "not one value": (
        {"event": "login", "measure": "distinct", "property": "plan"},
        [[*LOGIN, ["plan", {"a": 1}]]],
        "is not a single value",
    ),
    "a filter on another kind": (
        {"event": "login", "where": "plan = 'pro'"},
        [[*LOGIN, ["plan", 7]]],
        "its filter can't compare column ['\"]plan['\"], which holds 7, with ['\"]pro['\"]",
    ),
    "two customers": (
        {"event": "login"},
        [[*LOGIN, ["customer_id", 1]], [*LOGIN, ["customer_id", 2]]],
        "the events are of 2 customers; give those of one",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("format", ["python", "javascript"])
def test_what_a_module_cannot_count_is_refused(
    format: str, case: str, make: Make, consumers: dict[str, Any]
) -> None:
    term, events, words = REFUSED[case]
    reader = consumers[format]
    if format == "python":
        module = reader.load(make(term))
        with pytest.raises(module.ScoreError, match=words):
            module.count_events([dict(e) for e in events], "2024-01-02")
    else:
        with pytest.raises(Refused, match="ScoreError(.|\n)*" + words):
            reader.ask(make(term), "events without a unit", [(events, "2024-01-02")])


def test_a_term_without_a_column_is_refused_by_its_name(make: Make) -> None:
    from ces_ml.events import EventSchema

    module = Python().load(make({"event": "pay", "measure": "sum"}, events=EventSchema()))
    with pytest.raises(module.ScoreError, match="term 'pay' can't be counted here: measure sum"):
        module.count_events([], "2024-01-01")


@pytest.mark.parametrize("count", ["x", float("nan"), float("inf"), [1]])
def test_a_count_that_is_no_finite_number_is_refused_by_python(count: Any, make: Make) -> None:
    module = Python().load(make({"event": "login"}))
    with pytest.raises(module.ScoreError, match=r"'login'.*is not a"):
        module.score_counts({"login": count})


def test_a_count_that_is_no_number_is_refused_by_javascript(
    make: Make, consumers: dict[str, Any]
) -> None:
    javascript: JavaScript = consumers["javascript"]
    with pytest.raises(Refused, match='"login": "x" is not a finite number'):
        javascript.ask(make({"event": "login"}), "counts", [[["login", "x"]]])


def test_a_filter_on_a_number_that_javascript_cannot_hold_is_refused(
    make: Make, consumers: dict[str, Any]
) -> None:
    weight_set = make({"event": "login", "where": f"value = {2**53 + 1}"})
    with pytest.raises(Refused, match="a whole number beyond 2\\^53"):
        consumers["javascript"].count(weight_set, [([LOGIN], "2024-01-02")])
    assert Python().count(weight_set, [([[*LOGIN, ["value", 2**53 + 1]]], "2024-01-02")]) == [
        {weight_set.names[0]: 1}
    ]


@pytest.mark.parametrize("format", ["python", "javascript"])
def test_columns_with_dots_are_fields_inside_columns(
    format: str, make: Make, consumers: dict[str, Any]
) -> None:
    from ces_ml.events import EventSchema

    schema = EventSchema(timestamp_col="properties.time", value_col="properties.paid.net")
    weight_set = make({"event": "pay", "measure": "sum"}, events=schema)
    inside = {"time": "2024-01-01", "paid": {"net": 3}}
    events = [
        [["event_type", "pay"], ["properties", inside]],
        [["event_type", "pay"], ["properties", json.dumps(inside)]],
        [["event_type", "pay"], ["properties", inside], ["properties.paid.net", 10]],
    ]
    assert consumers[format].count(weight_set, [(events, "2024-01-02")]) == [{"pay": 16}]


def test_a_golden_row_that_differs_is_told(make: Make, consumers: dict[str, Any]) -> None:
    module = Python().load(make({"event": "login"}))
    module.MODEL["terms"][0]["weight"] = 0.75
    with pytest.raises(module.ScoreError, match=r"golden row 1: raw_score is 2\.25, not 1\.5"):
        module.self_check()
