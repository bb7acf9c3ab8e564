"""Runs that belong together below one: the weight sets of one command."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from types import TracebackType

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
                heading = trackers[places[0]].group(f"{listed}{more}")
                made = heading.__enter__()
            except TrackingError:
                continue
            stack.push(_ended(heading))
            for k in places:
                parents[k] = made
        yield parents


def _ended(
    heading: AbstractContextManager[str],
) -> Callable[
    [type[BaseException] | None, BaseException | None, TracebackType | None], bool | None
]:
    """Return an exit that ends the heading; that it can't be ended is left unsaid."""

    def end(
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        with suppress(TrackingError):
            return heading.__exit__(kind, error, trace)
        return False

    return end
