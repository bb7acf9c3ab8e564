"""Errors that a person can act on.

Every error says four things: what was wrong, what was got, what is allowed, and what to do
next. Each is a `CesError` and also the built-in error that a Python programmer would expect,
so ``except ValueError`` keeps working.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Self

__all__ = [
    "CesError",
    "CesWarning",
    "ConfigError",
    "ConstraintError",
    "EventLogError",
    "InfeasibleConstraintsError",
    "LeakError",
    "MissingDependencyError",
    "NotLoggedError",
    "OutputError",
    "SpecError",
    "TrackingError",
    "WeightSetError",
    "did_you_mean",
    "show",
]


class CesError(Exception):
    """Base class of every error that ces-ml raises on purpose.

    Parameters
    ----------
    problem : str
        What was wrong, as a sentence without its full stop.
    got : str, optional
        What was found instead.
    allowed : str, optional
        What is accepted, with the closest match where there is one.
    hint : str, optional
        What to do next.

    Examples
    --------
    >>> print(CesError("no such band", got="'gold'", allowed="at_risk, potential, advocate",
    ...                hint="use one of the bands of the weight set"))
    no such band
      got:     'gold'
      allowed: at_risk, potential, advocate
      next:    use one of the bands of the weight set
    """

    def __init__(
        self,
        problem: str,
        *,
        got: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
    ) -> None:
        self.problem, self.got, self.allowed, self.hint = problem, got, allowed, hint
        lines = [problem]
        for label, text in (("got:     ", got), ("allowed: ", allowed), ("next:    ", hint)):
            if text:
                lines.append(f"  {label}{text}")
        super().__init__("\n".join(lines))

    @classmethod
    def unknown(cls, problem: str, name: object, options: Iterable[str], *, hint: str) -> Self:
        """Return the error for a name that is none of `options`; it says which is closest.

        Examples
        --------
        >>> print(SpecError.unknown("unknown engine", "dukdb", ["duckdb"], hint="correct `engine`"))
        unknown engine
          got:     'dukdb'
          allowed: did you mean 'duckdb'?
          next:    correct `engine`
        """
        return cls(problem, got=show(name), allowed=did_you_mean(str(name), options), hint=hint)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.problem, self.got, self.allowed, self.hint)


def _rebuild(
    kind: type[CesError], problem: str, got: str | None, allowed: str | None, hint: str | None
) -> CesError:
    return kind(problem, got=got, allowed=allowed, hint=hint)


class CesWarning(UserWarning):
    """Something worth knowing that did not stop the work; always carries numbers."""


class SpecError(CesError, ValueError):
    """A specification (counts, outcome, as_of, duration) does not make sense."""


class ConfigError(SpecError):
    """A training configuration holds an unknown key or a value that is not allowed."""


class EventLogError(CesError, ValueError):
    """The event log can't be read, or can't answer the question that was asked of it."""


class ConstraintError(CesError, ValueError):
    """A rule on the weights can't be understood or names something that is not there."""


class InfeasibleConstraintsError(ConstraintError):
    """Rules that can't hold together."""


class LeakError(CesError, ValueError):
    """Counts seem to know the outcome; the leak audit stops the training job.

    Parameters
    ----------
    problem, got, allowed, hint : str
        As in `CesError`.
    findings : tuple of Finding
        What was found.
    """

    def __init__(
        self,
        problem: str,
        *,
        got: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
        findings: tuple[object, ...] = (),
    ) -> None:
        super().__init__(problem, got=got, allowed=allowed, hint=hint)
        self.findings = findings

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"findings": self.findings})


class WeightSetError(CesError, ValueError):
    """A weight set is truncated, edited, of an unknown version, or does not fit its use."""


class TrackingError(CesError, ValueError):
    """The tracking store can't be opened or does not hold what was asked of it."""


class NotLoggedError(TrackingError):
    """A finished fit could not be logged; it is kept in an outbox.

    Parameters
    ----------
    problem, got, allowed, hint : str
        As in `CesError`.
    entry : pathlib.Path or None
        The folder in which it is kept; None if that failed too.
    """

    def __init__(
        self,
        problem: str,
        *,
        got: str | None = None,
        allowed: str | None = None,
        hint: str | None = None,
        entry: Path | None = None,
    ) -> None:
        super().__init__(problem, got=got, allowed=allowed, hint=hint)
        self.entry = entry

    def __reduce__(self) -> tuple[object, ...]:
        return (*super().__reduce__(), {"entry": self.entry})


class OutputError(CesError, OSError):
    """A file can't be written where it was asked for."""


class MissingDependencyError(CesError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""


def show(value: object, limit: int = 200) -> str:
    r"""Return `value` as text that is safe to print: quoted, escaped, cut at `limit` characters.

    Examples
    --------
    >>> print(show("two\nlines"))
    'two\nlines'
    """
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def did_you_mean(name: str, options: Iterable[str], most: int = 12) -> str:
    """Return the allowed names as one phrase, the closest match first.

    Parameters
    ----------
    name : str
        What was written.
    options : iterable of str
        What could have been written.
    most : int, default=12
        How many options are listed when nothing is close.

    Examples
    --------
    >>> did_you_mean("purchse", ["purchase", "login"])
    "did you mean 'purchase'? (2 names: 'login', 'purchase')"
    >>> did_you_mean("anything", [])
    'nothing'
    """
    names = sorted(set(options))
    if not names:
        return "nothing"
    listed = ", ".join(show(n, 40) for n in names[:most])
    if len(names) > most:
        listed += f", … {len(names) - most} more"
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if not close:
        folded = {n.casefold(): n for n in names}
        close = difflib.get_close_matches(name.casefold(), list(folded), n=1, cutoff=0.5)
        close = [folded[c] for c in close]
    if close:
        return f"did you mean {show(close[0], 60)}?" + (
            f" ({len(names)} names: {listed})" if len(names) > 1 else ""
        )
    return listed
