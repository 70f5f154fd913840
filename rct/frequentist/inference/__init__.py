"""Where the uncertainty comes from: cluster-robust variances and re-randomization."""
