"""The configuration of a training job: YAML in, a checked value out."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator

from ces_ml.errors import ConfigError, show
from ces_ml.spec.as_of import parse_as_of, parse_moment
from ces_ml.spec.counts import CountRule
from ces_ml.spec.model import SpecModel
from ces_ml.spec.outcome import OutcomeSpec
from ces_ml.training.audit_config import AuditConfig
from ces_ml.training.backtest_config import BacktestConfig
from ces_ml.training.evaluation_config import EvaluationConfig
from ces_ml.training.events_config import EventsConfig
from ces_ml.training.gate_config import PromotionConfig
from ces_ml.training.score_config import ScoreConfig
from ces_ml.training.yaml_files import mapping_of, text_of

__all__ = [
    "AlphaByFolds",
    "BacktestConfig",
    "EventsConfig",
    "ModelConfig",
    "PointsConfig",
    "PromotionConfig",
    "ScoreConfig",
    "SplitConfig",
    "TrackingConfig",
    "TrainingConfig",
    "events_section",
]


class AlphaByFolds(SpecModel):
    """Let held-out rows choose the strength of the penalty; ``alpha: auto`` means the defaults.

    Folds are made of the training rows alone. Each tests on later rows than it trains on, and
    trains only on rows whose outcome (gap and horizon) was known by then; see `purged_folds`. With
    ``split: {customers: disjoint}`` no customer is on both sides of a fold. Where the split
    divides customers alone, so do the folds.

    Parameters
    ----------
    choose : {"best", "one_standard_error"}, default="best"
        ``best``: the alpha of least mean held-out log loss. ``one_standard_error``: the largest
        alpha whose mean is within one standard error of the best. Blocks of time differ in their
        outcome rates, which makes that error large: with ridge the weights may shrink far, and
        probabilities suffer. It suits lasso, where a larger alpha leaves more terms out.
    folds : int, default=5
        At least 2. Folds by time need as many moments, one gap and horizon after the first.
    """

    error_class = ConfigError
    choose: Literal["best", "one_standard_error"] = "best"
    folds: int = Field(default=5, ge=2)


class ModelConfig(SpecModel):
    """How the weights are fitted.

    Parameters
    ----------
    rules : tuple of str
        Rules that the weights obey, for example ``"buy_* >= 0"``.
    alpha : float, "auto" or AlphaByFolds, default=1e-4
        Strength of the elastic net beside the mean log loss, or how to choose it.
    l1_ratio : float, default=0.0
        The lasso's part of it: 0 is ridge alone, 1 lasso alone.
    hand_set : dict of str to float, optional
        Today's weights, by name of term: a baseline, and what the weights may be drawn to.
    prior_strength : float, default=0.0
        How strongly the weights are drawn to the proportions of `hand_set`; how large they are is
        learned.
    price_of_rules : bool, default=True
        Whether the job fits again without each rule that binds, to say what it costs. It changes
        no weight.
    """

    error_class = ConfigError
    rules: tuple[str, ...] = ()
    alpha: float | AlphaByFolds = 1e-4
    l1_ratio: float = Field(default=0.0, ge=0, le=1)
    hand_set: dict[str, float] = Field(default_factory=dict)
    prior_strength: float = Field(default=0.0, ge=0)
    price_of_rules: bool = True

    @field_validator("alpha", mode="before")
    @classmethod
    def _strength(cls, value: Any) -> float | AlphaByFolds:
        if isinstance(value, AlphaByFolds):
            return value
        if value == "auto":
            return AlphaByFolds()
        if isinstance(value, Mapping):
            return AlphaByFolds.parse(value)
        try:  # YAML reads 1e-4, without a point, as text
            strength = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            strength = math.nan
        if not 0 <= strength < math.inf:
            raise ConfigError(
                "the strength of the penalty is neither a number nor a way to choose one",
                got=show(value),
                allowed="a number, at least 0; `auto`; or {choose: best, folds: 5}",
                hint="write for example `alpha: 1.0e-4` or `alpha: auto`",
            )
        return strength

    def model_post_init(self, context: object) -> None:
        """Refuse a pull toward nothing."""
        if self.prior_strength and not self.hand_set:
            raise ConfigError(
                "the weights are drawn to hand-set weights, but there are none",
                got=f"prior_strength: {self.prior_strength:g} without hand_set",
                allowed="prior_strength with hand_set",
                hint="add `hand_set: {name of term: weight}`, or remove prior_strength",
            )


class SplitConfig(SpecModel):
    """Which rows are held out.

    Parameters
    ----------
    test_from : date or datetime, optional
        Rows with `as_of` from here on are held out; chosen by `test_share` when not given.
    test_share : float, default=0.3
        About how many rows are held out.
    customers : {"shared", "disjoint"}, default="shared"
        Whether a customer may stand on both sides (at different times).
    """

    error_class = ConfigError
    test_from: datetime | None = None
    test_share: float = Field(default=0.3, gt=0, lt=1)
    customers: Literal["shared", "disjoint"] = "shared"

    @field_validator("test_from", mode="before")
    @classmethod
    def _moment(cls, value: Any) -> Any:
        return None if value is None else parse_moment(value)


class PointsConfig(SpecModel):
    """Whole numbers beside the weights, for a card that people add up by hand.

    Parameters
    ----------
    range : (int, int), default=(-5, 10)
        Fewest and most points of a term; 0 lies between them.
    at_most : int, optional
        How many terms may have points. Any number when not given.
    """

    error_class = ConfigError
    range: tuple[int, int] = (-5, 10)
    at_most: int | None = Field(default=None, ge=1)

    @field_validator("range")
    @classmethod
    def _around_zero(cls, ends: tuple[int, int]) -> tuple[int, int]:
        low, high = ends
        if not low <= 0 <= high or low == high:
            raise ConfigError(
                "the range of the points does not lie around 0",
                got=show([low, high]),
                allowed="two different whole numbers, the first at most 0, the second at least 0",
                hint="write for example `range: [-5, 10]`",
            )
        return ends


class TrackingConfig(SpecModel):
    """Where the run is tracked.

    Parameters
    ----------
    experiment : str, default="ces-ml"
        Name of the MLflow experiment.
    store : str, optional
        MLflow tracking URI; ``MLFLOW_TRACKING_URI`` or ``mlflow.db`` here when not given.
    children : bool, default=False
        Whether every alpha that was tried and every fold of the backtest gets a run of its own
        below the run of the weights.
    """

    error_class = ConfigError
    experiment: str = Field(default="ces-ml", min_length=1)
    store: str | None = None
    children: bool = False


class TrainingConfig(SpecModel):
    """One training job.

    Parameters
    ----------
    name : str
        What the score is for; also the name of the registered model.
    events : EventsConfig
    outcome : OutcomeSpec
    as_of : str, date or list, optional
        See `parse_as_of`. Required, but where the outcome's `labels` give the rows.
    counts : sequence of CountRule
    model : ModelConfig, optional
    split : SplitConfig, optional
    score : ScoreConfig, optional
    points : PointsConfig, optional
        No points when not given.
    audit : AuditConfig, optional
        What the leak audit may find without stopping the job.
    evaluation : EvaluationConfig, optional
    backtest : BacktestConfig, optional
        None with training when not given.
    tracking : TrackingConfig, optional
    promotion : PromotionConfig, optional
        What must hold before an alias moves to these weights.
    seed : int, default=0
        The one seed of everything random in the job.

    Examples
    --------
    >>> config = TrainingConfig.from_yaml('''
    ... name: trial_conversion
    ... outcome: {task: conversion, event: subscription_started, horizon: 14d}
    ... as_of: 14d after trial_started
    ... counts: [{window: 14d, transform: log1p}]
    ... model: {rules: ["login >= 0"]}
    ... ''')
    >>> config.outcome.horizon
    '14d'
    """

    error_class = ConfigError
    called = "the configuration"
    name: str
    events: EventsConfig = EventsConfig()
    outcome: OutcomeSpec
    as_of: tuple[str, ...] = ()
    counts: tuple[CountRule, ...] = Field(min_length=1)
    model: ModelConfig = ModelConfig()
    split: SplitConfig = SplitConfig()
    score: ScoreConfig = ScoreConfig()
    points: PointsConfig | None = None
    audit: AuditConfig = AuditConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    backtest: BacktestConfig | None = None
    tracking: TrackingConfig = TrackingConfig()
    promotion: PromotionConfig = PromotionConfig()
    seed: int = Field(default=0, ge=0)

    @field_validator("name")
    @classmethod
    def _registrable(cls, name: str) -> str:
        if not 0 < len(name) <= 200 or not name.isprintable() or set(name) & set("/:"):
            raise ConfigError(
                "the weight set can't have this name",
                got=show(name),
                allowed="1 to 200 printable characters without / and :",
                hint="choose another name; a registered model may be called so",
            )
        return name

    @field_validator("as_of", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        items = value if isinstance(value, list | tuple) else [value]
        if not items:
            return ()
        texts = [v.isoformat() if isinstance(v, date) else v for v in items]
        parse_as_of(texts[0] if len(texts) == 1 else texts)
        return tuple(texts)

    def model_post_init(self, context: object) -> None:
        """Refuse rows that come from nowhere or from two places."""
        labelled = self.outcome.labels is not None
        if labelled == bool(self.as_of):
            raise ConfigError(
                "as_of and labels both give the rows" if labelled else "as_of is missing",
                got="as_of, and outcome.labels" if labelled else "no value",
                allowed="as_of, or outcome.labels, whose rows have their own moments",
                hint="remove as_of" if labelled else "add as_of",
            )

    @property
    def as_of_rule(self) -> Any:
        """The `as_of` rule as `parse_as_of` reads it; None where labels give the rows."""
        if not self.as_of:
            return None
        return self.as_of[0] if len(self.as_of) == 1 else list(self.as_of)

    def allowing_leaks(self, reason: str) -> Self:
        """Return a copy under which no finding of the leak audit stops the job.

        Raises
        ------
        ConfigError
            If no reason is given.
        """
        if not reason.strip():
            raise ConfigError(
                "leaks are allowed for no reason",
                got=show(reason),
                allowed="a few words; they are kept in the run",
                hint="say why the findings may stand",
            )
        return self.model_copy(update={"audit": self.audit.with_all(reason)})

    @property
    def digest(self) -> str:
        """sha256 of what decides the weight set.

        Where files and the store are does not, nor what is only reported beside it, nor what the
        leak audit may find, nor the ceiling.
        """
        places: Any = {"path": True, "table": True, "accounts": {"path", "table", "format"}}
        places |= {"adbc": {"uri", "uri_env", "options", "options_env"}}
        beside: Any = dict.fromkeys(("tracking", "promotion", "audit", "backtest"), True)
        beside["events"] = places
        beside["model"] = {"price_of_rules"}
        if self.evaluation.verdict_is_default:  # as it was before there was a choice
            beside["evaluation"] = True
        else:
            beside["evaluation"] = {"ceiling", "ceiling_rows"}
        beside["score"] = {"calibrate"} if self.score.as_fitted else set()
        beside["outcome"] = {"labels": {"path"}, "treated": {"path"}}
        body = self.model_dump(mode="json", exclude=beside)
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()

    @classmethod
    def from_yaml(cls, text: str, *, source: str = "the configuration") -> Self:
        """Read a configuration from YAML text.

        Raises
        ------
        ConfigError
            If the text is no YAML mapping, or a key or value is not allowed.
        """
        return cls.parse(mapping_of(text, source))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> Self:
        """Read a configuration file; its paths are relative to it.

        Raises
        ------
        ConfigError
            If the file can't be read or is not allowed.
        """
        file = Path(path)
        config = cls.from_yaml(text_of(file), source=show(str(path)))
        folder = file.resolve().parent

        def located(part: Any) -> Any:
            if part is None or part.path is None:
                return part
            return part.model_copy(update={"path": os.path.join(folder, part.path)})

        outcome = config.outcome.model_copy(
            update={name: located(getattr(config.outcome, name)) for name in ("labels", "treated")}
        )
        return config.model_copy(
            update={"events": config.events.located(folder), "outcome": outcome}
        )


def events_section(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the keys of the section ``events`` of a YAML file, which may hold others.

    Raises
    ------
    ConfigError
        If the file can't be read or has no such section.
    """
    section = mapping_of(text_of(Path(path)), show(str(path))).get("events")
    if not isinstance(section, dict):
        raise ConfigError(
            f"{show(str(path))} has no section `events`",
            got=show(section),
            allowed="a mapping with path, customer_col, …",
            hint="add `events: {path: …}`",
        )
    return section
