"""The gamma function in plain arithmetic against SciPy's, and its derivative against digamma."""

import numpy as np
import pytest

from rct.bayesian.log_gamma import log_gamma

# Down to heterogeneity that no sampler visits, and up to the events of the largest agency.
POINTS = np.concatenate([10 ** np.linspace(-9, 8, 400), np.linspace(0.5, 3, 400)])


def test_it_is_scipys():
    from scipy.special import gammaln

    exact = gammaln(POINTS)
    assert np.abs(log_gamma(POINTS, np) - exact) == pytest.approx(0, abs=1e-14 * np.abs(exact).max())
    assert np.allclose(log_gamma(POINTS, np), exact, rtol=2e-14, atol=1e-14)


def test_its_derivative_is_digamma_and_calls_no_function_by_address():
    import pytensor
    import pytensor.tensor as pt
    from pytensor.graph.traversal import ancestors
    from scipy.special import digamma

    x = pt.dvector()
    slope = pytensor.grad(log_gamma(x, pt).sum(), x)
    assert "psi" not in {str(node.owner.op).lower() for node in ancestors([slope]) if node.owner}
    assert np.allclose(slope.eval({x: POINTS}, mode="FAST_COMPILE"), digamma(POINTS), rtol=1e-12, atol=1e-12)
