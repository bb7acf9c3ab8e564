"""Exporters: a weight set in the form that another scorer reads."""

from ces_ml.exporters.parity import ParityResult, check_parity
from ces_ml.exporters.registry import EXPORTERS, Exporter, export, render, write
from ces_ml.exporters.verification import Check, verify_file

__all__ = [
    "EXPORTERS",
    "Check",
    "Exporter",
    "ParityResult",
    "check_parity",
    "export",
    "render",
    "verify_file",
    "write",
]
