"""What people ask of an alias: where it has pointed, and back to where it pointed before."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ces_ml.errors import TrackingError, did_you_mean, show
from ces_ml.tracking.explain import explaining
from ces_ml.tracking.history import NOWHERE, Move, held_before, moves_of, next_key
from ces_ml.tracking.record import this_user
from ces_ml.tracking.registry import (
    FINGERPRINT_TAG,
    check_alias,
    point_alias,
    registered,
    versions_of,
)
from ces_ml.tracking.store import open_store

__all__ = ["AliasHistory", "alias_history", "rollback"]


@dataclass(frozen=True)
class AliasHistory:
    """Every move of the aliases of a registered weight set.

    Parameters
    ----------
    name : str
        Of the registered model.
    moves : tuple of Move
        The oldest first.
    now : dict of str to str
        Where each alias points: version by alias.
    """

    name: str
    moves: tuple[Move, ...]
    now: dict[str, str]

    @property
    def moved_otherwise(self) -> tuple[str, ...]:
        """Aliases that point elsewhere than their last move says: moved by other means."""
        last = {m.alias: m.after for m in self.moves}
        aliases = {**last, **self.now}
        return tuple(a for a in aliases if self.now.get(a, NOWHERE) != last.get(a, NOWHERE))


def alias_history(
    name: str, alias: str | None = None, store: str | os.PathLike[str] | None = None
) -> AliasHistory:
    """Return every promotion and rollback of a registered weight set.

    Parameters
    ----------
    name : str
        Of the registered model.
    alias : str, optional
        This alias alone; all of them when not given.
    store : str or path-like, optional
        See `default_store`.

    Raises
    ------
    TrackingError
        If there is no such name in the store, or it never had the alias.
    """
    opened = open_store(store, make=False)
    model = registered(opened, name)
    with explaining(opened.uri, "read the model registry"):
        moves = moves_of(model, versions_of(opened, name))
    now = {a: str(version) for a, version in dict(model.aliases).items()}
    if alias is not None:
        known = {m.alias for m in moves} | set(now)
        if alias not in known:
            raise TrackingError(
                f"{show(name)} has never had such an alias",
                got=show(alias),
                allowed=did_you_mean(alias, known),
                hint="correct the alias, or leave it out for all of them",
            )
        moves = [m for m in moves if m.alias == alias]
        now = {a: version for a, version in now.items() if a == alias}
    return AliasHistory(name, tuple(moves), now)


def rollback(
    name: str,
    alias: str = "champion",
    *,
    to: str | None = None,
    reason: str,
    store: str | os.PathLike[str] | None = None,
) -> Move | None:
    """Move an alias back to a version that it has pointed at before, and keep that in the history.

    No rule is asked: the version was let through when it was promoted. One that never held the
    alias is refused.

    Parameters
    ----------
    name : str
        Of the registered model.
    alias : str, default="champion"
    to : str, optional
        The version; the one before the present one when not given.
    reason : str
        Why, for people who read the history.
    store : str or path-like, optional

    Returns
    -------
    Move or None
        None where the alias points at `to` already; nothing has changed then.

    Raises
    ------
    TrackingError
        If name or alias is not there, the reason is blank, there is no version before, or the
        version never held the alias or was deleted.
    """
    check_alias(alias)
    if not reason.strip():
        raise TrackingError(
            "a rollback without a reason",
            got=show(reason),
            allowed="a reason in words; it is kept in the history",
            hint='write for example --reason "scores of new customers were wrong"',
        )
    opened = open_store(store, make=False)
    model = registered(opened, name)
    aliases = {a: str(version) for a, version in dict(model.aliases).items()}
    if alias not in aliases:
        raise TrackingError(
            f"{show(name)} has no such alias",
            got=show(alias),
            allowed=did_you_mean(alias, aliases),
            hint="correct the alias",
        )
    now = aliases[alias]
    with explaining(opened.uri, "read the model registry"):
        versions = {str(v.version): v for v in versions_of(opened, name)}
    moves = [m for m in moves_of(model, versions.values()) if m.alias == alias]
    if to == now:
        return None
    target = _target(name, alias, now, to, moves, _left(moves, versions, now))
    if target not in versions:
        raise TrackingError(
            f"version {target} of {show(name)} was deleted",
            got=f"{alias} at version {now}, before that at version {target}",
            allowed=f"one of these versions: {', '.join(_left(moves, versions, now)) or 'none'}",
            hint="name another with --to VERSION, or promote a run",
        )
    key, at = next_key(model)
    move = Move(
        at=at,
        alias=alias,
        action="rollback",
        before=now,
        after=target,
        by=this_user(),
        because=reason,
        fingerprint=versions[target].tags.get(FINGERPRINT_TAG, ""),
    )
    with explaining(opened.uri, f"roll {show(name)} back to version {target}"):
        point_alias(opened, name, key, move)
    return move


def _target(
    name: str, alias: str, now: str, to: str | None, moves: list[Move], left: list[str]
) -> str:
    """Return the version to go back to; `left` are those that an alias can be moved to by name."""
    if to is None:
        before = held_before(moves, now)
        if not before and left:
            raise TrackingError(
                f"there is no version before: {show(name)} is back at its first {alias}",
                got=f"version {now}, {len(moves)} moves in the history",
                allowed=f"with --to, one of these versions: {', '.join(left)}",
                hint=f"name it, for example --to {left[-1]}; `ces-ml history` tells why each left",
            )
        if not before:
            raise TrackingError(
                f"there is no version before: {show(name)} has had one {alias} only",
                got=f"version {now}, {len(moves)} moves in the history",
                allowed="an alias that has pointed at another version before",
                hint="look at `ces-ml history`, or promote another run",
            )
        return before[-1]
    held = {v for m in moves for v in (m.before, m.after)} - {NOWHERE}
    if to not in held:
        raise TrackingError(
            f"version {to} of {show(name)} never was the {alias}",
            got=show(to),
            allowed=did_you_mean(to, held - {now}),
            hint="promote it with `ces-ml promote`, which asks the rules",
        )
    return to


def _left(moves: list[Move], versions: dict[str, object], now: str) -> list[str]:
    held = {v for m in moves for v in (m.before, m.after)}
    return sorted((v for v in held if v in versions and v != now), key=int)
