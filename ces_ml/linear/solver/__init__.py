"""The solver: a block sum, a penalty and a polyhedron in, a certified optimum out."""

from ces_ml.linear.solver.certificate import kkt_residual
from ces_ml.linear.solver.newton import solve
from ces_ml.linear.solver.result import SolverResult, Status, TraceRow
from ces_ml.linear.solver.start import WarmStart
from ces_ml.linear.solver.warm_start import SampledObjective, Survey, warm_start

__all__ = [
    "SampledObjective",
    "SolverResult",
    "Status",
    "Survey",
    "TraceRow",
    "WarmStart",
    "kkt_residual",
    "solve",
    "warm_start",
]
