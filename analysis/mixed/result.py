"""What a fit returns: estimates, their covariance, and how they were had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from analysis.mixed.clustered import FloatArray
from analysis.mixed.model import Model
from analysis.mixed.satterthwaite import Spread, joint_degrees
from analysis.mixed.wald import WaldTest, wald_test
from complexity.errors import InputError, did_you_mean
from complexity.files import plain


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


@dataclass(frozen=True, eq=False)
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

    def tidy(self, level: float = 0.95) -> pd.DataFrame:
        """Tabulate the fixed effects.

        Returns
        -------
        DataFrame
            ``term``, ``estimate``, ``se``, ``statistic``, ``df`` (NaN for z), ``p``,
            ``ci_low``, ``ci_high``, one row a coefficient; ``attrs`` say how p-values were
            had (``p_values``) and which covariance it is (``covariance``).
        """
        interval = self.conf_int(level)
        frame = pd.DataFrame(
            {
                "term": list(self.names),
                "estimate": self.params,
                "se": self.bse,
                "statistic": self.tvalues,
                "df": np.full(len(self.names), np.nan if self.df is None else self.df),
                "p": self.pvalues,
                "ci_low": interval[:, 0],
                "ci_high": interval[:, 1],
            }
        )
        frame.attrs.update(p_values=self.p_values, covariance=self.covariance)
        return frame

    def glance(self) -> pd.DataFrame:
        """Tabulate the fit in one row."""
        keys = ["formula", "family", "method", "engine", "covariance", "n_obs", "n_dropped"]
        keys += ["residual_sd", "loglik", "deviance", "aic", "bic", "converged", "singular"]
        return pd.DataFrame([{key: getattr(self, key) for key in keys}])

    def to_json(self) -> dict[str, object]:
        """Give what ``optik fit --json`` prints: plain values, null for NaN.

        Returns
        -------
        dict
            ``fixed``, ``random``, ``loglik``, ``deviance``, ``aic``, ``bic``, ``n_obs``,
            ``n_groups``, ``residual_sd``, ``method``, ``converged``, ``singular``,
            ``seconds``, ``covariance``, ``warnings``, ``n_dropped``.
        """
        fixed = [
            {str(key): value for key, value in row.items()}
            for row in self.tidy().to_dict("records")
        ]
        value = plain(
            {
                "fixed": fixed,
                "random": [vars(component) for component in self.random],
                "loglik": self.loglik,
                "deviance": self.deviance,
                "aic": self.aic,
                "bic": self.bic,
                "n_obs": self.n_obs,
                "n_groups": dict(self.n_groups),
                "residual_sd": self.residual_sd,
                "method": self.method,
                "converged": self.converged,
                "singular": self.singular,
                "seconds": self.seconds,
                "covariance": self.covariance,
                "warnings": list(self.warnings),
                "n_dropped": self.n_dropped,
            }
        )
        assert isinstance(value, dict)
        return value

    def summary(self) -> str:
        """Describe the fit in text, for reading (see `analysis.mixed.describe`)."""
        from analysis.mixed.describe import summary

        return summary(self)
