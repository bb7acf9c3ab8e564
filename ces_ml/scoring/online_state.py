"""The state of one customer as bytes: compact, versioned, nothing in it is executed.

``CES1``, eight bytes of the settings, then numbers of seven bits a byte (as in Protocol Buffers;
negative ones in zigzag), and four bytes of a check sum. A whole amount is a number, any other eight
bytes.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np

from ces_ml.errors import WeightSetError, show
from ces_ml.scoring.online_plan import ADDED, DISTINCT, OnlinePlan
from ces_ml.scoring.online_store import OnlineStore

__all__ = ["packed", "read_number", "unpacked", "write_number"]

_MAGIC = b"CES1"
_Chain = list[tuple[int, int, float]]
_WHOLE = 2.0**53
_FURTHEST = 2**62


def write_number(out: bytearray, number: int) -> None:
    """Append a whole number that is not negative."""
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)


def read_number(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that stands at a place, and the place after it."""
    number = shift = 0
    while True:
        byte = data[at]
        at += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, at
        shift += 7
        if shift > 70:
            raise ValueError("a number is too long")


def _zigzag(number: int) -> int:
    return number << 1 if number >= 0 else (-number << 1) - 1


def _unzigzag(number: int) -> int:
    return -((number + 1) >> 1) if number & 1 else number >> 1


def packed(store: OnlineStore, place: int) -> bytes:
    """Return the state of the customer at a place."""
    plan = store.plan
    out = bytearray(_MAGIC + plan.digest)
    first, latest, seen = (int(x[place]) for x in (store.first, store.latest, store.seen))
    for number in (latest, latest - first, seen - latest):
        write_number(out, _zigzag(number))
    words: dict[int, int] = {}
    for s, chain in enumerate(store.cells(place)):
        if chain:
            write_number(out, s + 1)
            write_number(out, len(chain))
            _write_chain(out, chain, _kind(plan, s), _newest(plan, s, latest), words)
    write_number(out, 0)
    for code in words:
        text = store.words[code].encode("utf-8", "surrogatepass")
        write_number(out, len(text))
        out += text
    return bytes(out) + struct.pack("<I", zlib.crc32(bytes(out)))


def _kind(plan: OnlinePlan, s: int) -> int | None:
    """Return the kind of a chain; None for that of event ids."""
    return plan.slots[s].kind if s < len(plan.slots) else None


def _newest(plan: OnlinePlan, s: int, latest: int) -> int:
    """Return the newest place that a chain may hold."""
    return latest // plan.grain if _kind(plan, s) in (ADDED, DISTINCT) else latest


def _write_chain(
    out: bytearray, chain: _Chain, kind: int | None, newest: int, words: dict[int, int]
) -> None:
    for at, what, amount in chain:
        back, newest = newest - at, at
        if kind is None:
            write_number(out, back)
            out += struct.pack("<q", what)
        elif kind == ADDED:
            whole = amount.is_integer() and abs(amount) < _WHOLE
            write_number(out, back << 1 | (not whole))
            if whole:
                write_number(out, _zigzag(int(amount)))
            else:
                out += struct.pack("<d", amount)
        elif kind == DISTINCT:
            write_number(out, back)
            write_number(out, words.setdefault(what, len(words)))
        else:
            write_number(out, back << 1 | what)


def unpacked(plan: OnlinePlan, state: bytes, store: OnlineStore) -> tuple[Any, list[_Chain]]:
    """Read a state: when the customer was known, and its chains.

    Raises
    ------
    WeightSetError
        If the bytes are no state, damaged, or of other settings.
    """
    if not isinstance(state, bytes | bytearray | memoryview):
        raise _refusal("this is no state of an online scorer", f"a {type(state).__qualname__}")
    body = bytes(state[:-4])
    if body[:4] != _MAGIC or len(state) < 16:
        raise _refusal("this is no state of an online scorer", show(bytes(state[:8])))
    if struct.pack("<I", zlib.crc32(body)) != bytes(state[-4:]):
        raise _refusal("the state is damaged", f"{len(state)} bytes with a wrong check sum")
    if body[4:12] != plan.digest:
        raise WeightSetError(
            "the state belongs to another weight set, or to other settings of the scorer",
            got=f"settings {body[4:12].hex()}",
            allowed=f"settings {plan.digest.hex()}: weight set {plan.weight_set.fingerprint[:19]}…"
            f", granularity {plan.granularity}, lookback {plan.lookback}, dedupe {plan.dedupe}",
            hint="load it with the weight set that it was kept for, then use `reweight`, or "
            "build the state anew from the log",
        )
    try:
        return _read(plan, body, store)
    except (IndexError, ValueError, struct.error, OverflowError) as error:
        raise _refusal("the state is damaged", str(error)) from error


def _refusal(problem: str, got: str) -> WeightSetError:
    return WeightSetError(
        problem,
        got=got,
        allowed="bytes that `state_bytes` returned",
        hint="take the original bytes, or build the state anew from the log",
    )


def _read(plan: OnlinePlan, body: bytes, store: OnlineStore) -> tuple[Any, list[_Chain]]:
    at, known = 12, []
    for _ in range(3):
        number, at = read_number(body, at)
        known.append(_unzigzag(number))
    latest = known[0]
    chains: list[_Chain] = [[] for _ in range(plan.n_chains)]
    while True:
        s, at = read_number(body, at)
        if s == 0:
            break
        length, at = read_number(body, at)
        newest = _newest(plan, s - 1, latest)
        chains[s - 1], at = _read_chain(body, at, length, _kind(plan, s - 1), newest)
    words = []
    while at < len(body):
        length, at = read_number(body, at)
        words.append(body[at : at + length].decode("utf-8", "surrogatepass"))
        at += length
    codes = [store.code_of(w) for w in words]
    for s, slot in enumerate(plan.slots):
        if slot.kind == DISTINCT:
            # The codes of this store have another order than those of the one that wrote.
            found = [(place, codes[w], n) for place, w, n in chains[s]]
            chains[s] = sorted(found, reverse=True)
    moments = np.array([latest - known[1], latest, latest + known[2]], np.int64)
    return tuple(moments.tolist()), chains


def _read_chain(
    body: bytes, at: int, length: int, kind: int | None, newest: int
) -> tuple[_Chain, int]:
    chain: _Chain = []
    for _ in range(length):
        number, at = read_number(body, at)
        what, amount = 0, 1.0
        if kind is None:
            newest -= number
            (what,) = struct.unpack_from("<q", body, at)
            at += 8
        elif kind == ADDED:
            newest -= number >> 1
            if number & 1:
                (amount,) = struct.unpack_from("<d", body, at)
                at += 8
            else:
                whole, at = read_number(body, at)
                amount = float(_unzigzag(whole))
        elif kind == DISTINCT:
            newest -= number
            what, at = read_number(body, at)
        else:
            newest -= number >> 1
            what = number & 1
        if abs(newest) > _FURTHEST:
            raise ValueError("a moment lies outside the calendar")
        chain.append((newest, what, amount))
    return chain, at
