"""Counts of many customers: what an engine returns and a model learns from."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from ces_ml.errors import SpecError
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.terms import saturate

__all__ = ["CountTable"]


@dataclass(frozen=True)
class CountTable:
    """Counts per (customer, as_of), with outcomes where they are known.

    Law: ``X[i, t]`` is the count of ``spec.terms[t]`` for row *i* before cap and transform, and
    the rows stand in the order of (as_of, customer as text), so that equal data give equal tables
    whatever the order of the log.

    Parameters
    ----------
    keys : DataFrame of shape (n_rows, 2)
        The customer column, under its own name, and ``as_of`` (UTC).
    X : csr_array of float64, of shape (n_rows, n_terms)
        Counts.
    spec : CountSpec
        What the columns are.
    y : ndarray of int8, of shape (n_rows,), optional
        Outcomes; 1 is the good one.
    report : mapping of str to int
        What was read, left out and why.
    sample_weight : ndarray of float64, of shape (n_rows,), optional
        How much a row counts where rows do not count alike; see `TreatedSpec`.
    not_counted : mapping of str to int
        Event types of the log that no term looks at, the most frequent first, with their events.
    history : ndarray of float64, of shape (n_rows, 3), optional
        Days since the last event and since the first, and events within the windows; see
        `Engine.history`. It is for comparisons only: no weight is learned from it.
    """

    keys: pd.DataFrame
    X: Any
    spec: CountSpec
    y: NDArray[np.int8] | None = None
    report: Mapping[str, int] = field(default_factory=dict)
    sample_weight: NDArray[np.float64] | None = None
    not_counted: Mapping[str, int] = field(default_factory=dict)
    history: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return int(self.X.shape[0])

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns of `X`."""
        return self.spec.names

    @property
    def customer(self) -> pd.Series:
        """The customer of every row."""
        return self.keys.iloc[:, 0]

    @property
    def as_of(self) -> pd.Series:
        """The `as_of` of every row, in UTC."""
        return self.keys["as_of"]

    @property
    def outcomes(self) -> NDArray[np.int8]:
        """The outcomes, where they are known.

        Raises
        ------
        SpecError
            If the table was counted without an outcome.
        """
        if self.y is None:
            raise SpecError(
                "the table has no outcomes",
                got="y is None",
                allowed="a table counted with an outcome",
                hint="pass outcome= to build_counts",
            )
        return self.y

    def design(self) -> Any:
        """Return ``g(n)``, the counts after cap and transform, as csr_array of float64."""
        Z = sp.csc_array(self.X, dtype=np.float64, copy=True)
        Z.sum_duplicates()
        for t, term in enumerate(self.spec.terms):
            place = slice(Z.indptr[t], Z.indptr[t + 1])
            Z.data[place] = saturate(Z.data[place], term.cap, term.transform)
        return Z.tocsr()

    def take(self, rows: NDArray[Any]) -> CountTable:
        """Return the rows that `rows` (a mask or positions) chooses."""
        return replace(
            self,
            keys=self.keys.loc[rows].reset_index(drop=True)
            if rows.dtype == bool
            else self.keys.iloc[rows].reset_index(drop=True),
            X=self.X[rows],
            y=None if self.y is None else self.y[rows],
            sample_weight=None if self.sample_weight is None else self.sample_weight[rows],
            history=None if self.history is None else self.history[rows],
        )

    def to_pandas(self) -> pd.DataFrame:
        """Return keys, counts and, where known, ``y`` as one dense frame."""
        counts = pd.DataFrame(self.X.toarray(), columns=list(self.names))
        frame = pd.concat([self.keys, counts], axis=1)
        if self.y is None:
            return frame
        # Not `assign`: a term may be called "y" too, and its counts must not be lost.
        return pd.concat([frame, pd.Series(self.y, name="y")], axis=1)

    def digest(self) -> str:
        """Return the sha256 of what a model sees: keys, names, counts, outcomes, sample weights.

        Counts are rounded to float32 first, because the last bits of a sum depend on the order of
        addition.
        """
        seal = hashlib.sha256()
        for name in self.names:
            seal.update(repr(name).encode())
        # A moment may be kept in ns, µs or s: only its value counts.
        moments = self.as_of.dt.as_unit("us").astype("int64")
        for customer, moment in zip(self.customer.astype(str), moments, strict=True):
            seal.update(f"{customer!r}{moment}".encode("utf-8", "surrogatepass"))
        X = sp.csr_array(self.X, copy=True)
        X.sum_duplicates()
        X.eliminate_zeros()
        for part, kind in ((X.indptr, "<i8"), (X.indices, "<i8"), (X.data, "<f4")):
            seal.update(np.ascontiguousarray(part, dtype=kind).tobytes())
        if self.y is not None:
            seal.update(self.y.astype("<i1").tobytes())
        if self.sample_weight is not None:
            seal.update(self.sample_weight.astype("<f8").tobytes())
        return seal.hexdigest()
