"""Checking a file that was exported: it is whole, and its consumer gives its golden rows."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ces_ml.errors import CesError, WeightSetError, did_you_mean, show
from ces_ml.exporters.formula import golden_rows
from ces_ml.exporters.parity import TOLERANCE, differences
from ces_ml.exporters.readout import READERS, Readout, in_xml
from ces_ml.weights.weight_set import WeightSet

__all__ = ["SUFFIXES", "Check", "verify_file"]

#: Formats by the ending of a file's name.
SUFFIXES = {
    ".json": "json",
    ".py": "python",
    ".js": "javascript",
    ".mjs": "javascript",
    ".onnx": "onnx",
    ".pmml": "pmml",
    ".xml": "pmml",
}

_NO_SCORES = (
    "a weight card is for people: there are no scores in it to check",
    "check what it was made of: ces-ml verify weights.json",
)
#: Exports that are not checked here, by the ending of a file's name: why, and what to do instead.
_PROVED_OTHERWISE = {
    ".sql": (
        "SQL is checked by the database that runs it",
        "export it with --shape check (it scores the golden rows) or --shape check_events (it "
        "counts made-up events), and run that there: each row says whether it is right",
    ),
    ".md": _NO_SCORES,
    ".html": _NO_SCORES,
}


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Parameters
    ----------
    what : str
        In words.
    ok : bool
    found : str
        What was found, in words.
    hint : str
        What to do next where it is not ok.
    """

    what: str
    ok: bool
    found: str
    hint: str = ""


def verify_file(path: str | os.PathLike[str], against: WeightSet | None = None) -> list[Check]:
    """Check an exported file; code in it runs only if it is, to the letter, that of ces-ml.

    Parameters
    ----------
    path : path-like
        A file that `export` wrote; the ending of its name says the format.
    against : WeightSet, optional
        The weight set that it must have been made of.

    Returns
    -------
    list of Check
        In the order in which they were made; after a file that can't be read no others follow.

    Raises
    ------
    WeightSetError
        If the file can't be opened or its name has an unknown ending.
    """
    path = Path(path)
    if path.suffix.lower() in _PROVED_OTHERWISE:
        problem, hint = _PROVED_OTHERWISE[path.suffix.lower()]
        raise WeightSetError(problem, got=show(path.name), allowed=", ".join(SUFFIXES), hint=hint)
    if path.suffix.lower() not in SUFFIXES:
        raise WeightSetError(
            "the ending of the file's name says no format that can be checked",
            got=show(path.name),
            allowed=did_you_mean(path.suffix, SUFFIXES),
            hint="rename the file as its format asks",
        )
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        raise WeightSetError(
            "the export can't be read",
            got=f"{show(str(path))}: {getattr(error, 'strerror', None) or error}",
            allowed="a file that ces-ml exported",
            hint="check the path",
        ) from error
    format = SUFFIXES[path.suffix.lower()]
    reader = READERS[format]
    whole = f"whole, in the form of {format}"
    try:
        readout = reader.read(data)
        largest, problem = differences(readout.golden, readout.found)
    except CesError as error:
        return [Check(whole, False, f"{error.problem}: {error.got}", error.hint or "")]
    except Exception as error:  # what a damaged file holds may be anything
        found = f"the golden rows inside can't be scored: {type(error).__name__}: {error}"
        return [Check(whole, False, found, _HINT)]
    n = len(readout.golden)
    agree = f"{n} agree to {TOLERANCE:g}; largest difference {largest:.1e}"
    checks = [
        Check(whole, True, f"{len(data):,} bytes"),
        Check("fingerprint", True, _fingerprint(readout, format)),
        Check(f"golden rows, run by {reader.consumer}", not problem, problem or agree, _HINT),
    ]
    return checks if against is None else checks + _against(readout, format, against)


_HINT = "take the original file, or export it again"


def _fingerprint(readout: Readout, format: str) -> str:
    # Only JSON holds everything that a fingerprint is of.
    return readout.fingerprint + (", computed anew" if format == "json" else ", as stated")


def _against(readout: Readout, format: str, weight_set: WeightSet) -> list[Check]:
    """Compare with the weight set that the file must have been made of."""
    same = readout.fingerprint == weight_set.fingerprint
    wanted = golden_rows(weight_set)
    wanted = [dict(row) for row in in_xml(wanted, weight_set)] if format == "pmml" else wanted
    largest, problem = differences(wanted, readout.found)
    agree = f"{len(wanted)} agree to {TOLERANCE:g}; largest difference {largest:.1e}"
    hint = "export the weight set again, or check against the right one"
    return [
        Check(
            "made of the weight set",
            same,
            weight_set.fingerprint if same else f"the weight set has {weight_set.fingerprint}",
            hint,
        ),
        Check("scores of the weight set", not problem, problem or agree, hint),
    ]
