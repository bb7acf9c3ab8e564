"""What the scorer counts about itself, in the text format of Prometheus."""

from __future__ import annotations

from ces_ml.serving.loaded import ServedWeights

__all__ = ["Meter"]


class Meter:
    """Counters and a histogram in a registry of their own: several scorers do not mix.

    Parameters
    ----------
    weights : ServedWeights
        Whose fingerprint and reloads are told.
    """

    def __init__(self, weights: ServedWeights) -> None:
        import prometheus_client as prometheus

        self._prometheus = prometheus
        self.registry = prometheus.CollectorRegistry()
        self.requests = prometheus.Counter(
            "ces_requests", "Requests answered.", ["path", "status"], registry=self.registry
        )
        self.seconds = prometheus.Histogram(
            "ces_request_seconds",
            "Time from the whole body to the answer.",
            ["path"],
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
            registry=self.registry,
        )
        self.rows = prometheus.Counter("ces_rows_scored", "Rows scored.", registry=self.registry)
        self.unknown = prometheus.Counter(
            "ces_unknown_names", "Names the weights do not know.", registry=self.registry
        )
        self._weights = weights
        self._gauges = {
            name: prometheus.Gauge(name, text, registry=self.registry)
            for name, text in (
                ("ces_weights_reloads", "Times that other weights were taken."),
                ("ces_weights_failures", "Times that the weights could not be read again."),
                ("ces_weights_stale", "1 while the weights can't be read again."),
            )
        }
        self._info = prometheus.Info("ces_weights", "The weights served.", registry=self.registry)

    def text(self) -> bytes:
        """Return everything in Prometheus' text format."""
        weights, now = self._weights, self._weights.current
        self._gauges["ces_weights_reloads"].set(weights.reloads)
        self._gauges["ces_weights_failures"].set(weights.failures)
        self._gauges["ces_weights_stale"].set(now.last_error is not None)
        self._info.info({"name": now.weights.name, "fingerprint": now.weights.fingerprint})
        return bytes(self._prometheus.generate_latest(self.registry))
