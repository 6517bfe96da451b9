"""What a fit returns: estimates, their covariance, and how they were had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from analysis.mixed.clustered import FloatArray
from analysis.mixed.model import Model
from analysis.mixed.satterthwaite import Spread, joint_degrees
from analysis.mixed.wald import WaldTest, wald_test
from complexity.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from analysis.mixed.bootstrapping import Bootstrap
    from analysis.mixed.comparing import LikelihoodRatioTest
    from analysis.mixed.diagnostics import Diagnostics
    from analysis.mixed.margins.estimates import Estimates
    from analysis.mixed.predicting import Kind, NewLevels, Residual, Scale
    from analysis.mixed.tabulating import Part


@dataclass(frozen=True)
class VarianceComponent:
    """A variance or covariance of random effects.

    Attributes
    ----------
    group : str
        Grouping factor.
    term : str
        Column that varies.
    term2 : str or None
        The second column, for covariances.
    vcov : float
        Variance or covariance.
    sd_or_corr : float
        Its standard deviation or correlation (NaN when a variance is zero).
    """

    group: str
    term: str
    term2: str | None
    vcov: float
    sd_or_corr: float


@dataclass(frozen=True, eq=False, repr=False)
class MixedFit:
    """A fitted regression, mixed or not.

    Attributes
    ----------
    formula : str
    family : str
        ``gaussian`` (identity link) or ``binomial`` (logit link).
    method : str
        ``reml`` or ``ml``.
    engine : str
        What computed it.
    names : tuple of str
        Fixed-effect columns, length p.
    params : ndarray, shape (p,), float64
        Estimates, on the link scale.
    cov : ndarray, shape (p, p), float64
        Their covariance; NaN for coefficients that diverge.
    statistic : str
        ``t`` or ``z``.
    df : float, ndarray of shape (p,), or None
        Degrees of freedom of the t statistics: Satterthwaite's, one a coefficient, for linear
        mixed models; None for z.
    p_values : str
        How p-values and intervals were had, in words.
    covariance : str
        ``model``, ``cluster-robust CR1 by g`` or ``robust HC1``.
    random : tuple of VarianceComponent
        Without the residual.
    residual_sd : float or None
        None for binomial fits.
    loglik : float or None
        The REML criterion's when `method` is ``reml``; None for quasi-likelihoods.
    deviance : float
        −2 `loglik` for gaussian and mixed fits, else the residual deviance.
    aic, bic : float or None
        Variance parameters and the residual counted, as lme4 does.
    n_obs, n_dropped : int
        Rows used, and rows left out for missing values.
    n_groups : mapping of str to int
        Levels of each grouping factor (and of the cluster).
    converged, singular : bool
    warnings : tuple of str
        What a reader of the numbers must know.
    seconds : float
        Wall time of the fit.
    terms : mapping of str to tuple of int
        Which columns belong to each term of the fixed part.
    spread : Spread or None
        What Satterthwaite's degrees of freedom of other combinations need.
    model : Model or None
        What it was made of: arrays, encoder, covariance parameters.
    """

    formula: str
    family: str
    method: str
    engine: str
    names: tuple[str, ...]
    params: FloatArray
    cov: FloatArray
    statistic: str
    df: float | FloatArray | None
    p_values: str
    covariance: str
    random: tuple[VarianceComponent, ...]
    residual_sd: float | None
    loglik: float | None
    deviance: float
    aic: float | None
    bic: float | None
    n_obs: int
    n_dropped: int
    n_groups: Mapping[str, int]
    converged: bool
    singular: bool
    warnings: tuple[str, ...]
    seconds: float
    terms: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    spread: Spread | None = field(default=None, repr=False)
    model: Model | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        return self.summary()

    @property
    def rows(self) -> pd.Index:
        """Index of the table's rows that were used: of `resid` and `fittedvalues`."""
        if self.model is None or self.model.design.frame is None:
            return pd.RangeIndex(self.n_obs)
        return self.model.design.frame.index

    @property
    def bse(self) -> FloatArray:
        """Standard errors, shape (p,)."""
        return np.asarray(np.sqrt(np.diag(self.cov)), dtype=np.float64)

    @property
    def tvalues(self) -> FloatArray:
        """Estimates over standard errors, shape (p,): t or z, see `statistic`."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(self.params / self.bse, dtype=np.float64)

    @property
    def pvalues(self) -> FloatArray:
        """Two-sided p-values, shape (p,)."""
        size = -np.abs(self.tvalues)
        tail = ndtr(size) if self.df is None else stdtr(self.df, size)
        return np.asarray(2 * tail, dtype=np.float64)

    def conf_int(self, level: float = 0.95) -> FloatArray:
        """Give Wald intervals.

        Parameters
        ----------
        level : float
            Coverage, between 0 and 1.

        Returns
        -------
        ndarray, shape (p, 2)
        """
        if not 0 < level < 1:
            raise InputError(f"a confidence level lies between 0 and 1, not {level:g}")
        tail = (1 + level) / 2
        quantile = ndtri(tail) if self.df is None else stdtrit(self.df, tail)
        width = np.asarray(quantile, dtype=np.float64) * self.bse
        return np.column_stack([self.params - width, self.params + width])

    def cov_params(self) -> FloatArray:
        """Return the covariance of the fixed effects, shape (p, p)."""
        return self.cov

    def wald_test(self, R: npt.ArrayLike | Sequence[str]) -> WaldTest:
        """Test that combinations of fixed effects are zero.

        Parameters
        ----------
        R : array_like, shape (q, p), or sequence of str
            Combinations, or names of terms (``C(k):c``: all its columns) and columns.

        Returns
        -------
        WaldTest
            F with `df` denominator degrees of freedom where the fit has them
            (Satterthwaite's for linear mixed models), else chi-square.

        Raises
        ------
        InputError
            For an unknown name.
        """
        names = [R] if isinstance(R, str) else R
        if isinstance(names, Sequence) and names and all(isinstance(n, str) for n in names):
            columns: list[int] = []
            for name in names:
                columns += self._columns(str(name))
            R = np.eye(len(self.names))[list(dict.fromkeys(columns))]
        freedom = None if self.df is None else float(np.mean(self.df))
        if self.spread is not None:
            combinations = np.atleast_2d(np.asarray(R, dtype=np.float64))
            if combinations.ndim == 2 and combinations.shape[1] == len(self.params):
                freedom = joint_degrees(combinations, self.cov, self.spread)
        return wald_test(self.params, self.cov, R, df_denom=freedom)

    def _columns(self, name: str) -> list[int]:
        if name in self.terms:
            return list(self.terms[name])
        if name in self.names:
            return [self.names.index(name)]
        known = [*self.terms, *self.names]
        raise InputError(f"no term or coefficient '{name}'{did_you_mean(name, known)}")

    @property
    def nobs(self) -> int:
        """Rows used: `n_obs` by statsmodels' name."""
        return self.n_obs

    @property
    def llf(self) -> float | None:
        """Log-likelihood: `loglik` by statsmodels' name."""
        return self.loglik

    @property
    def df_resid(self) -> int:
        """Rows less fixed effects. No p-value of a mixed model comes from it."""
        return self.n_obs - len(self.params)

    def tidy(self, level: float = 0.95, kind: Part = "fixed") -> pd.DataFrame:
        """Tabulate the fixed or the random part (see `analysis.mixed.tabulating.tidy`)."""
        from analysis.mixed.tabulating import tidy

        return tidy(self, level, kind)

    def glance(self) -> pd.DataFrame:
        """Tabulate the fit in one row of its attributes."""
        from analysis.mixed.tabulating import glance

        return glance(self)

    def to_json(self) -> dict[str, object]:
        """Give plain values (see `analysis.mixed.tabulating.to_json`)."""
        from analysis.mixed.tabulating import to_json

        return to_json(self)

    def summary(self) -> str:
        """Describe the fit in text, for reading (see `analysis.mixed.describe`)."""
        from analysis.mixed.describe import summary

        return summary(self)

    def predict(
        self,
        data: pd.DataFrame | None = None,
        *,
        kind: Kind = "conditional",
        scale: Scale = "response",
        new_levels: NewLevels = "refuse",
    ) -> FloatArray:
        """Predict the outcome (see `analysis.mixed.predicting.predict`)."""
        from analysis.mixed.predicting import predict

        return predict(self, data, kind=kind, scale=scale, new_levels=new_levels)

    def predictions(
        self,
        data: pd.DataFrame | None = None,
        *,
        kind: Literal["fixed", "population"] = "fixed",
        scale: Scale = "response",
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Predict with standard errors (see `analysis.mixed.predicting.predictions`)."""
        from analysis.mixed.predicting import predictions

        return predictions(self, data, kind=kind, scale=scale, level=level)

    @property
    def fittedvalues(self) -> FloatArray:
        """Conditional predictions of the rows used, on the response scale, shape (n_obs,)."""
        from analysis.mixed.predicting import fitted_values

        return fitted_values(self)

    @property
    def resid(self) -> FloatArray:
        """Outcomes minus `fittedvalues`, shape (n_obs,)."""
        return self.residuals()

    def residuals(self, kind: Residual = "response") -> FloatArray:
        """Give residuals (see `analysis.mixed.predicting.residuals`)."""
        from analysis.mixed.predicting import residuals

        return residuals(self, kind)

    def random_effects(self) -> pd.DataFrame:
        """Tabulate modes and their SDs (see `analysis.mixed.modes.random_effects`)."""
        from analysis.mixed.modes import random_effects

        return random_effects(self)

    def r_squared(self) -> pd.DataFrame:
        """Give marginal and conditional R² (see `analysis.mixed.explained.r_squared`)."""
        from analysis.mixed.explained import r_squared

        return r_squared(self)

    def icc(self) -> pd.DataFrame:
        """Give intraclass correlations (see `analysis.mixed.explained.icc`)."""
        from analysis.mixed.explained import icc

        return icc(self)

    def lr_test(self, other: MixedFit) -> LikelihoodRatioTest:
        """Test against a smaller or larger model (see `analysis.mixed.comparing.lr_test`).

        Whichever of the two has fewer parameters is the smaller one.
        """
        from analysis.mixed.comparing import lr_test, parameters

        smaller, larger = sorted((self, other), key=parameters)
        return lr_test(smaller, larger)

    def diagnose(self, *, bins: int = 20, extremes: int = 5, seed: int = 0) -> Diagnostics:
        """Look at residuals and random effects (see `analysis.mixed.diagnostics.diagnose`)."""
        from analysis.mixed.diagnostics import diagnose

        return diagnose(self, bins=bins, extremes=extremes, seed=seed)

    def simulate(self, n_sets: int, seed: int) -> FloatArray:
        """Draw outcomes from the model (see `analysis.mixed.simulating.simulate`)."""
        from analysis.mixed.simulating import simulate

        return simulate(self, n_sets, seed)

    def bootstrap(
        self, n_sets: int = 999, kind: Literal["parametric", "cluster"] = "parametric", **how: Any
    ) -> Bootstrap:
        """Refit to drawn data (see `analysis.mixed.bootstrapping.bootstrap`)."""
        from analysis.mixed.bootstrapping import bootstrap

        return bootstrap(self, n_sets, kind, **how)

    def marginal_means(self, specs: str | Sequence[str] = (), **how: Any) -> Estimates:
        """Average predictions (see `analysis.mixed.margins.means.marginal_means`)."""
        from analysis.mixed.margins.means import marginal_means

        return marginal_means(self, specs, **how)

    def slopes(self, variable: str, specs: str | Sequence[str] = (), **how: Any) -> Estimates:
        """Give changes per unit of a number (see `analysis.mixed.margins.means.slopes`)."""
        from analysis.mixed.margins.means import slopes

        return slopes(self, variable, specs, **how)

    def joint_tests(self, terms: str | Sequence[str] | None = None, **how: Any) -> pd.DataFrame:
        """Test main effects and interactions (see `analysis.mixed.margins.joint`)."""
        from analysis.mixed.margins.joint import joint_tests

        return joint_tests(self, terms, **how)
