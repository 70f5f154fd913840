"""Choosing the threshold of a rerandomization: what share it accepts, and how much variance it leaves.

Morgan & Rubin (2012): without the restriction the Mahalanobis distance of k covariates is nearly chi-square
with k degrees of freedom, and that of several arms with k·(arms − 1); in small trials the certificate's own
count of accepted candidates is exact.
"""


def acceptance_threshold(covariates: int, share: float, *, arms: int = 2) -> float:
    """Give the threshold that accepts about a share of all allocations.

    Parameters
    ----------
    covariates
        Their number, levels but the first of categorical ones counted singly.
    share
        Between 0 and 1.
    arms
        Of the trial, the control among them; of a factorial trial its cells.

    Returns
    -------
    float
        The quantile of chi-square; write it, rounded, as ``threshold`` under ``[randomization]``.
    """
    from scipy.stats import chi2

    return float(chi2.ppf(share, covariates * (arms - 1)))


def remaining_variance(covariates: int, threshold: float, *, arms: int = 2) -> float:
    """Give the share of the variance of differences in covariates that a threshold leaves.

    P(χ² with d + 2 degrees ≤ a) / P(χ² with d degrees ≤ a), d = k·(arms − 1): Morgan & Rubin (2012, theorem
    3.1), whose proof asks of the stacked differences no more than that they are nearly normal.
    """
    from scipy.stats import chi2

    freedom = covariates * (arms - 1)
    return float(chi2.cdf(threshold, freedom + 2) / chi2.cdf(threshold, freedom))
