"""A log written once in its best form, and the manifest that later builds recognise it by."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field

from ces_ml.errors import EventLogError, OutputError, show
from ces_ml.events import EventSchema
from ces_ml.features.duckdb_session import DuckDBSession
from ces_ml.features.engine import LogProfile
from ces_ml.features.log_span import LogSpan
from ces_ml.features.profile import read_profile
from ces_ml.features.shaping import settled
from ces_ml.spec.model import SpecModel

__all__ = ["PreparedLog", "prepare_events"]

_MANIFEST, _LOG = "ces_ml_manifest.json", "events.parquet"


class PreparedLog(SpecModel):
    """What is known of a prepared log: its manifest.

    Parameters
    ----------
    events : EventSchema
        What the columns of the file are called.
    rows : int
        Rows of the file.
    rows_read : int
        Rows of the log that it was made from.
    dropped : dict of str to int
        Rows without customer, event type or timestamp: they never count, and are not in the file.
    first_us, last_us : int
        Observed span, in UTC microseconds.
    event_types : dict of str to int
        Events by type.
    naive : bool
        Whether the times had no zone and were taken as UTC.
    never_arrived : int
        Rows without an arrival time, where the log has such a column.
    bytes : int
        Size of the file.
    sha256 : str
        Digest of the file.
    """

    format: Literal["ces-ml prepared log"] = "ces-ml prepared log"
    version: Literal[1] = 1
    events: EventSchema
    rows: int = Field(ge=0)
    rows_read: int = Field(ge=0)
    dropped: dict[str, int]
    first_us: int
    last_us: int
    event_types: dict[str, int]
    naive: bool
    never_arrived: int = Field(ge=0)
    bytes: int
    sha256: str

    @staticmethod
    def is_at(path: Any) -> bool:
        """Return whether a path is the folder of a prepared log."""
        return isinstance(path, str | os.PathLike) and Path(path, _MANIFEST).is_file()

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Self:
        """Read the manifest of a folder.

        Raises
        ------
        EventLogError
            If the manifest can't be read, or the file beside it is another one.
        """
        manifest = Path(folder, _MANIFEST)
        try:
            found = cls.parse(json.loads(manifest.read_text(encoding="utf-8")))
            size = Path(folder, _LOG).stat().st_size
        except (OSError, ValueError) as error:
            raise EventLogError(
                "the prepared log can't be read",
                got=f"{show(str(folder))}: {str(error).splitlines()[0][:200]}",
                allowed="a folder that `ces-ml prepare` has written",
                hint="prepare the log again",
            ) from error
        if size != found.bytes:
            raise EventLogError(
                "the prepared log is not the one that its manifest describes",
                got=f"{_LOG} of {size:,} bytes in {show(str(folder))}",
                allowed=f"{found.bytes:,} bytes",
                hint="prepare the log again",
            )
        return found

    @staticmethod
    def file(folder: str | os.PathLike[str]) -> str:
        """Return the path of the log inside its folder."""
        return os.path.join(folder, _LOG)

    def schema_with(self, given: EventSchema | None) -> EventSchema:
        """Return the schema to read the file with.

        Columns have the names that the log gave them; units and anonymous customers are settled.
        Of `given` only ``value_col`` matters.
        """
        value = given.value_col if given is not None else None
        return self.events if value is None else self.events.model_copy(update={"value_col": value})

    def profile(self) -> LogProfile:
        """Return what a reading of the log would find."""
        return LogProfile(
            rows=self.rows_read,
            dropped=self.dropped,
            first_us=self.first_us,
            last_us=self.last_us,
            event_types=self.event_types,
            naive=self.naive,
            never_arrived=self.never_arrived,
        )


def prepare_events(
    events: Any,
    folder: str | os.PathLike[str],
    schema: EventSchema | None = None,
    *,
    table: str | None = None,
    since: Any = None,
    until: Any = None,
    partition_col: str | None = None,
    threads: int | None = None,
    memory_limit: str | None = None,
) -> PreparedLog:
    """Write a log once in the form that is counted fastest.

    The folder gets ``events.parquet`` — sorted by customer and time, zstd, one value a column,
    times as integer microseconds, without rows that never count — and a manifest. Passing the
    folder as events gives the same counts as the log itself, without naming its columns again.

    Parameters
    ----------
    events : path, glob, frame, table, relation or AdbcSource
        The log; see `DuckDBEngine`.
    folder : path-like
        Where it is written. An earlier prepared log there is replaced when the new one is whole.
    schema : EventSchema, optional
        What the log's columns are called. Columns without a role are kept as they are.
    table, since, until, partition_col, threads, memory_limit
        As in `DuckDBEngine`. Past the memory limit the sort goes through the disk.

    Returns
    -------
    PreparedLog

    Raises
    ------
    EventLogError
        If the log can't be read.
    OutputError
        If the folder holds something else, or can't be written.

    Examples
    --------
    >>> import pandas as pd, tempfile
    >>> log = pd.DataFrame({"user": ["b", "a"], "event_type": "login",
    ...                     "timestamp": ["2025-01-02", "2025-01-01"]})
    >>> with tempfile.TemporaryDirectory() as place:
    ...     done = prepare_events(log, f"{place}/log", EventSchema(customer_col="user"))
    ...     again = PreparedLog.read(f"{place}/log")
    >>> done.rows, again.events.customer_col
    (2, 'user')
    """
    target = Path(folder)
    _check_target(target)
    schema = schema or EventSchema()
    session = DuckDBSession(
        events,
        schema,
        threads=threads,
        memory_limit=memory_limit,
        table=table,
        span=LogSpan.of(since, until, partition_col),
    )
    written = None
    try:
        select, naive = session.prelude(settled(schema), ())
        arrival = schema.arrival_col is not None
        profile = read_profile(session.fetch, select, naive=naive, arrival=arrival)
        target.parent.mkdir(parents=True, exist_ok=True)
        written = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
        session.write(str(written / _LOG))
        log = written / _LOG
        manifest = PreparedLog(
            events=settled(schema),
            rows=sum(profile.event_types.values()),
            rows_read=profile.rows,
            dropped=dict(profile.dropped),
            first_us=profile.first_us,
            last_us=profile.last_us,
            event_types=dict(profile.event_types),
            naive=profile.naive,
            never_arrived=profile.never_arrived,
            bytes=log.stat().st_size,
            sha256=_digest(log),
        )
        text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
        (written / _MANIFEST).write_text(text, encoding="utf-8")
        written.chmod(0o755)
        _replace(written, target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _unwritable(target, error) from error
    finally:
        session.close()
        if written is not None:
            shutil.rmtree(written, ignore_errors=True)
    return manifest


def _replace(written: Path, target: Path) -> None:
    """Put the new folder in the place of the old one."""
    if not target.exists():
        os.replace(written, target)
        return
    old = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
    os.replace(target, old)
    os.replace(written, target)
    shutil.rmtree(old, ignore_errors=True)


def _check_target(target: Path) -> None:
    held = target.exists() and not target.is_dir()
    if held or (target.is_dir() and any(target.iterdir()) and not PreparedLog.is_at(target)):
        raise OutputError(
            "the output is no folder for a prepared log",
            got=show(str(target)) + (", a file" if held else ", a folder with other files"),
            allowed="a new or empty folder, or one that `ces-ml prepare` has written",
            hint="choose another folder",
        )


def _unwritable(target: Path, error: OSError) -> OutputError:
    return OutputError(
        "the output can't be written",
        got=f"{show(str(target))}: {error.strerror or error}",
        allowed="a path in a folder that you may write to, on a disk with space left",
        hint="choose another output path",
    )


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
