"""What people ask of a trial, answered from the draws of a log rate ratio."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rct.errors import DataError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Question:
    """Which reduction would matter, which ratios are as good as one, and for how much exposure events count.

    Raises
    ------
    DataError
        For a share or a region that makes no sense.
    """

    larger_than: float
    equivalence: tuple[float, float]
    exposure: float
    level: float

    def __post_init__(self) -> None:
        low, high = self.equivalence
        if not (0 < self.larger_than < 1 and 0 < low < high and self.exposure > 0):
            raise DataError(
                "answers: larger_than is a share below 1, equivalence two rate ratios in order, "
                "periods_per_year and officers numbers above 0."
            )

    def answer(
        self, draws: "np.ndarray", averted_rate: "np.ndarray", *, rate_uncertain: bool
    ) -> dict[str, float | bool]:
        """Answer from the draws of a log rate ratio and of the events averted per unit of exposure."""
        import numpy as np

        low, high = (math.log(end) for end in self.equivalence)
        averted = averted_rate * self.exposure
        median, least, most = np.quantile(averted, [0.5, (1 - self.level) / 2, (1 + self.level) / 2])
        return {
            "probability_reduced": float((draws < 0).mean()),
            "probability_larger": float((draws < math.log1p(-self.larger_than)).mean()),
            "probability_equivalent": float(((draws > low) & (draws < high)).mean()),
            "averted": float(median),
            "averted_low": float(least),
            "averted_high": float(most),
            "rate_uncertain": rate_uncertain,
        }
