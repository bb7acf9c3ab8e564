"""Whether exports give the scores of the weight set that they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ces_ml.errors import CesError, MissingDependencyError
from ces_ml.exporters.formula import golden_rows
from ces_ml.exporters.readout import READERS, Row, in_xml
from ces_ml.exporters.registry import render
from ces_ml.weights.weight_set import WeightSet

__all__ = ["TOLERANCE", "ParityResult", "check_parity", "differences"]

#: How far raw score, score and probability may lie apart.
TOLERANCE = 1e-9
NUMBERS = ("raw_score", "score", "probability")


@dataclass(frozen=True)
class ParityResult:
    """How an export did on the golden rows.

    Parameters
    ----------
    format : str
        A key of `EXPORTERS`.
    consumer : str
        What read the export.
    rows : int
        Golden rows that it scored.
    largest : float
        Largest difference of raw score, score or probability.
    problem : str
        What is wrong, in words; empty where nothing is.
    ran : bool
        False where the consumer, or the package that writes the format, is not installed.
    """

    format: str
    consumer: str
    rows: int = 0
    largest: float = 0.0
    problem: str = ""
    ran: bool = True

    @property
    def ok(self) -> bool:
        """Whether the consumer ran and gave every golden row its scores."""
        return self.ran and not self.problem


def check_parity(weight_set: WeightSet) -> list[ParityResult]:
    """Export a weight set in every format that this process can read back, and compare.

    Returns
    -------
    list of ParityResult
        One a format. SQL is not among them: it needs a database, which exporters do not have.

    Examples
    --------
    >>> from ces_ml.spec import CountSpec
    >>> from ces_ml.weights import Band, Scale, WeightedTerm, WeightSet
    >>> term = CountSpec.of(["login"], window="30d").terms[0]
    >>> weight_set = WeightSet(
    ...     name="demo", terms=(WeightedTerm(**term.model_dump(), weight=0.5),), intercept=-1.0,
    ...     scale=Scale(method="probability"), bands=(Band(name="all", from_score=0),))
    >>> [r.format for r in check_parity(weight_set) if r.problem]
    []
    """
    wanted = golden_rows(weight_set)
    results = []
    for format, reader in READERS.items():
        if not reader.in_process:
            continue
        try:
            made = render(weight_set, format)
            data = made.encode("utf-8") if isinstance(made, str) else made
            readout = reader.read(data)
        except MissingDependencyError as error:
            results.append(ParityResult(format, reader.consumer, problem=str(error.got), ran=False))
            continue
        except CesError as error:
            results.append(ParityResult(format, reader.consumer, problem=error.problem))
            continue
        expected = in_xml(wanted, weight_set) if format == "pmml" else wanted
        largest, problem = differences(expected, readout.found)
        if readout.fingerprint != weight_set.fingerprint:
            problem = "the export states another fingerprint"
        rows = len(readout.found)
        results.append(ParityResult(format, reader.consumer, rows, largest, problem))
    return results


def differences(wanted: Sequence[Row], found: Sequence[Row]) -> tuple[float, str]:
    """Return the largest difference of two lists of rows, and what is wrong in words.

    Numbers that `wanted` does not state are not compared.
    """
    if len(wanted) != len(found):
        return 0.0, f"{len(found)} rows instead of {len(wanted)}"
    largest, problem = 0.0, ""
    for k, (row, other) in enumerate(zip(wanted, found, strict=True)):
        for key in (n for n in NUMBERS if n in row):
            apart = abs(row[key] - other[key])
            if not apart <= TOLERANCE and not problem:
                problem = f"golden row {k}: {key} is {other[key]:.12g}, not {row[key]:.12g}"
            # A number that is none compares with nothing and is the largest difference of all.
            largest = max(largest, apart if apart == apart else float("inf"))
        if "band" in row and row["band"] != other["band"] and not problem:
            problem = f"golden row {k}: band is {other['band']!r}, not {row['band']!r}"
    return largest, problem
