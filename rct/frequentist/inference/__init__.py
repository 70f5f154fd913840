"""Where the uncertainty comes from: cluster-robust variances, score bootstrap and re-randomization."""
