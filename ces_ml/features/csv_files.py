"""CSV and TSV files for DuckDB: every column as text, nothing guessed.

DuckDB's own guessing takes the quotes, the header and even the first row from a sample; where the
rows disagree it may skip them. Here the header is read first, and rows that do not fit it are an
error that names the line.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from typing import Any

from ces_ml.errors import EventLogError, show
from ces_ml.sql.quoting import literal

__all__ = ["csv_error", "csv_sql"]

#: Quotes are those of RFC 4180.
_READER = (
    "read_csv([{paths}], auto_detect=false, header=true, columns={{{columns}}}, delim={delimiter}, "
    "quote='\"', escape='\"', {options})"
)


def csv_sql(files: list[str], *, tabs: bool, options: str) -> str:
    """Return the query that reads CSV files as one table of text.

    Files may have their columns in another order, or lack some.

    Parameters
    ----------
    files : list of str
    tabs : bool
        Whether tabs separate the columns; else found in each header.
    options : str
        More options of ``read_csv``.

    Raises
    ------
    EventLogError
        If a header is empty or names a column twice.
    """
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for file in files:
        alike.setdefault(_header(file, tabs), []).append(file)
    parts = []
    for (delimiter, names), paths in alike.items():
        columns = ", ".join(f"{literal(n)}: 'VARCHAR'" for n in names)
        reader = _READER.format(
            # A name with * or [ would be taken for a pattern.
            paths=", ".join(literal(_escaped(p)) for p in paths),
            columns=columns,
            delimiter=literal(delimiter),
            options=options,
        )
        parts.append(f"SELECT * FROM {reader}")
    return " UNION ALL BY NAME ".join(parts)


def _header(file: str, tabs: bool) -> tuple[str, tuple[str, ...]]:
    """Return what separates the columns, and their names."""
    try:
        with _opened(file) as lines:
            first = lines.readline(1_000_000)
            delimiter = "\t" if tabs else max(",;\t|", key=first.count)
            lines.seek(0)
            names = next(csv.reader(lines, delimiter=delimiter), [])
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise _bad_header(file, str(error) or type(error).__name__) from error
    if not names:
        raise _bad_header(file, "no header in the first line")
    names = [n or f"column{k}" for k, n in enumerate(names)]
    folded = [n.casefold() for n in names]
    twice = sorted({n for n, f in zip(names, folded, strict=True) if folded.count(f) > 1})
    if twice:
        raise _bad_header(file, "columns of the same name: " + ", ".join(show(n) for n in twice))
    if any("\0" in n or "\ufffd" in n for n in names):
        raise _bad_header(file, "a header that is not UTF-8")
    return delimiter, tuple(names)


def _opened(file: str) -> Any:
    opener: Any = gzip.open if file.lower().endswith(".gz") else open
    return opener(file, "rt", encoding="utf-8-sig", errors="replace", newline="")


def _escaped(path: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in path)


def _bad_header(file: str, got: str) -> EventLogError:
    return EventLogError(
        "the event log can't be read",
        got=f"{show(file)}: {got}",
        allowed="CSV in UTF-8 whose first line names the columns, each once",
        hint="check the first line of the file",
    )


def csv_error(files: list[str], error: Exception) -> tuple[str, str]:
    """Return what DuckDB says about CSV rows that it can't read, with the line, and a hint."""
    lines = str(error).splitlines()
    stop = next((k for k, line in enumerate(lines) if line.startswith("Possible")), 1)
    said = " ".join(line.strip() for line in lines[:stop] if line.strip())[:400]
    if "CSV Error on Line" not in said:
        for file in files:
            found = _other_ending(file)
            if found:
                return f"{show(file)}, {found}", "write all lines with the same ending"
    return said, "correct or remove the line"


def _other_ending(file: str) -> str:
    """Return where a file's line endings change; nothing if they don't."""
    opener: Any = gzip.open if file.lower().endswith(".gz") else open
    first = ""
    try:
        with opener(file, "rb") as lines:
            for number, line in enumerate(lines, start=1):
                ending = r"\r\n" if line.endswith(b"\r\n") else r"\n" if line[-1:] == b"\n" else ""
                first = first or ending
                if ending and ending != first:
                    return f"line {number:,} ends in {ending}, the lines before it in {first}"
    except (OSError, EOFError, zlib.error):
        return ""
    return ""
