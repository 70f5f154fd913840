"""Among whom the other officers of an incident are found: those of one group who are there at the time."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Companies:
    """Groups of measured units, the same throughout or others in each period.

    Attributes
    ----------
    code : (units, 1 or periods)
        Number of the group that a unit is in; in one column where groups stay the same.
    there : (units, 1 or periods)
        Whether it is there.
    """

    code: "npt.NDArray[np.int64]"
    there: "npt.NDArray[np.bool_]"

    @classmethod
    def of_trial(
        cls,
        group: "npt.NDArray[np.int64]",
        periods: int,
        *,
        place: "npt.NDArray[np.int64] | None" = None,
        present: "npt.NDArray[np.bool_] | None" = None,
    ) -> "Companies":
        """Make the groups of a trial: `group` (units,), unless units move or leave.

        Parameters
        ----------
        place, present : shape (units, periods), optional
            Where each unit works and whether it is there.
        """
        import numpy as np

        moves = place is not None and (place != place[:, :1]).any()
        if not moves and (present is None or present.all()):
            return cls(group[:, None], np.ones((len(group), 1), dtype=bool))
        own = place if moves and place is not None else np.repeat(group[:, None], periods, axis=1)
        there = np.ones(own.shape, dtype=bool) if present is None else present
        return cls(own * periods + np.arange(periods), there)

    @cached_property
    def sizes(self) -> "npt.NDArray[np.int64]":
        """Units in each group, by its number."""
        import numpy as np

        return np.bincount(self.code[self.there], minlength=int(self.code.max()) + 1)

    def of(self, unit: "npt.NDArray[np.int64]", period: "npt.NDArray[np.int64]") -> "npt.NDArray[np.int64]":
        """Give the groups of some units in some periods."""
        return self.code[unit, period if self.code.shape[1] > 1 else 0]

    def members(self, group: int) -> "npt.NDArray[np.int64]":
        """Give the units of a group."""
        import numpy as np

        return np.flatnonzero(((self.code == group) & self.there).any(axis=1))
