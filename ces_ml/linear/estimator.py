"""The scikit-learn estimator: the one file of this package that knows scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from scipy.special import expit, log_expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from ces_ml.errors import InfeasibleConstraintsError
from ces_ml.linear.constraints import LinearConstraints, compile_constraints
from ces_ml.linear.constraints.compiled import ConstraintsLike
from ces_ml.linear.kernels import RowBlocks, distant_columns
from ces_ml.linear.losses import LogisticLoss
from ces_ml.linear.parameters import check_parameters, read_feature_names, read_penalty
from ces_ml.linear.solver import SolverResult, Survey, solve, warm_start

__all__ = ["ConstrainedLogisticRegression", "ReadRows"]

Floats = NDArray[np.float64]


class ReadRows(NamedTuple):
    """Rows that were checked: what a fit needs of them, and can be shared by many.

    Parameters
    ----------
    survey : Survey
        The mean loss over the rows.
    names : tuple of str
        What rules call the columns.
    columns : ndarray of shape (n_features,) or None
        The names of the columns of a data frame.
    classes : ndarray of shape (2,)
        The two labels.
    shift : ndarray of shape (n_features,)
        What was taken off the columns.
    """

    survey: Survey
    names: tuple[str, ...]
    columns: NDArray[Any] | None
    classes: NDArray[Any]
    shift: Floats


class ConstrainedLogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Logistic regression whose weights obey rules stated by name.

    Solves the convex problem

    .. math::

        \min_{w,\,c} \; \frac{1}{\sum_i s_i} \sum_i s_i \log\bigl(1 + e^{-(2y_i - 1)
        (x_i^\top w + c)}\bigr)
        + \alpha \Bigl(\rho \lVert w \rVert_1 + \frac{1 - \rho}{2} \lVert w \rVert^2\Bigr)
        + \frac{\gamma}{2} \min_{t \ge 0} \sum_{j \in P} (w_j - t\, w^0_j)^2

    .. math::

        \text{subject to} \quad l \le w \le u, \; A w \le b, \; A_= w = b_=,

    with outcomes :math:`y_i \in \{0, 1\}`, sample weights :math:`s_i`, `l1_ratio` :math:`\rho`,
    `prior` :math:`w^0` of the features :math:`P` that it names and `prior_strength`
    :math:`\gamma`, by Newton's method with exact constrained steps, to a certified optimum. The
    intercept `c` is free and not penalised.

    Parameters
    ----------
    alpha : float, default=1e-4
        Strength of the elastic net, not negative, beside the *mean* loss: scikit-learn's ``C``
        is ``1 / (alpha * sum(sample_weight))``.
    constraints : None, str, Constraint, or sequence of str and Constraint, default=None
        Rules such as ``"login >= 0"``, ``"0 <= login <= 2"``, ``"support_call = -0.5"``,
        ``"purchase >= 2 * page_view"``, ``"bronze <= silver <= gold"``, ``"login <= 40%"``,
        ``"sum(social_*) <= 30%"``, ``"sum(all) = 1"``, ``"exclude social_*"``,
        ``"at most 5 events"``, ``"include login"``. Features go by the column names of a data
        frame, by `feature_names` of `fit`, or else by ``x0, x1, …``. Bounds and groups may use
        wildcards: ``"page_* >= 0"``. A share is linear, and accepted, where other rules say the
        sign of every weight. A limit on the number of events is the one rule that is not convex:
        `solver_result_` then has the choice, `support`, and how far another could be below it,
        `gap`.
    fit_intercept : bool, default=True
        Whether to fit `c`; otherwise it is 0.
    l1_ratio : float, default=0.0
        The lasso's part of the elastic net: 0 is ridge alone, 1 lasso alone, which makes some
        weights exactly zero.
    prior : None or mapping of str to float, default=None
        Hand-set weights by feature. Weights are drawn to their proportions, not to their size: the
        common scale is fitted too (see `prior_scale_`). Features that are not named are left to
        `alpha` alone; name one with 0 to draw it to zero.
    prior_strength : float, default=0.01
        Strength of that pull, not negative, beside the mean loss. Used if there is a `prior`.
    tol : float, default=1e-8
        Largest accepted KKT residual, which is scale-free (see
        `ces_ml.linear.solver.kkt_residual`).
    max_iter : int, default=100
        Largest number of Newton steps; five to ten are usual.

    Attributes
    ----------
    coef_ : ndarray of shape (1, n_features)
        The weights `w`; exactly on their bound where that is active.
    intercept_ : ndarray of shape (1,)
        The intercept `c`.
    classes_ : ndarray of shape (2,)
        The two labels; a positive weight speaks for the second.
    n_iter_ : int
        Newton steps taken.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Column names, if `X` was a data frame whose column names are all text.
    prior_scale_ : float or None
        The fitted scale `t` of the prior; None without one.
    solver_result_ : SolverResult
        KKT residual, active rules with their multipliers, trace.
    constraints_ : LinearConstraints
        The rules as bounds and rows, with the feature names that they were read with.

    Notes
    -----
    All-zero and constant columns and duplicated columns are allowed. With ``alpha=0`` and outcomes
    that some counts separate, the minimum is not attained: fitting stops once the residual
    is below `tol`, with a `ConvergenceWarning` that says so. Weights are not comparable between
    columns of different units, and a weight is not a causal effect.

    References
    ----------
    S. Boyd and L. Vandenberghe (2004), *Convex Optimization*, chapters 5 and 10.
    doi:10.1017/CBO9780511804441

    D. Arnström, A. Bemporad and D. Axehill (2022), A dual active-set solver for embedded quadratic
    programming using recursive LDLᵀ updates, *IEEE Transactions on Automatic Control* 67(8).
    doi:10.1109/TAC.2022.3176430

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = rng.poisson(1.0, size=(500, 3))
    >>> y = rng.random(500) < 1 / (1 + np.exp(-X @ [0.5, 1.0, -0.5]))
    >>> model = ConstrainedLogisticRegression(constraints=["x0 >= x1", "x2 >= 0"]).fit(X, y)
    >>> model.coef_.round(2)
    array([[0.6, 0.6, 0. ]])
    >>> model.solver_result_.active
    ('x2 >= 0', 'x0 >= x1')
    """

    def __init__(
        self,
        alpha: float = 1e-4,
        *,
        constraints: ConstraintsLike = None,
        fit_intercept: bool = True,
        l1_ratio: float = 0.0,
        prior: Mapping[str, float] | None = None,
        prior_strength: float = 0.01,
        tol: float = 1e-8,
        max_iter: int = 100,
    ) -> None:
        self.alpha = alpha
        self.constraints = constraints
        self.fit_intercept = fit_intercept
        self.l1_ratio = l1_ratio
        self.prior = prior
        self.prior_strength = prior_strength
        self.tol = tol
        self.max_iter = max_iter

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags

    def fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None = None,
        *,
        feature_names: Sequence[str] | None = None,
    ) -> ConstrainedLogisticRegression:
        """Fit the weights.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, n_features)
            Counts. CSR, float32 and float64 are taken as they are; others are converted.
        y : array-like of shape (n_rows,)
            Outcomes: exactly two different labels.
        sample_weight : array-like of shape (n_rows,), optional
            Not negative; weight 2 is the same as the row twice.
        feature_names : sequence of str, optional
            What the rules call the columns, if `X` is not a data frame.

        Returns
        -------
        ConstrainedLogisticRegression
            The fitted estimator itself.

        Raises
        ------
        SpecError
            If a parameter is out of its range or `feature_names` does not fit `X`.
        ConstraintError
            If a rule can't be read or names a feature that is not there.
        InfeasibleConstraintsError
            If no weights obey all rules.
        ValueError
            If `X` or `y` is not what scikit-learn accepts, or `y` has not two labels.

        Warns
        -----
        ConvergenceWarning
            If the optimum was not reached; the message says why, with numbers.
        """
        check_parameters(self)
        self._fit_rows(self._read(X, y, sample_weight, feature_names))
        return self

    def _read(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        feature_names: Sequence[str] | None,
    ) -> ReadRows:
        """Check rows and outcomes, and return them as a block sum."""
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=[np.float64, np.float32], y_numeric=False
        )
        weights: Floats | None = None
        if sample_weight is not None:
            weights = _check_sample_weight(
                sample_weight, X, dtype=np.float64, ensure_non_negative=True
            )
        target = self._encode(y, weights)
        columns = getattr(self, "feature_names_in_", None)
        names = read_feature_names(feature_names, columns, X.shape[1])
        shift = np.zeros(X.shape[1])
        if self.fit_intercept and not issparse(X):
            shift = distant_columns(X)
        blocks = RowBlocks(X, target, weights, LogisticLoss(), shift=shift)
        return ReadRows(Survey(blocks), names, columns, self.classes_, shift)

    def _fit_rows(self, rows: ReadRows, near: Any = None) -> None:
        """Fit to rows that have been read, wherever they are; `near` is fitted to the same ones.

        Its weights must obey the rules of this fit: then the descent begins from them.
        """
        self.n_features_in_, self.classes_ = len(rows.names), rows.classes
        if rows.columns is not None:
            self.feature_names_in_ = rows.columns
        region = compile_constraints(self.constraints, rows.names)
        penalty, fit_intercept = read_penalty(self, rows.names), bool(self.fit_intercept)
        z = None
        if near is not None:
            w = near.coef_[0]
            z = np.append(w, near.intercept_[0] + float(rows.shift @ w))
        result = solve(
            rows.survey.rows,
            penalty,
            region,
            fit_intercept=fit_intercept,
            tol=float(self.tol),
            max_iter=int(self.max_iter),
            start=warm_start(rows.survey, penalty, region, fit_intercept=fit_intercept, near=z),
        )
        self._store(result, region, rows.shift)
        ray = penalty.ray()
        self.prior_scale_: float | None = None
        if self.prior is not None:
            self.prior_scale_ = 0.0 if ray is None else ray.scale(self.coef_[0])

    def decision_function(self, X: Any) -> Floats:
        """Return the raw score ``x·w + c`` of each row, of shape (n_rows,)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        score: Floats = X @ self.coef_[0] + self.intercept_[0]
        return score

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likelier label of each row, of shape (n_rows,)."""
        score = self.decision_function(X)
        labels: NDArray[Any] = self.classes_[(score > 0.0).astype(np.intp)]
        return labels

    def predict_proba(self, X: Any) -> Floats:
        """Return the probability of each of `classes_`, of shape (n_rows, 2)."""
        score = self.decision_function(X)
        return np.column_stack([expit(-score), expit(score)])

    def predict_log_proba(self, X: Any) -> Floats:
        """Return the logarithm of `predict_proba`, without overflow."""
        score = self.decision_function(X)
        return np.column_stack([log_expit(-score), log_expit(score)])

    def _encode(self, y: NDArray[Any], weights: Floats | None) -> NDArray[np.int8]:
        """Set `classes_` and return the outcomes as 0 and 1."""
        labels = _two_numbers(y)
        if labels is None:
            check_classification_targets(y)
            kind = type_of_target(y, input_name="y", raise_unknown=True)
            if kind != "binary":
                raise ValueError(
                    f"Only binary classification is supported. The type of the target is {kind}."
                )
            labels = np.unique(y)
        self.classes_ = labels
        present = self.classes_ if weights is None else np.unique(y[weights > 0.0])
        if len(present) < 2:
            raise ValueError(
                "This solver needs samples of at least 2 classes in the data, but the data "
                f"contains only one class: {present.tolist()[0]!r}"
            )
        codes: NDArray[np.int8] = (y == self.classes_[1]).astype(np.int8)
        return codes

    def _store(self, found: SolverResult, region: LinearConstraints, shift: Floats) -> None:
        result = replace(found, intercept=found.intercept - float(shift @ found.coef))
        if result.status == "infeasible":
            rules = (*region.row_rules, *region.eq_rules, *region.limit_rules)
            if region.limits:
                raise InfeasibleConstraintsError(
                    "no choice of so few events was found that obeys the other rules",
                    got="; ".join(f"`{rule}`" for rule in dict.fromkeys(rules)),
                    allowed="rules that leave at least one set of weights",
                    hint="allow more events, or loosen the rules that keep weights from zero",
                )
            raise InfeasibleConstraintsError(
                "no weights obey the rules together, by less than the solver can resolve",
                got="; ".join(f"`{rule}`" for rule in dict.fromkeys(rules)),
                allowed="rules that leave at least one set of weights",
                hint="loosen a margin or drop a rule",
            )
        if result.status != "optimal":
            warnings.warn(
                f"The fit did not converge: {result.message}. Increase alpha or max_iter, "
                "or look at solver_result_.trace.",
                ConvergenceWarning,
                stacklevel=3,
            )
        self.coef_ = result.coef[np.newaxis, :]
        self.intercept_ = np.array([result.intercept])
        self.n_iter_ = result.n_iter
        self.solver_result_ = result
        self.constraints_ = region


def _two_numbers(y: NDArray[Any]) -> NDArray[Any] | None:
    """Return the two labels if `y` holds two different whole numbers, without sorting it."""
    if y.dtype.kind not in "biuf" or len(y) == 0:
        return None
    low, high = y.min(), y.max()
    if low == high or low != np.floor(low) or high != np.floor(high):
        return None
    two = np.count_nonzero(y == low) + np.count_nonzero(y == high) == len(y)
    return np.array([low, high], dtype=y.dtype) if two else None
