"""Reading only a part of a log: from a moment, until a moment, and the folders in between."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from ces_ml.errors import SpecError, show
from ces_ml.features.log_files import Keep
from ces_ml.spec.as_of import parse_moment, to_us
from ces_ml.spec.duration import DAY_US

__all__ = ["LogSpan"]

_MOMENTS = {
    "TIMESTAMP": "make_timestamp({})",
    "TIMESTAMP WITH TIME ZONE": "make_timestamptz({})",
}
_DAY = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")


@dataclass(frozen=True)
class LogSpan:
    """Events with ``since ≤ timestamp < until``; all of them where neither is given.

    Parameters
    ----------
    since_us, until_us : int, optional
        UTC microseconds.
    partition_col : str, optional
        Hive partition that holds the UTC date of an event's time (``date=2024-01-31``): folders
        that lie outside are not opened.
    narrowed : bool, default=False
        Whether this is what one query needs of the log, not what the log is taken to be.
    """

    since_us: int | None = None
    until_us: int | None = None
    partition_col: str | None = None
    narrowed: bool = False

    @classmethod
    def of(cls, since: Any, until: Any, partition_col: str | None) -> LogSpan:
        """Make a span of moments as a person writes them.

        Raises
        ------
        SpecError
            If `since` is not before `until`.
        """
        first, last = (None if m is None else to_us(parse_moment(m)) for m in (since, until))
        if first is not None and last is not None and first >= last:
            raise SpecError(
                "the part of the log that is read is empty",
                got=f"since {show(str(since))}, until {show(str(until))}",
                allowed="since before until",
                hint="correct since or until",
            )
        return cls(first, last, partition_col)

    def within(self, since_us: int, until_us: int) -> LogSpan:
        """Return what this span and another have in common."""
        first = since_us if self.since_us is None else max(self.since_us, since_us)
        last = until_us if self.until_us is None else min(self.until_us, until_us)
        return LogSpan(first, last, self.partition_col, narrowed=True)

    @property
    def bounded(self) -> bool:
        """Whether anything is left out."""
        return self.since_us is not None or self.until_us is not None

    @property
    def keep(self) -> Keep | None:
        """What says of a file's path whether it may hold events of this span."""
        if self.partition_col is None:
            return None
        return self._overlaps

    def _overlaps(self, path: str) -> bool:
        day = self._day(path)
        if day is None:
            return True
        start = to_us(datetime(day.year, day.month, day.day, tzinfo=UTC))
        after = self.since_us is None or start + DAY_US > self.since_us
        return after and (self.until_us is None or start < self.until_us)

    def _day(self, path: str) -> date | None:
        """Return the date of the partition that a file lies in; None for Hive's null."""
        prefix = f"{self.partition_col}="
        found = [p.removeprefix(prefix) for p in path.split(os.sep)[:-1] if p.startswith(prefix)]
        if found and found[-1] == "__HIVE_DEFAULT_PARTITION__":
            return None
        match = _DAY.fullmatch(found[-1]) if found else None
        try:
            if match:
                return date(*map(int, match.groups()))
        except ValueError:  # the 31st of February
            pass
        raise SpecError(
            "a file of the event log lies in no folder of a day",
            got=f"{show(path)} with partition_col {show(self.partition_col)}",
            allowed=f"folders such as {prefix}2024-01-31",
            hint="correct partition_col, or leave it out",
        )

    def condition(
        self, us: str, column: str, kind: str, moments: Mapping[str, str] = _MOMENTS
    ) -> str:
        """Return the SQL condition for rows of this span; unknown for rows without a time.

        Parameters
        ----------
        us : str
            The expression for UTC microseconds.
        column, kind : str
            The quoted column and its type: compared with the column itself, files tell from their
            statistics which parts need not be read.
        moments : mapping of str to str, optional
            How the engine writes a moment for a column of a type; DuckDB's when not given.
        """
        parts = []
        for moment, sign in ((self.since_us, ">="), (self.until_us, "<")):
            if moment is not None and kind in moments:
                parts.append(f"{column} {sign} {moments[kind].format(moment)}")
            elif moment is not None:
                parts.append(f"{us} {sign} {moment}")
        return " AND ".join(parts) or "TRUE"
