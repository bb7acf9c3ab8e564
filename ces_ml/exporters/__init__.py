"""Exporters: a weight set in the form that another scorer reads."""

from ces_ml.exporters.registry import EXPORTERS, Exporter, export, render

__all__ = ["EXPORTERS", "Exporter", "export", "render"]
