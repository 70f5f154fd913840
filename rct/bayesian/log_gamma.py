"""The logarithm of the gamma function in plain arithmetic, for models that PyTensor compiles.

PyTensor keeps compiled functions on disk from one process to the next, but none that calls another library's
function by its address, as the derivative of its own ``gammaln`` does: one such call, and the whole density
is compiled anew in every process. This one has only powers and logarithms.
"""

from typing import Any

# Coefficients of Stirling's series, B_2k / (2k (2k - 1)) for k = 1, 2, …: Abramowitz & Stegun 1964, 6.1.41.
# At 8 the first term left out is below 1e-15.
STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156)


def log_gamma(x: Any, xp: Any) -> Any:
    """Give log Gamma(x) for x > 0; xp is numpy or pytensor.tensor.

    By Gamma(x + 8) = x (x + 1) … (x + 7) Gamma(x) (6.1.15 there), and Stirling's series above 8.
    """
    shifted = x + 8
    # Not 1 / (shifted * shifted), whose products PyTensor would multiply out for minutes.
    square = shifted**-2.0
    series = 0.0
    for coefficient in reversed(STIRLING):
        series = coefficient + square * series
    # x (x + 7) and, with it, (x + 1) (x + 6), (x + 2) (x + 5), (x + 3) (x + 4).
    outer = x * (x + 7)
    product = outer * (outer + 6) * (outer + 10) * (outer + 12)
    half_log_tau = 0.9189385332046727
    return (shifted - 0.5) * xp.log(shifted) - shifted + half_log_tau + series / shifted - xp.log(product)
