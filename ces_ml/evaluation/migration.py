"""Who changes band when one weight set takes the place of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import SpecError, did_you_mean, show

__all__ = ["Migration", "band_migration", "latest_rows"]


@dataclass(frozen=True)
class Migration:
    """Customers by the band they were in and the band they come to.

    Parameters
    ----------
    before, after : tuple of str
        Names of the bands of either weight set, from the lowest score.
    counts : tuple of tuple of int
        ``counts[i][j]`` customers go from ``before[i]`` to ``after[j]``.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]

    @property
    def customers(self) -> int:
        """How many customers were looked at."""
        return sum(map(sum, self.counts))

    @property
    def changed(self) -> float:
        """Share of the customers whose band has another name; 0 where there are none.

        Where the two weight sets name their bands differently, that alone moves customers.
        """
        return self._share(lambda i, j: self.before[i] != self.after[j])

    @property
    def up(self) -> float | None:
        """Share of the customers who rise; None where the bands are not called alike."""
        return self._share(lambda i, j: j > i) if self.before == self.after else None

    @property
    def down(self) -> float | None:
        """Share of the customers who fall; None where the bands are not called alike."""
        return self._share(lambda i, j: j < i) if self.before == self.after else None

    def _share(self, counted: Any) -> float:
        cells = [(i, j, n) for i, row in enumerate(self.counts) for j, n in enumerate(row)]
        moved = sum(n for i, j, n in cells if counted(i, j))
        return moved / self.customers if self.customers else 0.0


def band_migration(
    before: NDArray[Any],
    after: NDArray[Any],
    bands_before: Sequence[str],
    bands_after: Sequence[str],
) -> Migration:
    """Count customers by the band that either weight set gives them.

    Parameters
    ----------
    before, after : ndarray of str, of shape (n_customers,)
        The band of every customer; the same customer in the same place.
    bands_before, bands_after : sequence of str
        Every band of either weight set, from the lowest score.

    Returns
    -------
    Migration

    Raises
    ------
    SpecError
        If the arrays differ in shape, or a band is not one of those named.

    Examples
    --------
    >>> bands = ["at_risk", "advocate"]
    >>> found = band_migration(
    ...     np.array(["at_risk", "at_risk", "advocate"]),
    ...     np.array(["at_risk", "advocate", "advocate"]), bands, bands)
    >>> found.counts, round(found.changed, 3), found.down
    (((1, 1), (0, 1)), 0.333, 0.0)
    """
    before, after = np.asarray(before, dtype=object), np.asarray(after, dtype=object)
    if before.shape != after.shape or before.ndim != 1:
        raise SpecError(
            "the bands do not stand customer by customer",
            got=f"shapes {before.shape} and {after.shape}",
            allowed="two arrays of the same shape (n_customers,)",
            hint="score the same customers with both weight sets",
        )
    places = [
        _places(names, bands)
        for names, bands in ((before, tuple(bands_before)), (after, tuple(bands_after)))
    ]
    width = len(bands_after)
    flat = np.bincount(places[0] * width + places[1], minlength=len(bands_before) * width)
    table = flat.reshape(len(bands_before), width).tolist()
    return Migration(tuple(bands_before), tuple(bands_after), tuple(tuple(row) for row in table))


def latest_rows(customers: NDArray[Any], moments: NDArray[Any]) -> NDArray[np.intp]:
    """Return the place of the latest row of every customer, in the order of the rows.

    Parameters
    ----------
    customers, moments : ndarray of shape (n_rows,)
        Of rows that are equally late the last one is taken.

    Examples
    --------
    >>> latest_rows(np.array(["a", "b", "a"]), np.array([1, 1, 2])).tolist()
    [1, 2]
    """
    who = np.unique(np.asarray(customers).astype(str), return_inverse=True)[1]
    order = np.lexsort((np.asarray(moments), who))
    last = np.flatnonzero(np.diff(who[order], append=-1))
    return np.asarray(np.sort(order[last]), dtype=np.intp)


def _places(names: NDArray[Any], bands: tuple[str, ...]) -> NDArray[np.int64]:
    place = {band: k for k, band in enumerate(bands)}
    unknown = set(names.tolist()) - set(place)
    if unknown:
        name = str(min(unknown, key=str))
        raise SpecError(
            "a customer is in a band that is not named",
            got=show(name),
            allowed=did_you_mean(name, bands),
            hint="name every band of the weight set",
        )
    return np.array([place[name] for name in names.tolist()], dtype=np.int64)
