"""The model registry: versions of a weight set, and the alias that scorers follow."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType
from typing import Any

from ces_ml.errors import TrackingError, did_you_mean, show
from ces_ml.tracking.explain import error_code, explaining
from ces_ml.tracking.gate import RuleResult
from ces_ml.tracking.history import NOWHERE, Move, forget_move, next_key, write_move
from ces_ml.tracking.patience import GIVING_UP, patience
from ces_ml.tracking.record import this_user
from ces_ml.tracking.store import Store

__all__ = [
    "FINGERPRINT_TAG",
    "check_alias",
    "check_name",
    "model_of_run",
    "move_alias",
    "point_alias",
    "register",
    "registered",
    "version_holding",
    "version_of",
    "versions_of",
]

FINGERPRINT_TAG = "ces.fingerprint"
#: Characters of a rule's finding that a tag keeps: with every rule far below the 100,000 of a tag.
_LONGEST_FOUND = 1000
#: Tags by which a version tells of its last promotion; another one takes their place.
_PROMOTION_TAGS = (
    *("promoted_from", "promoted_to", "promoted_at", "promoted_by", "promoted_because"),
    *("fingerprint", "gate", "gate_rules", "verdict"),
    *("override_because", "override_by", "override_at"),
)
_NOTHING: Mapping[str, str] = MappingProxyType({})
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_ALIAS = re.compile(r"(?!(?i:latest$|v\d+$))[A-Za-z0-9_-]{1,255}")


def model_of_run(store: Store, run_id: str, name: str | None = None) -> Any:
    """Return the logged model that holds the weight set of a run.

    Parameters
    ----------
    store : Store
    run_id : str
        32 hexadecimal digits.
    name : str, optional
        Name of the logged model, where a run has several.

    Raises
    ------
    TrackingError
        If there is no such run, or no weight set in it.
    """
    with explaining(store.uri, "read the run"):
        try:
            run = store.client.get_run(run_id) if _RUN_ID.fullmatch(run_id) else None
        except Exception as error:
            if error_code(error) != "RESOURCE_DOES_NOT_EXIST":
                raise
            run = None
        if run is None:
            raise TrackingError(
                "no run with this id in the tracking store",
                got=show(run_id),
                allowed=did_you_mean(run_id, _recent_runs(store), most=5),
                hint="take the id from the run's page, or check the store",
            )
        outputs = run.outputs.model_outputs if run.outputs else []
        models = [store.client.get_logged_model(output.model_id) for output in outputs]
    ours = [m for m in models if FINGERPRINT_TAG in m.tags and name in (None, m.name)]
    if not ours:
        raise TrackingError(
            "the run holds no weight set" + (f" called {show(name)}" if name else ""),
            got=f"run {run_id} with {len(models)} logged models, status {run.info.status}",
            allowed=did_you_mean(name or "", [m.name for m in models if FINGERPRINT_TAG in m.tags])
            if name
            else "a run made by ces-ml that came to its end",
            hint="choose a finished run of `ces-ml train`",
        )
    return max(ours, key=lambda m: int(m.creation_timestamp))


def register(store: Store, model: Any, name: str) -> str:
    """Make a version of the registered model `name` from a logged model; return the version.

    Raises
    ------
    TrackingError
        If the name is not allowed.
    """
    check_name(name)
    with explaining(store.uri, f"register {show(name)}"):
        try:
            store.client.create_registered_model(name)
        except Exception as error:  # it is there already, or another process was faster
            if error_code(error) != "RESOURCE_ALREADY_EXISTS":
                raise
        # Behind a server the source must be the model's id. Without one MLflow would look that id
        # up in its global store, so the place itself is given.
        source = f"models:/{model.model_id}" if store.is_server else model.artifact_location
        made = store.client.create_model_version(
            name,
            source=source,
            run_id=model.source_run_id,
            model_id=model.model_id,
            tags={
                FINGERPRINT_TAG: model.tags[FINGERPRINT_TAG],
                "ces.model_id": model.model_id,
                "ces.weight_set": model.tags.get("ces.weight_set", ""),
            },
        )
        version = str(made.version)
        versions = json.loads(model.tags.get("mlflow.modelVersions", "[]"))
        versions.append({"name": name, "version": made.version})
        # MLflow's pages read this tag to show the version beside the run.
        store.client.set_logged_model_tags(
            model.model_id, {"mlflow.modelVersions": json.dumps(versions)}
        )
    return version


def registered(store: Store, name: str) -> Any:
    """Return the registered model called `name`.

    Raises
    ------
    TrackingError
        If there is none; the message names the nearest.
    """
    with explaining(store.uri, "read the model registry"):
        try:
            return store.client.get_registered_model(name)
        except Exception as error:
            if error_code(error) not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            known = [m.name for m in store.client.search_registered_models(max_results=1000)]
            raise TrackingError(
                "no registered weight set with this name",
                got=show(name),
                allowed=did_you_mean(name, known),
                hint="correct the name, or register a run with `ces-ml promote`",
            ) from error


def versions_of(store: Store, name: str) -> list[Any]:
    """Return every version of a registered model; none where the name is not registered."""
    found: list[Any] = []
    token = None
    while True:
        page = store.client.search_model_versions(_named(name), page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def version_holding(versions: Sequence[Any], model: Any) -> str | None:
    """Return the latest of the versions that holds a logged model, or None."""
    # One that was registered on MLflow's page has no tag of ours.
    sources = (f"models:/{model.model_id}", model.artifact_location)
    held = [
        str(v.version)
        for v in versions
        if v.tags.get("ces.model_id") == model.model_id or v.source in sources
    ]
    return max(held, key=int) if held else None


def version_of(store: Store, name: str, *, alias: str | None = None, number: str = "") -> Any:
    """Return the version of `name` that has the alias, or the number.

    Raises
    ------
    TrackingError
        If name, alias or version is not there; the message names the nearest.
    """
    model = registered(store, name)
    with explaining(store.uri, "read the model registry"):
        aliases = dict(model.aliases)
        if alias is not None and alias not in aliases:
            raise TrackingError(
                f"{show(name)} has no such alias",
                got=show(alias),
                allowed=did_you_mean(alias, aliases),
                hint="correct the alias, or set it with `ces-ml promote`",
            )
        wanted = str(aliases[alias]) if alias is not None else number
        versions = versions_of(store, name)
        found = [v for v in versions if str(v.version) == wanted]
    if not found:
        raise TrackingError(
            f"{show(name)} has no such version",
            got=show(wanted),
            allowed=did_you_mean(wanted, [str(v.version) for v in versions]),
            hint="correct the version, or use an alias such as @champion",
        )
    return found[0]


def move_alias(
    store: Store,
    model: Any,
    name: str,
    alias: str,
    reason: str | None,
    beside: Mapping[str, str] = _NOTHING,
    rules: Sequence[RuleResult] = (),
    judged_against: str | None = None,
) -> str:
    """Point `alias` of `name` at a logged model, registered if needed; return the version.

    The version keeps as tags what an alias does not: where it came from, when, who and why, the
    results of the `rules` of the gate, and what stands in `beside`; of an earlier promotion it
    keeps nothing. The registered model keeps every move; see `ces_ml.tracking.history`.

    Raises
    ------
    TrackingError
        If the alias points elsewhere than at the version `judged_against`.
    """
    check_name(name)
    check_alias(alias)
    with explaining(store.uri, "read the model registry"):
        held = version_holding(versions_of(store, name), model)
    version = held or register(store, model, name)
    with explaining(store.uri, f"promote version {version} of {show(name)}"):
        known = store.client.get_registered_model(name)
        before = str(dict(known.aliases).get(alias, NOWHERE))
        if before == version:
            return version
        if judged_against not in (None, before):
            raise TrackingError(
                "the alias has moved since the rules were judged",
                got=f"{alias} of {show(name)} at version {before}, judged against version "
                f"{judged_against}",
                allowed="an alias that stays where it is while the rules are judged",
                hint="look at `ces-ml history`, then promote again: the rules are judged anew",
            )
        key, now = next_key(known)
        failed = tuple(r.rule for r in rules if not r.passed)
        move = Move(
            at=now,
            alias=alias,
            action="promote",
            before=before,
            after=version,
            by=this_user(),
            because=reason or "no reason given",
            override=beside.get("override_because", ""),
            failed=failed,
            gate="" if not rules else "overridden" if failed else "passed",
            fingerprint=model.tags[FINGERPRINT_TAG],
        )
        found = {"gate": move.gate, "gate_rules": _as_json(rules)} if rules else {}
        # History first: if the alias can't be moved, nothing has changed for any scorer.
        with _tags_of_promotion(store, name, move, {**found, **beside}):
            point_alias(store, name, key, move)
    return version


@contextmanager
def _tags_of_promotion(
    store: Store, name: str, move: Move, beside: Mapping[str, str]
) -> Iterator[None]:
    """Set the tags of a promotion and remove those of an earlier one; undo that if it fails."""
    client, version = store.client, move.after
    tags = {
        "promoted_from": move.before,
        "promoted_to": move.alias,
        "promoted_at": move.at,
        "promoted_by": move.by,
        "promoted_because": move.because,
        "fingerprint": move.fingerprint,
        **beside,
    }
    held = dict(client.get_model_version(name, version).tags)
    stale = [tag for tag in _PROMOTION_TAGS if tag in held and tag not in tags]
    try:
        for tag, value in tags.items():
            client.set_model_version_tag(name, version, tag, value)
        for tag in stale:
            client.delete_model_version_tag(name, version, tag)
        yield
    except BaseException:
        with suppress(Exception), patience(GIVING_UP):
            for tag in (*tags, *stale):
                if tag in held:
                    client.set_model_version_tag(name, version, tag, held[tag])
                else:
                    client.delete_model_version_tag(name, version, tag)
        raise


def point_alias(store: Store, name: str, key: str, move: Move) -> None:
    """Keep a move in the history, then make it; a move that fails is taken back."""
    write_move(store, name, key, move)
    try:
        store.client.set_registered_model_alias(name, move.alias, move.after)
    except BaseException as error:
        moved = _points_there(store, name, move)  # the answer may be lost, and not the move
        if moved and isinstance(error, Exception):
            return
        if not moved:
            forget_move(store, name, key)
        raise


def _points_there(store: Store, name: str, move: Move) -> bool:
    """Return whether the alias points where it was to move; False where the store can't tell."""
    with suppress(Exception), patience(GIVING_UP):
        aliases = dict(store.client.get_registered_model(name).aliases)
        return str(aliases.get(move.alias, NOWHERE)) == move.after
    return False


def _as_json(rules: Sequence[RuleResult]) -> str:
    """Return results of rules as JSON; long texts are cut, so that a tag of any store holds it."""
    bodies = [r.as_dict() for r in rules]
    for body in bodies:
        body |= {k: v[:_LONGEST_FOUND] for k, v in body.items() if isinstance(v, str)}
    return json.dumps(bodies, ensure_ascii=False)


def check_alias(alias: str) -> None:
    """Refuse an alias that MLflow's registry can't hold."""
    if not _ALIAS.fullmatch(alias):
        raise TrackingError(
            "not an alias",
            got=show(alias),
            allowed="letters, digits, _ and -, such as champion; not `latest`, not v1, v2, …",
            hint="choose another alias",
        )


def check_name(name: str) -> None:
    """Refuse a name that MLflow's registry can't hold."""
    if not name.strip() or any(c in name for c in "/:'\"@") or not name.isprintable():
        raise TrackingError(
            "not a name for a registered weight set",
            got=show(name),
            allowed="printable text without / : @ and quotes, such as churn",
            hint="choose another name",
        )


def _named(name: str) -> str:
    quote = '"' if "'" in name else "'"
    return f"name = {quote}{name}{quote}"


def _recent_runs(store: Store) -> list[str]:
    experiments = [e.experiment_id for e in store.client.search_experiments(max_results=200)]
    runs = store.client.search_runs(experiments, max_results=500)
    return [run.info.run_id for run in runs]
