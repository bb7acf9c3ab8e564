"""The weights that are served: loaded once, and again when the file or the alias changes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property

from ces_ml.errors import CesError
from ces_ml.exporters.python_module import module_functions
from ces_ml.serving.bodies import WeightsLoaded
from ces_ml.weights import WeightSet

__all__ = ["Served", "ServedWeights", "loader"]

Loader = Callable[[], WeightSet]


@dataclass(frozen=True)
class Served:
    """Weights as a request sees them: one value, whole.

    Parameters
    ----------
    weight_set : WeightSet
    loaded_at : str
        ISO 8601, UTC.
    last_error : str or None
        Why the last attempt to read them again failed; the weights are then the ones before.
    """

    weight_set: WeightSet
    loaded_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    last_error: str | None = None

    @cached_property
    def weights(self) -> WeightsLoaded:
        """Which weights they are."""
        held = self.weight_set
        return WeightsLoaded(name=held.name, fingerprint=held.fingerprint)

    @cached_property
    def place(self) -> dict[str, int]:
        """Position of a term by its name."""
        return {name: t for t, name in enumerate(self.weight_set.names)}

    @cached_property
    def event_types(self) -> frozenset[str]:
        """Event types that some term looks at."""
        terms = self.weight_set.terms
        ends = {t.until for t in terms if t.until is not None}
        return frozenset(ends.union(*(t.counted for t in terms)))

    @cached_property
    def count_events(self) -> Callable[..., dict[str, float]]:
        """The counting of the exported Python module, over one customer's events."""
        return module_functions(self.weight_set)["count_events"]  # type: ignore[no-any-return]


class ServedWeights:
    """Holds the weights that are served and reads them again from time to time.

    A request takes `current` once, so it never sees half of a change. What can't be read, or is
    not the weight set that it says it is, leaves the weights before in place.

    Parameters
    ----------
    load : callable
        Returns the weight set that is to be served now.
    every_s : float, optional
        Seconds between two looks, from when `watch` is called. Without it nothing is read again.

    Raises
    ------
    CesError
        If the first weights can't be loaded.
    """

    def __init__(self, load: Loader, every_s: float | None = None) -> None:
        self._load, self._every_s = load, every_s
        self.current = _ready(load())
        self.reloads = self.failures = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def refresh(self) -> bool:
        """Look once; return whether other weights are served now."""
        try:
            found = self._load()
        except (CesError, OSError) as error:
            self.failures += 1
            self.current = replace(self.current, last_error=str(error).splitlines()[0])
            return False
        before = self.current
        if found.fingerprint == before.weights.fingerprint:
            if before.last_error is not None:
                self.current = replace(before, last_error=None)
            return False
        self.current = _ready(found)
        self.reloads += 1
        return True

    def watch(self) -> None:
        """Look again and again in a thread, until `close`."""
        if self._every_s is None or self._thread is not None:
            return
        self._thread = threading.Thread(target=self._run, name="ces-ml-weights", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.refresh()


def _ready(weight_set: WeightSet) -> Served:
    """Return weights with everything made that a request would wait for."""
    served = Served(weight_set)
    _ = served.weights, served.place, served.event_types, served.count_events
    return served


def loader(ref: str | os.PathLike[str], store: str | os.PathLike[str] | None = None) -> Loader:
    """Return what loads a file, a run, a version or an alias; see `load_weight_set`."""
    from ces_ml.tracking import load_weight_set

    return lambda: load_weight_set(ref, store)
