"""Files that scores are written to, batch by batch: Parquet, CSV, a table of a DuckDB database."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from ces_ml.errors import CesWarning, SpecError, did_you_mean, show
from ces_ml.files import replacing

__all__ = ["SCORE_FORMATS", "TABLE", "check_output", "writing"]

#: The table of a database that scores are written to, where none is named.
TABLE = "scores"
#: What a spreadsheet takes for the beginning of a formula, or skips before one.
_FORMULA = r"^[=+\-@\t\r\n]"


class _Writer(AbstractContextManager["_Writer"], Protocol):
    def write_table(self, table: Any) -> None: ...


def check_output(path: str | os.PathLike[str]) -> Path:
    """Return a path whose ending says what to write.

    Raises
    ------
    SpecError
        If the ending is not known.
    """
    file = Path(path)
    if file.suffix not in _WRITERS and file.suffix != ".duckdb":
        raise SpecError(
            "the kind of output can't be told from its name",
            got=show(str(path)),
            allowed=did_you_mean(file.suffix, SCORE_FORMATS),
            hint="end the output path in one of these",
        )
    return file


@contextmanager
def writing(
    path: str | os.PathLike[str],
    *,
    table: str = TABLE,
    spreadsheet_safe: bool = False,
) -> Iterator[Callable[[Iterable[Any]], None]]:
    """Give a function that writes Arrow batches; when the block succeeds they stand at `path`.

    They are written whole or not at all, and never held as a whole.

    Parameters
    ----------
    path : path-like
        Ends in one of `SCORE_FORMATS`.
    table : str, default="scores"
        The table of a DuckDB database; it replaces one of this name, others stay. The database is
        opened when the block is left, so that the log may lie in it.
    spreadsheet_safe : bool, default=False
        In CSV, put ``'`` before text that a spreadsheet would run as a formula: ids and names that
        begin with ``= + - @``, a tab or the end of a line. By default they are written as they
        are, because programs that join by id need them so.

    Yields
    ------
    callable
        To be called once, with batches or tables of one schema, at least one.

    Raises
    ------
    SpecError
        If the ending is not known.
    OutputError
        If the path can't be written.

    Warns
    -----
    CesWarning
        If a CSV holds such text as it is.
    """
    file = check_output(path)
    if file.suffix == ".duckdb":
        from ces_ml.features.database_file import write_table

        with tempfile.TemporaryDirectory(prefix="ces-ml-") as folder:
            held = Path(folder) / "scores.parquet"
            yield lambda batches: _write(batches, held, _parquet)
            write_table(held, file, table)
        return
    with replacing(file) as temporary:
        if file.suffix == ".csv":
            yield lambda batches: _write(
                _for_people(batches, file, safe=spreadsheet_safe), temporary, _csv
            )
        else:
            yield lambda batches: _write(batches, temporary, _parquet)


def _write(batches: Iterable[Any], file: Path, opened: Callable[[Path, Any], _Writer]) -> None:
    import pyarrow as pa

    writer: _Writer | None = None
    try:
        for batch in batches:
            held = batch if isinstance(batch, pa.Table) else pa.table(batch)
            writer = writer or opened(file, held.schema)
            writer.write_table(held)
    finally:
        if writer is not None:
            writer.__exit__(None, None, None)


def _parquet(file: Path, schema: Any) -> Any:
    from pyarrow import parquet

    return parquet.ParquetWriter(file, schema, compression="zstd")


def _csv(file: Path, schema: Any) -> Any:
    from pyarrow import csv

    return csv.CSVWriter(file, schema)


#: How a file is opened, by its ending.
_WRITERS: dict[str, Callable[[Path, Any], Any]] = {".parquet": _parquet, ".csv": _csv}
#: Files that scores are written to, by ending.
SCORE_FORMATS = (*_WRITERS, ".duckdb")


def _for_people(batches: Iterable[Any], file: Path, *, safe: bool) -> Iterable[Any]:
    """Yield batches with moments as text, and text that no spreadsheet runs where asked."""
    import pyarrow as pa
    import pyarrow.compute as pc

    risky = 0
    for batch in batches:
        columns, names = [], []
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            made = _as_text(column)
            if pa.types.is_large_string(made.type):
                made = made.cast(pa.string())
            if pa.types.is_string(made.type):
                formula = pc.match_substring_regex(made, _FORMULA)
                risky += pc.sum(formula).as_py() or 0
                if safe:
                    quoted = pc.binary_join_element_wise("'", made, "")
                    made = pc.if_else(formula, quoted, made)
            columns.append(made)
            names.append(f"'{name}" if safe and name[:1] in "=+-@\t\r\n" else name)
        yield pa.table(columns, names=names)
    if risky and not safe:
        warnings.warn(
            f"{risky:,} ids or names in {show(file.name)} begin like a formula (= + - @), which a "
            "spreadsheet would run: write it with --spreadsheet-safe (spreadsheet_safe=True) if "
            "people open it in one",
            CesWarning,
            stacklevel=4,
        )


def _as_text(column: Any) -> Any:
    """Return moments and UUIDs as text: ``2025-04-01 00:00:00+00:00``."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_timestamp(column.type):
        few = pc.unique(column)
        texts = [None if m is None else m.isoformat(sep=" ") for m in few.to_pylist()]
        return pc.take(pa.array(texts, pa.string()), pc.index_in(column, few))
    if isinstance(column.type, pa.BaseExtensionType):
        return pa.array([None if i is None else str(i) for i in column.to_pylist()], pa.string())
    return column
