"""The weight set: what a fit leaves behind and every scorer reads."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from ces_ml.errors import CesError, WeightSetError, did_you_mean, show
from ces_ml.events import EventSchema
from ces_ml.files import write_text
from ces_ml.spec.counts import CountSpec
from ces_ml.spec.model import SpecModel
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.spec.terms import Term
from ces_ml.weights.points import IntegerPoints
from ces_ml.weights.recalibration import Recalibration
from ces_ml.weights.scale import Band, Scale, tidy
from ces_ml.weights.verdict import Verdict
from ces_ml.weights.weighted_term import WeightedTerm

__all__ = ["GoldenRow", "Provenance", "WeightSet"]

FORMAT = "ces-ml/weight-set"
SCHEMA_VERSION = 1


class Provenance(SpecModel):
    """Where the weights come from.

    Parameters
    ----------
    data_digest : str
        sha256 of keys, counts and outcomes that the weights were learned from.
    config_digest : str
        sha256 of the configuration in canonical form.
    as_of : tuple of str
        Moments of the rows, ISO 8601, UTC: the first and the last.
    rows, customers, positives : int
        Size of the training data; `positives` have the good outcome.
    versions : dict of str to str
        Versions of the packages that took part.
    metrics : dict of str to float
        Metrics on held-out rows.
    """

    error_class = WeightSetError
    data_digest: str
    config_digest: str
    as_of: tuple[str, ...] = ()
    rows: int = Field(ge=0)
    customers: int = Field(ge=0)
    positives: int = Field(ge=0)
    versions: dict[str, str] = Field(default_factory=dict)
    metrics: dict[str, float] = Field(default_factory=dict)


class GoldenRow(SpecModel):
    """Counts and the scores they must give: every consumer can check itself with them.

    Parameters
    ----------
    counts : dict of str to float
        Count by name of term; a term that is not there counts 0.
    raw_score, score : float
        What they must give, to 1e-9.
    band : str
        The band they must fall into.
    """

    error_class = WeightSetError
    counts: dict[str, float]
    raw_score: float
    score: float
    band: str


class WeightSet(SpecModel):
    """Weights with everything that is needed to apply them: a frozen value, kept as JSON.

    The raw score of a customer is ``Σ_t w_t · g_t(n_t)``; the intercept enters the probability
    only. Loading executes nothing: the JSON is checked against the published schema
    (``weight_set.v1.json``), its fingerprint and its golden rows.

    Parameters
    ----------
    name : str
        What the score is for, for example ``"churn"``.
    terms : tuple of WeightedTerm
        Event, measure, window, half-life, cap, transform and weight of every term.
    intercept : float
        Log-odds of the good outcome of a customer without events.
    events : EventSchema
        Columns of the log that the counts come from.
    account_col : str, optional
        What accounts are called, where the weights were learned on them: users were rolled up, and
        what they do was counted together. The log then has the account of every event, or is read
        with the mapping of users to accounts. Without it customers are those of the log.
    outcome : OutcomeSpec, optional
        What the weights were learned from.
    rules : tuple of str
        Rules that the weights obey, as they were written.
    scale : Scale
        Map to 0–100.
    bands : tuple of Band
        From the lowest; the first starts at 0.
    provenance : Provenance, optional
        Where the weights come from.
    points : IntegerPoints, optional
        Whole numbers in place of the weights, for display.
    verdict : Verdict, optional
        Whether the weights beat counting, where that was judged.
    calibration : Recalibration, optional
        Map from log-odds to probability; without it the probability is that of the fit.
    golden_rows : tuple of GoldenRow
        Rows that every consumer must reproduce.

    Raises
    ------
    WeightSetError
        If a value is not allowed.
    """

    error_class = WeightSetError
    format: Literal["ces-ml/weight-set"] = "ces-ml/weight-set"
    schema_version: Literal[1] = 1
    name: str = Field(min_length=1)
    terms: tuple[WeightedTerm, ...] = Field(min_length=1)
    intercept: float
    events: EventSchema = EventSchema()
    account_col: str | None = Field(default=None, min_length=1)
    outcome: OutcomeSpec | None = None
    rules: tuple[str, ...] = ()
    scale: Scale
    bands: tuple[Band, ...] = Field(min_length=1)
    provenance: Provenance | None = None
    points: IntegerPoints | None = None
    verdict: Verdict | None = None
    calibration: Recalibration | None = None
    golden_rows: tuple[GoldenRow, ...] = ()

    @field_validator("intercept")
    @classmethod
    def _rounded(cls, value: float) -> float:
        return tidy(value)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [t.name for t in self.terms]
        if list(self.spec.names) != names:
            raise WeightSetError(
                "terms of a weight set share a name or have none",
                got=", ".join(show(n) for n in names),
                allowed="one name a term",
                hint="take the terms from a CountSpec, which names them",
            )
        starts = [b.from_score for b in self.bands]
        if starts[0] != 0 or starts != sorted(set(starts)):
            raise WeightSetError(
                "the bands do not cover the score from 0 up",
                got=show(starts),
                allowed="rising from_score values, the first of them 0",
                hint="correct from_score of the bands",
            )
        if self.points is not None and set(self.points.values) != set(names):
            raise WeightSetError(
                "the points do not belong to the terms",
                got="points of " + ", ".join(show(n) for n in sorted(self.points.values)),
                allowed="points of " + ", ".join(show(n) for n in sorted(names)),
                hint="give every term its points, or leave `points` out",
            )
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, in order."""
        return tuple(t.name for t in self.terms)

    @property
    def weights(self) -> dict[str, float]:
        """Weight by name of term."""
        return {t.name: t.weight for t in self.terms}

    @property
    def spec(self) -> CountSpec:
        """What must be counted to apply the weights."""
        fields = set(Term.model_fields)
        return CountSpec(terms=tuple(Term(**t.model_dump(include=fields)) for t in self.terms))

    @property
    def scored_events(self) -> EventSchema:
        """Columns of a log whose customers are those that are scored.

        They are `events`, unless the weights were learned on accounts: then the account is the
        customer, and nobody is anonymous.
        """
        if self.account_col is None:
            return self.events
        whose = {"customer_col": self.account_col, "anonymous_col": None}
        return self.events.model_copy(update=whose)

    @property
    def fingerprint(self) -> str:
        """sha256 of the content: equal weight sets have equal fingerprints.

        Values at their defaults are left out, so that an optional key which a later release adds
        does not change the fingerprint of the files that are already there.
        """
        content = self.model_dump(mode="json", exclude_defaults=True)
        content |= {"format": self.format, "schema_version": self.schema_version}
        canonical = json.dumps(content, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
        return "sha256:" + hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> str:
        """Return the weight set as JSON text, its fingerprint included."""
        body = {"fingerprint": self.fingerprint, **self.model_dump(mode="json")}
        return json.dumps(body, indent=2, ensure_ascii=False) + "\n"

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the weight set as JSON, whole or not at all.

        Raises
        ------
        OutputError
            If the path can't be written.
        """
        return write_text(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a weight set and check version, schema, fingerprint and golden rows.

        Raises
        ------
        WeightSetError
            If the file is not there, truncated, edited or of an unknown version.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:  # ValueError: not UTF-8, or a null byte in the path
            raise WeightSetError(
                "the weight set can't be read",
                got=f"{show(str(path))}: {getattr(error, 'strerror', None) or error}",
                allowed="a JSON file written by ces-ml",
                hint="check the path",
            ) from error
        return cls.from_json(text, source=str(path))

    @classmethod
    def from_json(cls, text: str, *, source: str = "the text") -> Self:
        """Read a weight set from JSON text; `source` names it in errors.

        Raises
        ------
        WeightSetError
            As `load`.
        """
        body = _parsed(text, source)
        stated = body.pop("fingerprint", None)
        try:
            weight_set = cls.parse(body)
        except CesError as error:
            raise WeightSetError(
                f"the weight set in {show(source)} does not fit its schema: {error.problem}",
                got=error.got,
                allowed=error.allowed,
                hint="take the original file; this one was not written by ces-ml",
            ) from error
        _check_kinds(body, weight_set.model_dump(mode="json"), "")
        if stated != weight_set.fingerprint:
            raise WeightSetError(
                f"the weight set in {show(source)} was changed after it was written",
                got=f"content with fingerprint {weight_set.fingerprint}",
                allowed=f"content with the fingerprint that the file states, {show(stated)}",
                hint="take the original file, or make the change in Python and save it anew",
            )
        weight_set.verify()
        return weight_set

    def verify(self) -> None:
        """Score the golden rows and compare.

        Raises
        ------
        WeightSetError
            If a row gives another score or band than the file states.
        """
        from ces_ml.weights.apply import band_names, raw_scores, scores

        for k, row in enumerate(self.golden_rows):
            unknown = set(row.counts) - set(self.names)
            if unknown:
                raise WeightSetError(
                    f"golden row {k} counts a term that the weight set does not have",
                    got=show(min(unknown)),
                    allowed=did_you_mean(min(unknown), self.names),
                    hint="take the weight set from a fresh training run",
                )
            n = np.array([[row.counts.get(name, 0.0) for name in self.names]])
            raw = raw_scores(self, n)
            score = scores(self, raw)
            band = band_names(self, score)[0]
            close = np.allclose([raw[0], score[0]], [row.raw_score, row.score], rtol=0, atol=1e-9)
            if not close or band != row.band:
                raise WeightSetError(
                    f"golden row {k} gives another score than the weight set states",
                    got=f"raw {raw[0]:.12g}, score {score[0]:.12g}, band {show(band)}",
                    allowed=f"raw {row.raw_score:.12g}, score {row.score:.12g}, "
                    f"band {show(row.band)}",
                    hint="use the version of ces-ml that wrote the file, and report this",
                )


def _parsed(text: str, source: str) -> dict[str, Any]:
    """Return the JSON object in `text` if its format and version are ours."""
    try:
        body = json.loads(text)
    except (ValueError, RecursionError) as error:  # hostile: endless numbers, endless nesting
        found = (
            f"{error.msg} at line {error.lineno}"
            if isinstance(error, json.JSONDecodeError)
            else show(str(error))
        )
        raise WeightSetError(
            f"the weight set in {show(source)} is truncated or not JSON",
            got=f"{found}; the text has {len(text)} characters",
            allowed="a whole JSON document written by ces-ml",
            hint="copy the file again or export it again",
        ) from error
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise WeightSetError(
            f"{show(source)} is not a weight set",
            got=f"format {show(body.get('format') if isinstance(body, dict) else type(body))}",
            allowed=show(FORMAT),
            hint="export one with `ces-ml export`",
        )
    version = body.get("schema_version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise WeightSetError(
            f"the weight set in {show(source)} has an unknown version",
            got=show(body.get("schema_version")),
            allowed=f"schema_version {SCHEMA_VERSION}",
            hint="install a newer ces-ml (pip install --upgrade ces-ml)",
        )
    return body


def _check_kinds(stated: Any, meant: Any, where: str) -> None:
    """Refuse what the schema refuses and Python would quietly convert: ``"0.5"`` or ``true``."""
    if isinstance(stated, dict) and isinstance(meant, dict):
        for key, value in stated.items():
            _check_kinds(value, meant.get(key), f"{where}.{key}" if where else key)
    elif isinstance(stated, list) and isinstance(meant, list) and len(stated) == len(meant):
        for k, (value, other) in enumerate(zip(stated, meant, strict=True)):
            _check_kinds(value, other, f"{where}[{k}]")
    elif not (_is_number(stated) and _is_number(meant)) and (
        type(stated) is not type(meant) or stated != meant
    ):
        raise WeightSetError(
            f"{where} is not written as the schema of weight sets asks",
            got=show(stated),
            allowed=show(meant),
            hint="take the original file; this one was not written by ces-ml",
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
