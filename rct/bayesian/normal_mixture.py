"""A finite mixture of normal distributions: what a grid over one parameter leaves of the others."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Components this close, in shares of their standard deviation, are told apart by no reported digit once their
# mean and variance are kept; one much narrower than the whole counts as a twentieth of it wide.
APART = 0.1
NARROW = 0.05
HALVINGS = 60


@dataclass(frozen=True, eq=False)
class NormalMixture:
    """Weights that sum to one, means and standard deviations of the components, each (components,)."""

    weights: Floats
    means: Floats
    sds: Floats

    @property
    def mean(self) -> float:
        """The mean of the mixture."""
        return float(self.weights @ self.means)

    @property
    def sd(self) -> float:
        """The standard deviation of the mixture."""
        return float(np.sqrt(self.weights @ (self.sds**2 + (self.means - self.mean) ** 2)))

    def below(self, value: float) -> float:
        """Give the probability below a value."""
        from scipy.special import ndtr

        return float(self.weights @ ndtr((value - self.means) / self.sds))

    def quantile(self, probability: float) -> float:
        """Give the value that this probability lies below, by halving the range of the components."""
        low, high = (float(f(self.means + s * 40 * self.sds)) for f, s in ((np.min, -1), (np.max, 1)))
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.below(middle) < probability else (low, middle)
        return (low + high) / 2

    def compressed(self) -> "NormalMixture":
        """Merge components that nearly coincide; mean and variance of the mixture stay as they are."""
        kept = self.weights > self.weights.max() * 1e-10
        weights, means, sds = (values[kept] for values in (self.weights, self.means, self.sds))
        size = np.round(np.log(np.maximum(sds, NARROW * self.sd)) / APART)
        place = np.round(means / (APART * np.exp(size * APART)))
        place -= place.min()
        _, code = np.unique((size - size.min()) * (place.max() + 1) + place, return_inverse=True)
        total = np.bincount(code, weights)
        mean = np.bincount(code, weights * means) / total
        second = np.bincount(code, weights * (sds**2 + (means - mean[code]) ** 2)) / total
        return NormalMixture(total / total.sum(), mean, np.sqrt(second))
