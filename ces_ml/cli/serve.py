"""The command ``ces-ml serve``: scores over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ces_ml.cli.app import Store, Weights, app, out, reported

if TYPE_CHECKING:
    from ces_ml.serving import ServedWeights

__all__ = ["serve"]


@app.command(
    epilog="Examples:\n\n  ces-ml serve weights.json\n\n  ces-ml serve models:/churn@champion "
    "--store mlflow.db --port 8080\n\n  curl -s localhost:8000/v1/score/counts "
    "-H 'content-type: application/json' "
    '-d \'{"rows": [{"customer_id": "ann", "counts": {"login": 6}}]}\''
)
@reported
def serve(
    weights: Weights,
    store: Store = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 8000,
    reload_every: Annotated[
        str, typer.Option(help="How often to look for other weights, e.g. 10s; 0s: never.")
    ] = "10s",
    max_body: Annotated[int, typer.Option(min=1, help="Largest body of a request, in bytes.")] = 4
    * 1024
    * 1024,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name under which others may ask (header Host); repeat for more.",
            show_default="this machine's when listening on loopback, else any",
        ),
    ] = None,
) -> None:
    """Serve scores over HTTP; weights are taken anew on promotion. Ctrl-C stops it."""
    from ces_ml.serving import serve as run
    from ces_ml.spec import Duration

    def started(address: str, served: ServedWeights) -> None:
        held = served.current.weights
        out.print(Text(f"{held.name} {held.fingerprint}"), soft_wrap=True)
        for line in addresses(address):
            out.print(line, soft_wrap=True)

    every = None if reload_every.strip() in ("0", "0s") else Duration(reload_every)
    run(
        weights,
        store,
        host=host,
        port=port,
        reload_every=every,
        max_body=max_body,
        hosts=allowed_host or (),
        started=started,
    )


def addresses(address: str) -> list[str]:
    """Return what can be asked, in lines of at most 80 columns."""
    return [
        address,
        "  POST /v1/score/counts, /v1/score/events",
        "  GET  /v1/weights, /health, /metrics, /openapi.json",
    ]
