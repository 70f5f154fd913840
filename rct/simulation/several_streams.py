"""Several random generators that draw side by side: one trial each, the arithmetic between draws shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True)
class Streams:
    """Generators with the methods of one; the first axis of what they give, and take, is that of the trials.

    Each generator makes the draws that it would make alone, in the same order.
    """

    each: "Sequence[np.random.Generator]"

    def standard_normal(self, size: tuple[int, ...]) -> "npt.NDArray[np.float64]":
        """Draw arrays of one size: (trials, *size)."""
        import numpy as np

        return np.stack([rng.standard_normal(size) for rng in self.each])

    def gamma(self, shape: "npt.NDArray[np.floating]") -> "npt.NDArray[np.float64]":
        """Draw with the same shapes in every trial: (trials, *shape.shape)."""
        import numpy as np

        return np.stack([rng.gamma(shape) for rng in self.each])

    def poisson(self, mean: "npt.NDArray[np.floating]") -> "npt.NDArray[np.int64]":
        """Draw with means (trials, …)."""
        import numpy as np

        return np.stack([rng.poisson(own) for rng, own in zip(self.each, mean, strict=True)])

    def binomial(
        self, number: "npt.NDArray[np.int64]", chance: "npt.NDArray[np.floating]"
    ) -> "npt.NDArray[np.int64]":
        """Draw with numbers and chances (trials, …)."""
        import numpy as np

        drawn = zip(self.each, number, chance, strict=True)
        return np.stack([rng.binomial(most, likely) for rng, most, likely in drawn])
