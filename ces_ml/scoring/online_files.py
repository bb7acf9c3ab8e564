"""All states of an online scorer in one file: a line of JSON, record after record, a check sum."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ces_ml.errors import WeightSetError, show
from ces_ml.files import replacing
from ces_ml.scoring.online_state import read_number, write_number

__all__ = ["read_states", "write_states"]

FORMAT = "ces-ml/online-states"
VERSION = 1
_LONGEST_HEADER = 1 << 16


def write_states(
    path: str | os.PathLike[str],
    settings: dict[str, Any],
    n_customers: int,
    states: Iterable[tuple[Any, bytes]],
) -> Path:
    """Write states; a whole number and a text that looks like it stay apart.

    Raises
    ------
    OutputError
        If the path can't be written.
    """
    head = {"format": FORMAT, "version": VERSION, "customers": n_customers, **settings}
    with replacing(path) as temporary, temporary.open("wb") as file:
        line = json.dumps(head).encode() + b"\n"
        file.write(line)
        check = zlib.crc32(line)
        for customer, state in states:
            name = str(customer).encode("utf-8", "surrogatepass")
            record = bytearray()
            write_number(record, len(name) << 1 | isinstance(customer, int))
            record += name
            write_number(record, len(state))
            record += state
            file.write(record)
            check = zlib.crc32(record, check)
        file.write(struct.pack("<I", check))
    return Path(path)


def read_states(
    path: str | os.PathLike[str], fingerprint: str
) -> tuple[dict[str, Any], Iterator[tuple[Any, bytes]]]:
    """Read the settings of a file and its states.

    Raises
    ------
    WeightSetError
        If the file can't be read, is no file of states, is truncated, or of another weight set.
    """
    try:
        data = Path(path).read_bytes()
        line = data[:_LONGEST_HEADER].split(b"\n", 1)[0]
        head = json.loads(line)
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise ValueError("no file of states")
        if not {"customers", "granularity", "lookback", "dedupe"} <= set(head):
            raise ValueError("its first line does not say what the states are")
    except (OSError, ValueError) as error:
        raise WeightSetError(
            "the states can't be read",
            got=f"{show(str(path))}: {error}",
            allowed="a file that OnlineScorer.dump wrote",
            hint="check the path",
        ) from error
    if head.get("version") != VERSION:
        raise WeightSetError(
            "the states have an unknown version",
            got=show(head.get("version")),
            allowed=f"version {VERSION}",
            hint="install a newer ces-ml",
        )
    if struct.pack("<I", zlib.crc32(data[:-4])) != data[-4:]:
        raise _damaged(path, f"{len(data):,} bytes with a wrong check sum")
    if head.get("weight_set") != fingerprint:
        raise WeightSetError(
            "the states belong to another weight set",
            got=show(head.get("weight_set")),
            allowed=fingerprint,
            hint="load them with the weight set that they were kept for, then use `reweight`",
        )
    return head, _records(data[:-4], len(line) + 1, int(head["customers"]), path)


def _damaged(path: str | os.PathLike[str], got: str) -> WeightSetError:
    return WeightSetError(
        "the file of states is truncated or damaged",
        got=f"{show(str(path))}: {got}",
        allowed="a whole file that OnlineScorer.dump wrote",
        hint="take the original file, or build the states anew from the log",
    )


def _records(
    data: bytes, at: int, n_customers: int, path: str | os.PathLike[str]
) -> Iterator[tuple[Any, bytes]]:
    for k in range(n_customers):
        try:
            length, at = read_number(data, at)
            name = data[at : at + (length >> 1)].decode("utf-8", "surrogatepass")
            at += length >> 1
            customer: Any = int(name) if length & 1 else name
            size, at = read_number(data, at)
            state, at = data[at : at + size], at + size
            if at > len(data):
                raise ValueError("the file ends")
        except (IndexError, ValueError) as error:
            raise _damaged(path, f"customer {k + 1:,} of {n_customers:,}: {error}") from error
        yield customer, state
