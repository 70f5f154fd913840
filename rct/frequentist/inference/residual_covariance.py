"""Powers of the covariance of one cluster's residuals, times a few vectors, without its eigenvalues.

After fixed effects and terms are taken off, the covariance of a cluster's residuals is a diagonal, less one
vector's square for every unit effect, less a product of low rank for the other columns. A shift of it is
inverted by the formulas of Sherman, Morrison and Woodbury, and its inverse root is an integral over shifts,

    B^(-1/2) = 2/pi int_0^inf (B + s^2)^(-1) ds,

to which the midpoint rule in the variable s = sqrt(low) sc(u) converges geometrically (Hale, Higham &
Trefethen 2008, eq. 4.3 and theorem 4.1): some thirty shifts reach rounding. Directions that the columns
explain in full are known beforehand and taken off, so the powers are those of Moore and Penrose.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

EIGENVALUE_TOLERANCE = 1e-12
DENSE = 128  # rows up to which eigenvalues take less time than shifts
ROUNDING = 37.0  # −log of the error that the midpoint rule may leave


@dataclass(frozen=True)
class ResidualCovariance:
    """B = diag(d) − v v' within each group − F F', positive semi-definite.

    diagonal : (rows,) d, positive
    own : (rows,) v; v²/d adds up to at most 1 in a group
    group : (rows,) codes, rows of one group side by side
    shared : (rows, columns) F; orthogonal to v/d within every group where the sum is 1
    """

    diagonal: NDArray[np.float64]
    own: NDArray[np.float64]
    group: NDArray[np.intp]
    shared: NDArray[np.float64]

    def inverse_root_times(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give B^(-1/2) times vectors (rows, vectors)."""
        if len(vectors) <= DENSE:
            return self._dense_power(-0.5) @ vectors
        low = self.diagonal.min() * self._slack[~self._nested].min(initial=1.0)
        low *= np.min(1 - self._explained[0][~self._lost], initial=1.0)
        within = self._without_null_space(vectors)
        total = np.zeros_like(vectors)
        for shift, weight in zip(*inverse_root_rule(low, self.diagonal.max()), strict=True):
            total += weight * self._shifted_inverse_times(shift, within)
        return self._without_null_space(total)

    def inverse_times(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give the pseudo-inverse times vectors (rows, vectors)."""
        if len(vectors) <= DENSE:
            return self._dense_power(-1.0) @ vectors
        values, directions = self._explained
        solved = self._unshared_inverse_times(self._without_null_space(vectors))
        kept = directions[:, ~self._lost]
        along = (kept.T @ (self.shared.T @ solved)) / (1 - values[~self._lost])[:, None]
        return self._without_null_space(solved + self._unshared_inverse_times(self.shared @ (kept @ along)))

    @cached_property
    def _starts(self) -> NDArray[np.intp]:
        return np.flatnonzero(np.r_[True, self.group[1:] != self.group[:-1]])

    @cached_property
    def _place(self) -> NDArray[np.intp]:
        """The number of each row's group among those of the cluster."""
        return np.repeat(np.arange(len(self._starts)), np.diff(self._starts, append=len(self.group)))

    @cached_property
    def _nested(self) -> NDArray[np.bool_]:
        """Groups whose effect lies in this cluster alone: v/d is a direction without variance."""
        return self._raw_slack <= EIGENVALUE_TOLERANCE

    @cached_property
    def _raw_slack(self) -> NDArray[np.float64]:
        return 1 - np.add.reduceat(self.own**2 / self.diagonal, self._starts)

    @cached_property
    def _slack(self) -> NDArray[np.float64]:
        return np.where(self._nested, 0.0, self._raw_slack)

    @cached_property
    def _explained(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Eigenvalues and vectors of F'E⁺F, E = B + F F': 1 where F explains a direction in full."""
        solved = self._unshared_inverse_times(self.shared)
        values, directions = np.linalg.eigh(self.shared.T @ solved)
        return values, directions

    @cached_property
    def _lost(self) -> NDArray[np.bool_]:
        """Which of these directions are without variance, by the measure of a dense eigenvalue."""
        values, directions = self._explained
        size = np.sum(self._unshared_inverse_times(self.shared @ directions) ** 2, axis=0)
        without = values * (1 - values) <= EIGENVALUE_TOLERANCE * self.diagonal.max() * size
        return without & (values > 0.5)

    @cached_property
    def _null_space(self) -> NDArray[np.float64]:
        """Orthonormal directions that F explains in full: (rows, directions)."""
        directions = self._explained[1][:, self._lost]
        basis: NDArray[np.float64] = np.linalg.qr(self._unshared_inverse_times(self.shared @ directions))[0]
        return basis

    def _without_null_space(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        within = self._without_nested(vectors)
        return within - self._null_space @ (self._null_space.T @ within)

    def _without_nested(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        direction = np.where(self._nested[self._place], self.own / self.diagonal, 0.0)
        size = np.add.reduceat(direction**2, self._starts)
        along = self._sums(direction, vectors) / np.where(self._nested, size, 1.0)[:, None]
        return vectors - direction[:, None] * along[self._place]

    def _unshared_inverse_times(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give E⁺ times vectors that have nothing in the nested groups' own directions."""
        ratio = self.own / self.diagonal
        raised = self._sums(ratio, vectors) / np.where(self._nested, np.inf, self._slack)[:, None]
        return self._without_nested(vectors / self.diagonal[:, None] + ratio[:, None] * raised[self._place])

    def _shifted_inverse_times(self, shift: float, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Give (B + shift)⁻¹ times vectors."""
        scale = 1 / (self.diagonal + shift)
        ratio = scale * self.own
        # 1 − v²/(d + shift) of a group, without the difference of near numbers.
        left = self._slack + shift * np.add.reduceat(ratio * self.own / self.diagonal, self._starts)
        every = np.hstack([self.shared, vectors])
        raised = self._sums(ratio, every) / left[:, None]
        solved = scale[:, None] * every + ratio[:, None] * raised[self._place]
        shared, others = np.split(solved, [self.shared.shape[1]], axis=1)
        capacity = np.eye(shared.shape[1]) - self.shared.T @ shared
        return np.asarray(others + shared @ np.linalg.solve(capacity, self.shared.T @ others))

    def _sums(self, own: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.add.reduceat(own[:, None] * vectors, self._starts, axis=0)

    def _dense_power(self, power: float) -> NDArray[np.float64]:
        alike = self.group[:, None] == self.group
        covariance = np.diag(self.diagonal) - alike * np.outer(self.own, self.own)
        return _symmetric_power(covariance - self.shared @ self.shared.T, power)


def inverse_root_rule(low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give shifts and weights: the sum of weight / (x + shift) is x^(-1/2) for low <= x <= high.

    Hale, Higham & Trefethen (2008): the error falls as exp(−2 pi² n / (log(high / low) + 3)).
    """
    from scipy.special import ellipkm1

    low = min(low, high / 4)  # the series below is for moduli well below 1
    modulus = np.sqrt(low / high)
    number = int(np.ceil(ROUNDING * (np.log(high / low) + 3) / (2 * np.pi**2)))
    quarter = ellipkm1(modulus**2)
    half = _sc((np.arange(-(-number // 2)) + 0.5) * quarter / number, modulus)
    # Beyond the middle by the reflection sc(K − u) = 1 / (k' sc(u)).
    ratio = np.r_[half, 1 / (modulus * half[: number // 2][::-1])]
    weights = np.sqrt((1 + ratio**2) * (1 + (modulus * ratio) ** 2))
    return low * ratio**2, 2 * quarter * np.sqrt(low) / (np.pi * number) * weights


def _sc(arguments: NDArray[np.float64], complement: float) -> NDArray[np.float64]:
    """Jacobi's sc(u) for the modulus sqrt(1 − complement²) and u up to the middle of its quarter period.

    It is sn of an imaginary argument for the small modulus, so Landen's descending transformation leads to
    sinh (Abramowitz & Stegun 1964, 16.12.2 and 16.20.1).
    """
    moduli = []
    while complement > np.finfo(float).eps:
        complement = (complement / (1 + np.sqrt(1 - complement**2))) ** 2
        moduli.append(complement)
    value = np.sinh(arguments / np.prod([1 + own for own in moduli]))
    for own in reversed(moduli):
        value = (1 + own) * value / (1 - own * value**2)
    return np.asarray(value)


def _symmetric_power(matrix: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    """Take a power; eigenvalues that are zero but for rounding stay zero (Moore–Penrose)."""
    values, vectors = np.linalg.eigh(matrix)
    positive = values > EIGENVALUE_TOLERANCE * max(values[-1], np.finfo(float).tiny)
    return (vectors[:, positive] * values[positive] ** power) @ vectors[:, positive].T
