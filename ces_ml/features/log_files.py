"""Opening event logs in DuckDB that are files: Parquet, CSV and JSON lines."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ces_ml.errors import EventLogError, show
from ces_ml.features.csv_files import csv_error, csv_sql
from ces_ml.sql.quoting import identifier, literal

if TYPE_CHECKING:
    import duckdb

__all__ = ["ENDINGS", "Keep", "open_files"]

#: Says of a file's path whether the file is to be read.
Keep = Callable[[str], bool]

#: Partition values (``date=2024-01-01``) stay text, so that ids such as 007 stay what they are.
_PARTITIONS = "hive_partitioning={hive}, hive_types_autocast=false"
_PARQUET = f"read_parquet({{paths}}, union_by_name=true, {_PARTITIONS})"
#: Every key of every line becomes a column, however late it first appears: nothing is guessed from
#: a sample, and ids and times stay as they are written.
_JSON = (
    "read_json({paths}, format={format}, maximum_depth=1, sample_size=-1, union_by_name=true, "
    f"map_inference_threshold=-1, field_appearance_threshold=0, {_PARTITIONS})"
)
#: What a file is, by its ending.
ENDINGS = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".csv.gz": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".ndjson": "jsonl",
    ".ndjson.gz": "jsonl",
    ".json": "json",
    ".json.gz": "json",
}


def open_files(
    con: duckdb.DuckDBPyConnection, path: str, name: str, keep: Keep | None = None
) -> bool:
    """Make the relation `name` of the files that a path, glob or folder means.

    Parameters
    ----------
    con : DuckDBPyConnection
    path : str
        A file, a glob, or a folder of Parquet files.
    name : str
        The relation: a view of Parquet files, a table of text files.
    keep : callable, optional
        Files that it refuses are not opened.

    Returns
    -------
    bool
        Whether all columns are text whose times are still to be parsed.

    Raises
    ------
    EventLogError
        If there is no such file, or it can't be read.
    """
    import duckdb

    pattern = _pattern(path)
    ending = next(
        (e for e in sorted(ENDINGS, key=len, reverse=True) if pattern.lower().endswith(e)), None
    )
    if ending is None:
        raise EventLogError(
            "the kind of event log can't be told from its name",
            got=show(path),
            allowed=", ".join(ENDINGS) + ", .duckdb, or a folder of Parquet files",
            hint="rename or convert the file",
        )
    kind = ENDINGS[ending]
    try:
        files = [f for (f,) in con.execute(f"SELECT file FROM glob({literal(pattern)})").fetchall()]
        if not files:
            raise _no_file(path)
        held = sorted(f for f in files if keep is None or keep(f))
        if not held:
            raise EventLogError(
                "no part of the event log lies between since and until",
                got=f"{show(path)}: {len(files):,} files, all outside",
                allowed="at least one partition inside",
                hint="check since, until and partition_col",
            )
        if kind in ("csv", "tsv"):
            query = csv_sql(held, tabs=kind == "tsv", options=_partitions(held))
        else:
            query = _structured_sql(con, kind, pattern if len(held) == len(files) else None, held)
        how = "VIEW" if kind == "parquet" else "TABLE"
        con.execute(f"CREATE TEMP {how} {name} AS {query}")
    except duckdb.Error as error:
        raise _unreadable(path, kind, held if "held" in locals() else [], error) from error
    return kind != "parquet"


def _structured_sql(
    con: duckdb.DuckDBPyConnection, kind: str, pattern: str | None, files: list[str]
) -> str:
    """Return the query for Parquet or JSON files; the columns of the latter as text."""
    escaped = ", ".join(literal(glob.escape(f)) for f in files)
    paths = literal(pattern) if pattern is not None else f"[{escaped}]"
    hive = "true" if _is_partitioned(files) else "false"
    if kind == "parquet":
        return f"SELECT * FROM {_PARQUET.format(paths=paths, hive=hive)}"
    form = literal("auto" if kind == "json" else "newline_delimited")
    reader = _JSON.format(paths=paths, hive=hive, format=form)
    described = con.sql(f"SELECT * FROM {reader} LIMIT 0")
    types = dict(zip(described.columns, map(str, described.types), strict=True))
    if types.get("json") not in (None, "JSON"):
        raise EventLogError(
            "the event log holds JSON that is no list of objects",
            got=f"{show(files[0])}, values of type {types['json']}",
            allowed="one JSON object a line",
            hint="write each event as an object on a line of its own",
        )
    columns = ", ".join(
        f"json_extract_string({identifier(c)}, '$') AS {identifier(c)}"
        if t == "JSON"
        else f"CAST({identifier(c)} AS VARCHAR) AS {identifier(c)}"
        for c, t in types.items()
    )
    return f"SELECT {columns} FROM {reader}"


def _pattern(path: str) -> str:
    if "://" in path:
        raise EventLogError(
            "the event log is not on this machine",
            got=show(path),
            allowed="a path, a glob or a folder of this machine",
            hint="download it, or open it with pyarrow.dataset.dataset and pass that",
        )
    if os.path.isdir(path):
        return os.path.join(glob.escape(path), "**", "*.parquet")
    # A file whose name holds * or [ is that file, not a pattern for others.
    return glob.escape(path) if os.path.exists(path) else path


def _is_partitioned(files: list[str]) -> bool:
    """Return whether every file lies in folders with the same ``key=value`` names."""
    keys = {
        tuple(part.partition("=")[0] for part in Path(f).parts[:-1] if part.find("=") > 0)
        for f in files
    }
    return len(keys) == 1 and keys != {()}


def _partitions(files: list[str]) -> str:
    return _PARTITIONS.format(hive="true" if _is_partitioned(files) else "false")


def _no_file(path: str) -> EventLogError:
    folder = os.path.isdir(path)
    return EventLogError(
        "no file matches the event log's path",
        got=show(path) + (", a folder without Parquet files" if folder else ""),
        allowed="a readable " + ", ".join(ENDINGS) + " file, glob or folder",
        hint="name the files themselves" if folder else "check the path",
    )


def _unreadable(path: str, kind: str, files: list[str], error: Exception) -> EventLogError:
    got, hint = csv_error(files, error) if kind in ("csv", "tsv") else (_cause(error), "")
    return EventLogError(
        "the event log can't be read",
        got=f"{show(path)}: {got}",
        allowed="a readable " + ", ".join(ENDINGS) + " file, glob or folder",
        hint=hint or "check the file",
    )


def _cause(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0][:300] if lines else type(error).__name__
