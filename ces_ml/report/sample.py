"""Who is in the sample, and who is not and why, in words."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["REASONS", "sample_in_words"]

#: What the numbers of a report mean, in the order of telling: for one, and for any other number.
REASONS: dict[str, tuple[str, str]] = {
    "null_customer": (
        "row without a customer, dropped",
        "rows without a customer, dropped",
    ),
    "null_event_type": (
        "row without an event type, dropped",
        "rows without an event type, dropped",
    ),
    "null_timestamp": (
        "row without a timestamp, dropped",
        "rows without a timestamp, dropped",
    ),
    "given_null_customer": (
        "given row without a customer, dropped",
        "given rows without a customer, dropped",
    ),
    "given_null_as_of": (
        "given row without an as_of, dropped",
        "given rows without an as_of, dropped",
    ),
    "given_null_y": (
        "given row without an outcome, dropped",
        "given rows without an outcome, dropped",
    ),
    **{
        f"left_out_{reason}": (f"row left out: {words}", f"rows left out: {words}")
        for reason, words in {
            "after_log": "as_of lies more than a day after the log",
            "unknown": "the customer has no event before as_of",
            "anchor_not_arrived": "the anchor event had not arrived by as_of",
            "no_anchor": "the event that ends the outcome window was not known before as_of",
            "window_over": "the outcome window had ended already",
            "censored": "the outcome window ends after the log",
            "look_back_before_log": "the look-back begins before the log",
            "not_active": "not active at as_of",
            "all_used": "every family was in use already",
            "already_happened": "the outcome had happened already",
            "happened_in_gap": "the outcome happened in the gap",
            "treated": "treated before the outcome window ended",
        }.items()
    },
    "happened_unseen": (
        "row in the sample whose outcome had happened unseen: its event had not arrived by as_of",
        "rows in the sample whose outcome had happened unseen: their events had not arrived by "
        "as_of",
    ),
    "unpaired_starts": (
        "start without an end of its own, not counted",
        "starts without an end of their own, not counted",
    ),
    "event_types_not_counted": ("event type not counted", "event types not counted"),
    "events_not_counted": ("event of such a type", "events of these types"),
}


def sample_in_words(report: Mapping[str, int]) -> list[str]:
    """Return one line for every number of a report that is not 0.

    Parameters
    ----------
    report : mapping of str to int
        ``CountTable.report``.

    Examples
    --------
    >>> sample_in_words({"left_out_censored": 1, "left_out_not_active": 1200, "rows": 7})
    ['1 row left out: the outcome window ends after the log', '1,200 rows left out: not active at as_of']
    """  # noqa: E501 - a line of output
    lines = [
        f"{report[name]:,} {one if report[name] == 1 else many}"
        for name, (one, many) in REASONS.items()
        if report.get(name)
    ]
    if "treated" in report:
        lines.append(_treated(report))
    return lines


def _treated(report: Mapping[str, int]) -> str:
    """Say how many rows were treated, and how their outcomes compare."""
    parts = []
    for side in ("treated", "untreated"):
        rows, good = report[side], report[f"{side}_good"]
        rate = f", {100 * good / rows:.1f} % with the good outcome" if rows else ""
        parts.append(f"{rows:,} {'row' if rows == 1 else 'rows'} {side}{rate}")
    return "; ".join(parts)
