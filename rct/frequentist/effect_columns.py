"""Columns of a design: levels of fixed effects as codes, terms as numbers; never written out as a matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rct.frequentist.integer_codes import sums_by_code

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class EffectColumns:
    """Indicators of levels, then numeric columns.

    levels : of each set of effects, (cells,) the column of the cell's level; `n_levels` where it has none
    n_levels : number of indicator columns, all sets together
    numeric : (cells, terms)
    """

    levels: tuple[NDArray[np.intp], ...]
    n_levels: int
    numeric: NDArray[np.float64]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.n_levels + self.numeric.shape[1]

    def only(self, columns: NDArray[np.intp], numeric: NDArray[np.float64]) -> EffectColumns:
        """Keep these levels, beside other numeric columns."""
        place = np.full(self.n_levels + 1, len(columns))
        place[columns] = np.arange(len(columns))
        return EffectColumns(tuple(place[own] for own in self.levels), len(columns), numeric)

    def times(self, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply by coefficients (columns,) or (columns, …)."""
        product = self.numeric @ coefficients[self.n_levels :]
        padded = np.concatenate([coefficients[: self.n_levels], np.zeros((1, *coefficients.shape[1:]))])
        for own in self.levels:
            product = product + padded[own]
        return np.asarray(product)

    def totals(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values (cells,) by column: (columns,)."""
        by_level = np.zeros(self.n_levels + 1)
        for own in self.levels:
            by_level += sums_by_code(own, values, self.n_levels + 1)
        return np.concatenate([by_level[:-1], self.numeric.T @ values])

    def totals_by_group(
        self, group: NDArray[np.intp], n_groups: int, values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Sum column × values in each group: (groups, columns)."""
        spread = self.n_levels + 1
        sums = np.zeros((n_groups, self.width))
        for own in self.levels:
            by_level = sums_by_code(group * spread + own, values, n_groups * spread)
            sums[:, : self.n_levels] += by_level.reshape(n_groups, spread)[:, :-1]
        for number, column in enumerate(self.numeric.T, start=self.n_levels):
            sums[:, number] = sums_by_code(group, column * values, n_groups)
        return sums

    def cross_products(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum values × column × column: (columns, columns)."""
        n, spread = self.n_levels, self.n_levels + 1
        products = np.zeros((self.width, self.width))
        products[n:, n:] = self.numeric.T @ (self.numeric * values[:, None])
        for number, own in enumerate(self.levels):
            products[np.arange(n), np.arange(n)] += sums_by_code(own, values, spread)[:-1]
            for other in self.levels[number + 1 :]:
                both = sums_by_code(own * spread + other, values, spread**2).reshape(spread, spread)[:-1, :-1]
                products[:n, :n] += both + both.T
            for place, column in enumerate(self.numeric.T, start=n):
                products[:n, place] += sums_by_code(own, column * values, spread)[:-1]
        products[n:, :n] = products[:n, n:].T
        return products

    def rows(self, cells: NDArray[np.intp]) -> NDArray[np.float64]:
        """Write out the rows of some cells: (cells, columns)."""
        written = np.zeros((len(cells), self.n_levels + 1))
        for own in self.levels:
            written[np.arange(len(cells)), own[cells]] = 1.0
        return np.hstack([written[:, :-1], self.numeric[cells]])
