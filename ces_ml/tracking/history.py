"""The history of aliases: one tag a move on the registered model, never changed afterwards.

An alias of MLflow says where it points, not where it pointed. The key of a tag sorts by time; its
value is JSON. PostgreSQL holds 5,000 characters of it, so what is longer is cut here; tags of the
version hold it whole.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ces_ml.tracking.store import Store

__all__ = [
    "HISTORY",
    "NOWHERE",
    "Move",
    "forget_move",
    "held_before",
    "moves_of",
    "next_key",
    "write_move",
]

HISTORY = "ces.history."
#: Where an alias pointed before it was first set.
NOWHERE = "none"
_LONGEST = 4900
_LONGEST_WORDS = 400
_KEY_TIME = "%Y%m%dT%H%M%S.%fZ"


@dataclass(frozen=True)
class Move:
    """An alias moved from one version to another.

    Parameters
    ----------
    at : str
        ISO 8601, UTC.
    alias : str
    action : {"promote", "rollback"}
    before, after : str
        Versions; ``"none"`` where the alias was not set.
    by : str
        Login name.
    because : str
    override : str
        Why it was moved although the gate's rules did not hold; empty where they did.
    failed : tuple of str
        Rules that did not hold.
    gate : {"passed", "overridden", ""}
        Empty where no rules were asked.
    fingerprint : str
        Of the weight set that the alias points at from here on.
    """

    at: str
    alias: str
    action: str
    before: str
    after: str
    by: str
    because: str = ""
    override: str = ""
    failed: tuple[str, ...] = ()
    gate: str = ""
    fingerprint: str = ""

    @property
    def moment(self) -> datetime:
        """When, as a moment."""
        return _moment(self.at)

    def as_dict(self) -> dict[str, Any]:
        """Return the move as JSON can hold it."""
        return {
            "at": self.at,
            "alias": self.alias,
            "action": self.action,
            "from": self.before,
            "to": self.after,
            "by": self.by,
            "because": self.because,
            "override": self.override,
            "failed": list(self.failed),
            "gate": self.gate,
            "fingerprint": self.fingerprint,
        }

    def to_json(self) -> str:
        """Return the move as JSON of at most 4,900 characters."""
        body = self.as_dict()
        text = json.dumps(body, ensure_ascii=False)
        if len(text) > _LONGEST:
            cut = {k: _cut(v, _LONGEST_WORDS) for k, v in body.items() if isinstance(v, str)}
            failed = [_cut(rule, 60) for rule in self.failed[:20]]
            # Escapes take up to six characters each, so text that is all escapes is safe too.
            text = json.dumps(body | cut | {"failed": failed}, ensure_ascii=False)
        return text


def moves_of(model: Any, versions: Iterable[Any]) -> list[Move]:
    """Return every move of every alias of a registered model, the oldest first.

    Moves of before there was a history are read from the tags of the versions, which hold the last
    promotion of each.

    Parameters
    ----------
    model : RegisteredModel
    versions : iterable of ModelVersion
    """
    tags: Mapping[str, str] = model.tags or {}
    found = [
        move
        for key in sorted(k for k in tags if k.startswith(HISTORY))
        if (move := _read(tags[key])) is not None
    ]
    known = {(m.alias, m.after, m.at) for m in found}
    older = (_of_version(version) for version in versions)
    found += [m for m in older if m is not None and (m.alias, m.after, m.at) not in known]
    return sorted(found, key=lambda m: m.moment)


def held_before(moves: Iterable[Move], current: str) -> list[str]:
    """Return the versions that an alias pointed at before `current`, the nearest last.

    A rollback undoes what came after its target, so two rollbacks in a row go two steps back. Where
    the alias was moved by other means than ces-ml, the nearest is the last one that is recorded.

    Parameters
    ----------
    moves : iterable of Move
        Of one alias, the oldest first.
    current : str
        Where it points now.

    Examples
    --------
    >>> def move(action, before, after):
    ...     return Move("2025-01-01T00:00:00+00:00", "champion", action, before, after, "me")
    >>> held_before([move("promote", "none", "1"), move("promote", "1", "2"),
    ...              move("promote", "2", "3"), move("rollback", "3", "2")], "2")
    ['1']
    """
    stack: list[str] = []
    for move in moves:
        if move.action == "rollback" and move.after in stack:
            del stack[_last(stack, move.after) + 1 :]
            continue
        if move.before != NOWHERE and stack[-1:] != [move.before]:
            stack.append(move.before)  # it had been moved by other means
        stack.append(move.after)
    return [version for version in stack if version != current]


def next_key(model: Any) -> tuple[str, str]:
    """Return the key of the next move and its moment, later than every move that is there."""
    now = datetime.now(UTC)
    held = sorted(k for k in (model.tags or {}) if k.startswith(HISTORY))
    if held:
        with suppress(ValueError):
            text = held[-1].removeprefix(HISTORY).partition("-")[0]
            last = datetime.strptime(text, _KEY_TIME).replace(tzinfo=UTC)
            now = max(now, last + timedelta(microseconds=1))
    # Two machines may move aliases in the same microsecond; neither move may be lost.
    return f"{HISTORY}{now.strftime(_KEY_TIME)}-{secrets.token_hex(3)}", now.isoformat()


def write_move(store: Store, name: str, key: str, move: Move) -> None:
    """Keep a move; call it before the alias moves."""
    store.client.set_registered_model_tag(name, key, move.to_json())


def forget_move(store: Store, name: str, key: str) -> None:
    """Take back a move that did not come about, as far as the store lets us."""
    with suppress(Exception):
        store.client.delete_registered_model_tag(name, key)


def _read(text: str) -> Move | None:
    """Return the move in a tag; None where somebody has written something else there."""
    try:
        body = json.loads(text)
        _moment(str(body["at"]))
        return Move(
            at=str(body["at"]),
            alias=str(body["alias"]),
            action=str(body["action"]),
            before=str(body["from"]),
            after=str(body["to"]),
            by=str(body["by"]),
            because=str(body.get("because", "")),
            override=str(body.get("override", "")),
            failed=tuple(map(str, body.get("failed", ()))),
            gate=str(body.get("gate", "")),
            fingerprint=str(body.get("fingerprint", "")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _of_version(version: Any) -> Move | None:
    tags: Mapping[str, str] = version.tags or {}
    at = tags.get("promoted_at", "")
    try:
        _moment(at)
    except ValueError:
        return None
    return Move(
        at=at,
        alias=tags.get("promoted_to", ""),
        action="promote",
        before=tags.get("promoted_from", NOWHERE),
        after=str(version.version),
        by=tags.get("promoted_by", ""),
        because=tags.get("promoted_because", ""),
        override=tags.get("override_because", ""),
        fingerprint=tags.get("fingerprint", ""),
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _last(stack: list[str], version: str) -> int:
    return len(stack) - 1 - stack[::-1].index(version)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
