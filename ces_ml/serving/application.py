"""The HTTP application: counts or events in, scores with reasons out."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from ces_ml._version import __version__
from ces_ml.errors import CesError, MissingDependencyError
from ces_ml.serving.answers import answer, matrix
from ces_ml.serving.bodies import CountsRequest, EventsRequest, Failure, Health, Scores
from ces_ml.serving.events import count_events
from ces_ml.serving.limits import BodyLimit
from ces_ml.serving.loaded import ServedWeights
from ces_ml.serving.meter import Meter

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

__all__ = ["MAX_BODY", "make_app"]

#: Bytes of a body by default.
MAX_BODY = 4 * 1024 * 1024
_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Failure, "description": text}
    for status, text in (
        (400, "The body can't be read."),
        (413, "The body is too large."),
        (422, "The body is not what is asked for, or can't be scored."),
    )
}


def make_app(
    weights: ServedWeights, *, max_body: int = MAX_BODY, hosts: Sequence[str] = ("*",)
) -> FastAPI:
    """Return the ASGI application over the weights that are served.

    Parameters
    ----------
    weights : ServedWeights
        Watched while the application runs.
    max_body : int
        Largest body, in bytes.
    hosts : sequence of str
        Names under which the scorer may be asked (header ``Host``); ``*`` means any.

    Raises
    ------
    MissingDependencyError
        If FastAPI is not installed.

    Notes
    -----
    ``POST /v1/score/counts``, ``POST /v1/score/events``, ``GET /v1/weights``, ``GET /health``,
    ``GET /metrics`` and ``GET /openapi.json``. There are no pages that would load scripts from
    elsewhere, and no passwords: put a proxy in front where others can reach it.
    """
    try:
        from fastapi import FastAPI
        from starlette.middleware.trustedhost import TrustedHostMiddleware
    except ImportError as error:
        raise MissingDependencyError(
            "the HTTP scorer needs packages that are not installed",
            got=str(error),
            allowed="fastapi, uvicorn and prometheus-client",
            hint="pip install 'ces-ml[serve]'",
        ) from error

    @asynccontextmanager
    async def watched(app: FastAPI) -> AsyncIterator[None]:
        weights.watch()
        yield
        weights.close()

    app = FastAPI(
        title="ces-ml scorer",
        version=__version__,
        description="Scores customers with one weight set.",
        lifespan=watched,
        docs_url=None,
        redoc_url=None,
    )
    meter = Meter(weights)
    _refuse_in_four_parts(app)
    _measure(app, meter)
    _add_scores(app, weights, meter)
    _add_state(app, weights, meter)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(BodyLimit, most=max_body)
    return app


def _add_scores(app: FastAPI, weights: ServedWeights, meter: Meter) -> None:
    def told(scores: Scores) -> Scores:
        meter.rows.inc(len(scores.scores))
        meter.unknown.inc(len(scores.unknown))
        return scores

    @app.post("/v1/score/counts", responses=_REFUSALS, summary="Score counts")
    def score_counts(body: CountsRequest) -> Scores:
        served = weights.current
        n, unknown = matrix(served, body.rows)
        who = [row.customer_id for row in body.rows]
        return told(answer(served, who, n, body.n_reasons, unknown))

    @app.post("/v1/score/events", responses=_REFUSALS, summary="Count events and score")
    def score_events(body: EventsRequest) -> Scores:
        served = weights.current
        who, n, unknown = count_events(served, body)
        return told(answer(served, who, n, body.n_reasons, unknown))


def _add_state(app: FastAPI, weights: ServedWeights, meter: Meter) -> None:
    from fastapi.responses import PlainTextResponse

    @app.get("/v1/weights", summary="The weight set that is served, as JSON")
    def the_weights() -> dict[str, Any]:
        return weights.current.weight_set.model_dump(mode="json", exclude_defaults=True)

    @app.get("/health", summary="Whether scores are served, and with which weights")
    def health() -> Health:
        served = weights.current
        return Health(
            status="ok" if served.last_error is None else "stale",
            weights=served.weights,
            loaded_at=served.loaded_at,
            last_error=served.last_error,
        )

    @app.get(
        "/metrics",
        summary="Counters, as Prometheus reads them",
        response_class=PlainTextResponse,
        response_model=None,
    )
    def metrics() -> PlainTextResponse:
        return PlainTextResponse(meter.text(), media_type="text/plain; version=0.0.4")


def _measure(app: FastAPI, meter: Meter) -> None:
    known = {"/v1/score/counts", "/v1/score/events", "/v1/weights", "/health", "/metrics"}

    @app.middleware("http")
    async def measured(
        request: Request, call: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        # Any path may be asked for; only those that exist get counters of their own.
        path = request.url.path if request.url.path in known else "other"
        start = time.perf_counter()
        response = await call(request)
        meter.seconds.labels(path).observe(time.perf_counter() - start)
        meter.requests.labels(path, str(response.status_code)).inc()
        return response


def _refuse_in_four_parts(app: FastAPI) -> None:
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from starlette.exceptions import HTTPException

    @app.exception_handler(HTTPException)
    async def unanswered(request: Request, error: HTTPException) -> JSONResponse:
        failure = Failure.of(
            str(error.detail),
            allowed="the paths, methods and bodies that GET /openapi.json describes",
            next="correct the request",
        )
        return JSONResponse(
            failure.model_dump(exclude_none=True), error.status_code, headers=error.headers
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = ".".join(str(part)[:60] for part in first["loc"][:8])
        unreadable = first["type"] == "json_invalid"
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        marked = kind == "application/json" or kind.endswith("+json")
        if first["loc"][0] == "body" and not marked:
            failure = Failure.of(
                "the body is not marked as JSON",
                got=f"content-type: {kind[:100]}" if kind else "no content-type",
                allowed="content-type: application/json",
                next="send content-type: application/json",
            )
            return JSONResponse(failure.model_dump(exclude_none=True), 422)
        failure = Failure.of(
            "the body is not JSON" if unreadable else "the body is not what is asked for",
            got=f"at {place}: {first['msg']}"[:300],
            allowed="the form that GET /openapi.json describes",
            next="correct the request",
        )
        return JSONResponse(failure.model_dump(exclude_none=True), 400 if unreadable else 422)

    @app.exception_handler(CesError)
    async def refused(request: Request, error: CesError) -> JSONResponse:
        failure = Failure.of(error.problem, got=error.got, allowed=error.allowed, next=error.hint)
        return JSONResponse(failure.model_dump(exclude_none=True), 422)
