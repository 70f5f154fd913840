"""An arm that one cluster alone has is named, whatever else is treated."""

import numpy as np
import pytest

from rct.errors import EstimationError
from rct.frequentist.treated_clusters import lone_arm, require_treated_clusters

ARM = np.array([0, 0, 1, 1, -1, -1])


def test_the_arm_of_one_cluster_is_named():
    clusters = np.array([0, 1, 2, 2, 0, 2])
    with pytest.raises(EstimationError, match=r"one cluster alone is treated \(B; clusters: squad\)"):
        require_treated_clusters(["A", "B"], ARM, clusters, "squad")
    assert lone_arm([("A", clusters[:2])]) is None


def test_two_clusters_an_arm_are_enough_and_one_in_all_is_not():
    require_treated_clusters(["A", "B"], ARM, np.array([0, 1, 0, 1, 0, 1]), "squad")
    with pytest.raises(EstimationError, match="all rows lie in one cluster"):
        require_treated_clusters(["A", "B"], ARM, np.zeros(6, dtype=int), "squad")
