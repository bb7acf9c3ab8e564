"""The solver: a block sum, a penalty and a polyhedron in, a certified optimum out."""

from ces_ml.linear.solver.certificate import kkt_residual
from ces_ml.linear.solver.newton import SolverResult, Status, TraceRow, solve

__all__ = ["SolverResult", "Status", "TraceRow", "kkt_residual", "solve"]
