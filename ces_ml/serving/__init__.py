"""A small HTTP scorer: counts or events in, scores with reasons out."""

from ces_ml.serving.application import make_app
from ces_ml.serving.loaded import ServedWeights
from ces_ml.serving.run import serve

__all__ = ["ServedWeights", "make_app", "serve"]
