"""How fast is the fit under rules, beside solvers that know fewer rules or none?

    python run.py --cases 1e5x40x15,1e6x40x15 --rounds 5 [--only ces-ml,lbfgs]

A case is rows × columns × density in per cent. All peers minimise the same ridge objective on the
same float32 CSR matrix, each to the loosest of its own tolerances that brings the objective
within 3e-8 (relative) of the optimum of its problem; the gap that it reached is in the results.
Slow peers take part if CES_BENCHMARK_ALSO names them: liblinear, trust-constr, cvxpy; those with an
environment of their own (`foreign.py`) if it is named.
What a process does before (imports, loading, a small fit that compiles) is outside the time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[3]))
sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[0]))
import foreign
import harness
from problem import ALPHA, folder, load, rules

CASE = os.environ.get("CES_BENCHMARK_CASE", "1e5x40x15")
TOL = 1e-5 if CASE.endswith("x40x15") else 2e-6  # of lbfgs and liblinear
OURS = "ces-ml: signs and 10 orders"
SMALL = 200_000
"""Rows up to which the slow peers take part."""

WARM = 300_000
"""Values of the small fit before: from 200,000 on ces-ml uses its compiled pass."""

Fit = Callable[[Any, Any], tuple[Any, float]]


def peer(problem: str, make: Callable[[], Fit]) -> harness.Peer:
    """Return a peer: `make` gives its fit, `problem` the optimum it is compared with."""

    def prepare() -> Any:
        X, y = load(CASE)
        fit = make()
        few = min(X.shape[0] // 2, max(100_000, int(X.indptr.searchsorted(WARM))))
        fit(X[:few], y[:few])
        return fit, X, y

    def work(state: Any) -> dict[str, Any]:
        fit, X, y = state
        before = _resident()
        w, c = fit(X, y)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"problem": problem, "z": [*w.tolist(), c], "extra_mb": max(0.0, peak - before)}

    return prepare, work


def _resident() -> float:
    """Return the memory of this process, in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def add_gaps(case: str) -> None:
    """Add to the results how far each peer ended above its optimum, and its memory over CSR."""
    import numpy as np

    X, y = load(case)
    best = json.loads((folder(case) / "optimum.json").read_text())
    path = Path(__file__).with_name(f"results_{case}.json")
    results = json.loads(path.read_text())
    for row in results["peers"]:
        answer = row.pop("answer")
        w, c = np.array(answer["z"][:-1]), answer["z"][-1]
        total, step = 0.0, 200_000
        for start in range(0, X.shape[0], step):
            eta = X[start : start + step].astype(np.float64) @ w + c
            total += np.logaddexp(0, np.where(y[start : start + step] == 1, -eta, eta)).sum()
        objective = total / X.shape[0] + ALPHA / 2 * (w @ w)
        row["gap"] = float(objective / best[answer["problem"]] - 1.0)
        extra = answer["extra_mb"]  # not known of Spark, whose memory is in another process
        row["memory_over_csr"] = extra if extra is None else round(1 + extra / best["csr_mb"], 2)
        print(f"{row['peer']:42} gap {row['gap']:8.1e}  memory/CSR {row['memory_over_csr']}")
    results |= {"nnz": best["nnz"], "csr_mb": best["csr_mb"]}
    path.write_text(json.dumps(results, indent=2) + "\n")


def ours(stated: list[str] | None) -> Fit:
    from ces_ml.linear import ConstrainedLogisticRegression

    model = ConstrainedLogisticRegression(ALPHA, constraints=stated)

    def fit(X: Any, y: Any) -> tuple[Any, float]:
        model.fit(X, y)
        return model.coef_[0], float(model.intercept_[0])

    return fit


def scikit_learn(solver: str, tol: float, **options: Any) -> Fit:
    from sklearn.linear_model import LogisticRegression

    def fit(X: Any, y: Any) -> tuple[Any, float]:
        model = LogisticRegression(
            C=1 / (ALPHA * len(y)), solver=solver, tol=tol, max_iter=1000, **options
        )
        model.fit(X, y)
        return model.coef_[0].astype(float), float(model.intercept_[0])

    return fit


def bounds() -> tuple[Any, Any]:
    import numpy as np

    p = int(CASE.split("x")[1])
    positive = np.arange(p) % 5 < 4
    return np.where(positive, 0.0, -np.inf), np.where(positive, np.inf, 0.0)


def glum() -> Fit:
    import numpy as np
    from glum import GeneralizedLinearRegressor

    low, high = bounds()

    def fit(X: Any, y: Any) -> tuple[Any, float]:
        model = GeneralizedLinearRegressor(
            family="binomial",
            alpha=ALPHA,
            l1_ratio=0.0,
            lower_bounds=low,
            upper_bounds=high,
            gradient_tol=1e-6,
            max_iter=100,
        )
        model.fit(X.astype(np.float64), y)  # in float32 it does not converge
        return model.coef_.astype(float), float(model.intercept_)

    return fit


def value_and_gradient(X: Any, y: Any) -> Callable[[Any], tuple[float, Any]]:
    import numpy as np
    from scipy.special import expit

    X, Xt, n = X.astype(np.float64), X.T.astype(np.float64).tocsr(), len(y)

    def at(z: Any) -> tuple[float, Any]:
        eta = X @ z[:-1] + z[-1]
        slope = (expit(eta) - y) / n
        value = (np.logaddexp(0, eta) - y * eta).mean() + ALPHA / 2 * z[:-1] @ z[:-1]
        return value, np.append(Xt @ slope + ALPHA * z[:-1], slope.sum())

    return at


def scipy_bounds() -> Fit:
    import numpy as np
    from scipy.optimize import minimize

    low, high = bounds()

    def fit(X: Any, y: Any) -> tuple[Any, float]:
        found = minimize(
            value_and_gradient(X, y),
            np.zeros(X.shape[1] + 1),
            jac=True,
            method="L-BFGS-B",
            bounds=[*zip(low, high, strict=True), (None, None)],
            options={"ftol": 1e-13, "gtol": 1e-6, "maxiter": 2000},
        )
        return found.x[:-1], float(found.x[-1])

    return fit


def _orders(p: int) -> Any:
    from ces_ml.linear import compile_constraints

    return compile_constraints(rules(p)[1], [f"x{j}" for j in range(p)]).A


def slsqp() -> Fit:
    import numpy as np
    from scipy.optimize import minimize

    low, high = bounds()

    def fit(X: Any, y: Any) -> tuple[Any, float]:
        A = np.column_stack([_orders(X.shape[1]), np.zeros(10)])
        found = minimize(
            value_and_gradient(X, y),
            np.zeros(X.shape[1] + 1),
            jac=True,
            method="SLSQP",
            bounds=[*zip(low, high, strict=True), (None, None)],
            constraints={"type": "ineq", "fun": lambda z: -A @ z, "jac": lambda z: -A},
            options={"ftol": 1e-11, "maxiter": 1000},
        )
        return found.x[:-1], float(found.x[-1])

    return fit


def trust_constr() -> Fit:
    import numpy as np
    from scipy.optimize import Bounds, LinearConstraint, minimize
    from scipy.special import expit

    low, high = (np.append(b, end) for b, end in zip(bounds(), (-np.inf, np.inf), strict=True))

    def fit(X: Any, y: Any) -> tuple[Any, float]:
        X = sp_ones(X)
        Xt = X.T.tocsr()
        ridge = np.append(np.full(X.shape[1] - 1, ALPHA), 0.0)

        def hessian(z: Any) -> Any:
            chance = expit(X @ z)
            weighted = X.multiply((chance * (1 - chance) / len(y))[:, None]).tocsr()
            return (Xt @ weighted).toarray() + np.diag(ridge)

        A = np.column_stack([_orders(X.shape[1] - 1), np.zeros(10)])
        found = minimize(
            value_and_gradient(X[:, :-1], y),
            np.append(np.sign(np.where(low[:-1] == 0.0, 1.0, -1.0)) * 0.1, 0.0),
            jac=True,
            hess=hessian,
            method="trust-constr",
            bounds=Bounds(low, high),
            constraints=LinearConstraint(A, -np.inf, 0.0),
            options={"gtol": 5e-10, "xtol": 1e-12, "barrier_tol": 1e-8, "maxiter": 1000},
        )
        return found.x[:-1], float(found.x[-1])

    return fit


def sp_ones(X: Any) -> Any:
    """Return the columns and a last one of ones, as float64."""
    import numpy as np
    import scipy.sparse as sp

    return sp.hstack([X.astype(np.float64), np.ones((X.shape[0], 1))], format="csr")


def clogistic(solver: str, p: int) -> Fit:
    orders = None
    if solver != "L-BFGS-B":
        import numpy as np

        orders = np.zeros((10, p))  # its environment has no ces-ml that would read the rules
        for row, rule in zip(orders, rules(p)[1], strict=True):
            above, below = (int(name[1:]) for name in rule.split(" >= "))
            row[[above, below]] = -1.0, 1.0
    return foreign.clogistic(solver, bounds(), orders)


def cvxpy() -> Fit:
    import cvxpy as cp
    import numpy as np

    low, high = bounds()

    def fit(X: Any, y: Any) -> tuple[Any, float]:
        w, c = cp.Variable(X.shape[1]), cp.Variable()
        sign = np.where(y == 1, -1.0, 1.0)
        margins = cp.multiply(sign, X.astype(np.float64) @ w + c)
        problem = cp.Problem(
            cp.Minimize(cp.sum(cp.logistic(margins)) / len(y) + ALPHA / 2 * cp.sum_squares(w)),
            [w[low == 0] >= 0, w[high == 0] <= 0, _orders(X.shape[1]) @ w <= 0],
        )
        problem.solve(solver=cp.CLARABEL)
        return np.array(w.value), float(c.value)

    return fit


def peers() -> dict[str, harness.Peer]:
    n, p = (int(float(part)) for part in CASE.split("x")[:2])
    signs, orders = rules(p)
    found = {
        OURS: peer("rules", lambda: ours(signs + orders)),
        "ces-ml: no rules": peer("free", lambda: ours(None)),
        "scikit-learn lbfgs: no rules": peer("free", lambda: scikit_learn("lbfgs", TOL)),
        "scikit-learn newton-cholesky: no rules": peer(
            "free", lambda: scikit_learn("newton-cholesky", 1e-4)
        ),
        "glum: signs": peer("signs", glum),
        "scipy L-BFGS-B: signs": peer("signs", scipy_bounds),
    }
    also = os.environ.get("CES_BENCHMARK_ALSO", "")
    if "liblinear" in also:  # it penalises the intercept, the less the larger its scaling
        found["scikit-learn liblinear: no rules"] = peer(
            "free", lambda: scikit_learn("liblinear", TOL, intercept_scaling=30.0)
        )
    if n <= SMALL:
        found["scipy SLSQP: signs and 10 orders"] = peer("rules", slsqp)
    if n <= SMALL and "trust-constr" in also:
        found["scipy trust-constr: signs and 10 orders"] = peer("rules", trust_constr)
    if foreign.present("clogistic"):
        found["clogistic L-BFGS-B: signs"] = peer("signs", lambda: clogistic("L-BFGS-B", p))
        if n <= SMALL:
            found["clogistic ECOS: signs and 10 orders"] = peer(
                "rules", lambda: clogistic("ecos", p)
            )
    if foreign.present("Spark"):
        found["Spark: signs"] = foreign.spark(CASE, bounds())
    if n <= SMALL and "cvxpy" in also:
        found["cvxpy with Clarabel: signs and 10 orders"] = peer("rules", cvxpy)
    return found


def main() -> None:
    if "--peer" in sys.argv:
        foreign.replace_process(__file__)
        harness.main(__file__, peers(), OURS, [])
        return
    if "--gaps" in sys.argv:
        add_gaps(sys.argv[2])
        return
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", default="1e5x40x15,1e6x40x15")
    parser.add_argument("--rounds", default="5")
    parser.add_argument("--only", default="", help="words that the names of peers hold")
    arguments = parser.parse_args()
    here = Path(__file__).parent
    for case in arguments.cases.split(","):
        subprocess.run([sys.executable, here / "problem.py", case], check=True)
        os.environ["CES_BENCHMARK_CASE"] = globals()["CASE"] = case
        words = arguments.only.split(",")
        chosen = {k: v for k, v in peers().items() if any(word in k for word in words)}
        sys.argv[1:] = ["--rounds", arguments.rounds]
        print(f"\n{case}")
        packages = ["scikit-learn", "numpy", "scipy", "numba", "daqp", "glum", "cvxpy", "clarabel"]
        harness.main(__file__, chosen, OURS, packages)
        (here / "results.json").replace(here / f"results_{case}.json")
        subprocess.run([sys.executable, __file__, "--gaps", case], check=True)


if __name__ == "__main__":
    main()
