"""Counts straight to a Parquet file, in blocks of rows, and back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import scipy.sparse as sp
from pydantic import Field

from ces_ml.errors import SpecError, show
from ces_ml.events import EventSchema
from ces_ml.features.build import opened_to_count
from ces_ml.files import replacing
from ces_ml.spec.count_table import CountTable
from ces_ml.spec.counts import CountRule, CountSpec
from ces_ml.spec.model import SpecModel
from ces_ml.spec.outcome import OutcomeSpec

__all__ = ["CountsFile", "read_counts", "write_counts"]

#: Counts of one block, which is one row group: 32 MB in float64.
_BLOCK = 1 << 22
_KEY = b"ces_ml_counts"


class CountsFile(SpecModel):
    """What a file of counts holds, as its metadata say it.

    Parameters
    ----------
    spec : CountSpec
        What was counted.
    customer, as_of : str
        The columns of the customer and the moment.
    terms : tuple of str
        The column of every term, in their order: its name, but where a column above or below has
        that name already.
    y, sample_weight : str, optional
        The columns of outcomes and row weights, where there are some.
    rows : int
        Rows of the file.
    design : bool
        Whether the columns hold counts after cap and transform.
    report : dict of str to int
        What was read, left out and why.
    not_counted : dict of str to int
        Event types of the log that no term looks at.
    """

    format: Literal["ces-ml counts"] = "ces-ml counts"
    version: Literal[1] = 1
    spec: CountSpec
    customer: str
    as_of: str
    terms: tuple[str, ...]
    y: str | None = None
    sample_weight: str | None = None
    rows: int = Field(ge=0)
    design: bool = False
    report: dict[str, int] = Field(default_factory=dict)
    not_counted: dict[str, int] = Field(default_factory=dict)

    @classmethod
    def of(cls, table: CountTable, rows: int, *, design: bool) -> Self:
        """Name the columns for a table, or for a block of one with `rows` rows in all."""
        taken: set[str] = set()

        def free(name: str, what: str) -> str:
            while name in taken:
                name = f"{name} ({what})"
            taken.add(name)
            return name

        customer = free(str(table.keys.columns[0]), "customer")
        as_of = free("as_of", "moment")
        y = None if table.y is None else free("y", "outcome")
        weight = None if table.sample_weight is None else free("sample_weight", "weight")
        # Names that are free stay theirs, whatever a term before them is called in the file.
        clashing = [name for name in table.names if name in taken]
        taken.update(table.names)
        terms = [free(n, "count") if n in clashing else n for n in table.names]
        return cls(
            spec=table.spec,
            customer=customer,
            as_of=as_of,
            terms=tuple(terms),
            y=y,
            sample_weight=weight,
            rows=rows,
            design=design,
            report=dict(table.report),
            not_counted=dict(table.not_counted),
        )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Self:
        """Read the metadata of a file.

        Raises
        ------
        SpecError
            If there is no such file, or `write_counts` has not written it.
        """
        try:
            found = (pq.read_schema(path).metadata or {}).get(_KEY)
        except (OSError, pa.ArrowException, ValueError) as error:
            raise _not_counts(path, str(error).splitlines()[0][:200]) from error
        if found is None:
            raise _not_counts(path, "a Parquet file of another kind")
        return cls.parse(json.loads(found))


def write_counts(
    events: Any,
    counts: CountSpec | Sequence[CountRule],
    path: str | os.PathLike[str],
    *,
    as_of: Any = None,
    outcome: OutcomeSpec | None = None,
    schema: EventSchema | None = None,
    engine: str = "duckdb",
    labels: Any = None,
    treated: Any = None,
    design: bool = False,
    **options: Any,
) -> CountsFile:
    """Count as `build_counts` does, into a Parquet file that may be larger than memory.

    The file has the columns of customer and ``as_of``, one DOUBLE column a term under the term's
    name, and, with an outcome, ``y`` and ``sample_weight`` where rows do not count alike; its rows
    stand in the order of `CountTable`. A term that is called like one of the others gets
    `` (count)`` at its end. The file is renamed to `path` when it is whole.

    Sorting goes through the disk beyond the `memory_limit` of the engine (by default most of the
    machine's memory); beside it ids, moments and outcomes are held, some 40 bytes a row, and one
    block of counts.

    Parameters
    ----------
    events, counts, as_of, outcome, schema, engine, labels, treated
        As in `build_counts`.
    path : path-like
        The file. An earlier one is replaced.
    design : bool, default=False
        False: counts before cap and transform, which `read_counts` gives back. True: counts after
        them, what `fit_parquet` has to read to learn the weights that training learns; where no
        term has a cap or a transform both are the same.
    **options
        Options of the engine: for example ``memory_limit="2GB"``.

    Returns
    -------
    CountsFile
        What the columns are called.

    Raises
    ------
    EventLogError, SpecError
        As `build_counts`.
    OutputError
        If the file can't be written.

    Examples
    --------
    >>> import pandas as pd, tempfile
    >>> log = pd.DataFrame({"customer_id": ["a", "a", "b"], "event_type": ["login", "buy", "login"],
    ...     "timestamp": ["2025-01-01", "2025-01-04", "2025-01-02"]})
    >>> spec = CountSpec.of(["login", "buy"], window="7d")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_counts(log, spec, f"{folder}/counts.parquet", as_of="2025-01-05")
    ...     table = read_counts(f"{folder}/counts.parquet")
    >>> file.terms, table.X.toarray().tolist()
    (('login', 'buy'), [[1.0, 1.0], [1.0, 0.0]])
    """
    with (
        opened_to_count(events, counts, as_of, outcome, schema, engine, labels, options) as (
            opened,
            spec,
            rows,
        ),
        replacing(path) as temporary,
    ):
        size = max(1, _BLOCK // len(spec.terms))
        blocks = opened.blocks(spec, rows, outcome, treated=treated, size=size)
        with closing(blocks):  # before the engine below it, whatever happens
            return _write(temporary, blocks, design=design)


def _write(path: Path, blocks: Iterable[CountTable], *, design: bool) -> CountsFile:
    """Write blocks as row groups."""
    file: CountsFile | None = None
    writer: Any = None
    try:
        for block in blocks:
            if file is None:
                file = CountsFile.of(block, block.report["rows"], design=design)
            table = _columns(block, file)
            if writer is None:
                body = json.dumps(file.model_dump(mode="json"))
                kept = table.schema.with_metadata({_KEY: body.encode()})
                writer = pq.ParquetWriter(path, kept, compression="zstd")
            writer.write_table(table.cast(writer.schema), row_group_size=max(1, len(table)))
    finally:
        if writer is not None:
            writer.close()
    if file is None:  # an engine refuses an empty sample before it counts
        raise _not_counts(path, "no rows")
    return file


def _columns(block: CountTable, file: CountsFile) -> Any:
    counts = (block.design() if file.design else block.X).toarray(order="F")
    moments = block.as_of.dt.as_unit("us").astype("int64").to_numpy()
    columns = {
        file.customer: pa.array(block.customer),
        file.as_of: pa.array(moments).cast(pa.timestamp("us", "UTC")),
        **{name: pa.array(counts[:, t]) for t, name in enumerate(file.terms)},
    }
    if file.y is not None:
        columns[file.y] = pa.array(block.y)
    if file.sample_weight is not None:
        columns[file.sample_weight] = pa.array(block.sample_weight)
    return pa.table(columns)


def read_counts(path: str | os.PathLike[str]) -> CountTable:
    """Read a file that `write_counts` has written.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    CountTable
        What `build_counts` returns for the same log.

    Raises
    ------
    SpecError
        If there is no such file, it is another kind of file, or it holds counts after cap and
        transform (``design=True``), from which counts can't be told.
    """
    file = CountsFile.read(path)
    if file.design:
        raise SpecError(
            "the file holds counts after cap and transform",
            got=f"{show(str(path))}, written with design=True",
            allowed="a file of plain counts",
            hint="write it again without design=True (--design)",
        )
    blocks, keys, y, weight = [], [], [], []
    with pq.ParquetFile(path) as parquet:
        for group in range(parquet.num_row_groups):
            found = parquet.read_row_group(group)
            keys.append(found.select([file.customer, file.as_of]))
            counts = np.empty((len(found), len(file.terms)), order="F")
            for t, name in enumerate(file.terms):
                counts[:, t] = found[name].to_numpy()
            blocks.append(sp.csr_array(counts))
            y += [found[file.y].to_numpy()] if file.y else []
            weight += [found[file.sample_weight].to_numpy()] if file.sample_weight else []
    table = pa.concat_tables(keys)
    moments = pd.DatetimeIndex(table[file.as_of].to_pandas())
    return CountTable(
        pd.DataFrame({file.customer: table[file.customer].to_pandas(), "as_of": moments}),
        sp.vstack(blocks, format="csr"),
        file.spec,
        np.concatenate(y) if file.y else None,
        dict(file.report),
        np.concatenate(weight) if file.sample_weight else None,
        dict(file.not_counted),
    )


def _not_counts(path: str | os.PathLike[str], got: str) -> SpecError:
    return SpecError(
        "the file holds no counts that can be read",
        got=f"{show(str(path))}: {got}",
        allowed="a Parquet file that `ces-ml count` or write_counts has written",
        hint="check the path, or count the log again",
    )
