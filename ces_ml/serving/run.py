"""Running the scorer: a socket of its own, one process, a clean end."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress

from ces_ml.errors import MissingDependencyError, SpecError, TrackingError, show
from ces_ml.serving.application import MAX_BODY, make_app
from ces_ml.serving.loaded import ServedWeights, loader
from ces_ml.spec.duration import SECOND_US, Duration

__all__ = ["RELOAD_EVERY", "serve"]

#: How often the weights are looked at by default.
RELOAD_EVERY = Duration("10s")
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: Requests at a time; more are answered 503 instead of waiting without end.
_MOST_AT_A_TIME = 1_000


def serve(
    ref: str | os.PathLike[str],
    store: str | os.PathLike[str] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    reload_every: Duration | None = RELOAD_EVERY,
    max_body: int = MAX_BODY,
    hosts: Sequence[str] = (),
    started: Callable[[str, ServedWeights], None] | None = None,
) -> None:
    """Serve scores over HTTP until interrupted.

    Parameters
    ----------
    ref, store : str or path-like
        Which weights; see `load_weight_set`. They are read again when the file or the alias
        changes.
    host, port : str, int
        Where to listen; port 0 takes any that is free.
    reload_every : Duration, optional
        How often the weights are looked at; None serves the first ones for ever.
    max_body : int
        Largest body of a request, in bytes.
    hosts : sequence of str
        Names under which others may ask (header ``Host``). By default those of this machine when
        `host` is a loopback address, else any.
    started : callable, optional
        Called with the address and the weights before the first request is answered.

    Raises
    ------
    MissingDependencyError
        If the packages of the extra ``serve`` are not installed.
    SpecError
        If a limit is not above 0.
    TrackingError
        If the port can't be used.
    """
    try:
        import uvicorn
    except ImportError as error:
        raise MissingDependencyError(
            "the HTTP scorer needs packages that are not installed",
            got=str(error),
            allowed="fastapi, uvicorn and prometheus-client",
            hint="pip install 'ces-ml[serve]'",
        ) from error
    if max_body < 1:
        raise SpecError(
            "a limit is not above 0",
            got=f"max_body={show(max_body)}",
            allowed="a number of bytes from 1",
            hint="correct the limit, or leave it out",
        )
    every_s = None if reload_every is None else reload_every.us / SECOND_US
    weights = ServedWeights(loader(ref, store), every_s)
    allowed = list(hosts) or (list(_LOOPBACK) if host in _LOOPBACK else ["*"])
    app = make_app(weights, max_body=max_body, hosts=allowed)
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_AT_A_TIME,
        timeout_graceful_shutdown=5,
    )
    with _listening(host, port) as place:
        if started is not None:
            name, number = place.getsockname()[:2]
            shown = f"[{name}]" if ":" in name else name
            started(f"http://{shown}:{number}", weights)
        # uvicorn ends in order on Ctrl-C and then raises it again.
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[place])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        place = socket.create_server((host, port), family=family, backlog=2048)
        # asyncio would do it for sockets of its own; without it an answer waits 40 ms for another.
        place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return place
    except (OSError, OverflowError) as error:
        raise TrackingError(
            "the port can't be used",
            got=f"{host}:{port}: {getattr(error, 'strerror', None) or error}",
            allowed="an address of this machine and a port that no other program listens on",
            hint="choose another one with --port",
        ) from error
