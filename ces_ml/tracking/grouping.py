"""Runs that belong together below one: the weight sets of one command."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from ces_ml.errors import TrackingError
from ces_ml.tracking.tracker import Tracker

__all__ = ["grouped"]

_MOST_NAMES = 3


@contextmanager
def grouped(trackers: Sequence[Tracker], names: Sequence[str]) -> Iterator[list[str | None]]:
    """Make a run for those to stand below that go to one experiment of one store together.

    Parameters
    ----------
    trackers : sequence of Tracker
        One a run that is going to be logged.
    names : sequence of str
        What these runs are called.

    Yields
    ------
    list of str or None
        By run the id to give as `parent_run_id`; None for one that goes somewhere alone, and
        where the store can't be written: what is to be logged must not be lost for a heading.
    """
    together: dict[tuple[str, str], list[int]] = {}
    for k, tracker in enumerate(trackers):
        together.setdefault((tracker.store, tracker.experiment), []).append(k)
    parents: list[str | None] = [None] * len(trackers)
    with ExitStack() as stack:
        for places in together.values():
            if len(places) < 2:
                continue
            listed = ", ".join(names[k] for k in places[:_MOST_NAMES])
            more = f" and {len(places) - _MOST_NAMES} more" if len(places) > _MOST_NAMES else ""
            try:
                made = stack.enter_context(trackers[places[0]].group(f"{listed}{more}"))
            except TrackingError:
                continue
            for k in places:
                parents[k] = made
        yield parents
