"""Power of a declared trial: closed forms, and simulation of the very trial."""

from rct.power.attainable_p_values import AttainableP, attainable_p, fewest_clusters
from rct.power.binary_designs import BinaryDesign, binary_design
from rct.power.cluster_designs import ClusterDesign, cluster_design, cluster_variance
from rct.power.compared_means import ArmMeansPower, MeansPower, arm_means, means, paired_means
from rct.power.compared_proportions import ProportionsPower, proportions
from rct.power.count_designs import CountDesign, count_design, count_variance
from rct.power.detectable_effect import Detectable, detectable
from rct.power.dunnett_comparisons import DunnettPower, dunnett, dunnett_critical_value
from rct.power.enumerated_counts import rates_exact
from rct.power.equivalent_rates import EquivalencePower, rates_equivalence
from rct.power.group_sequential_bounds import GroupSequential, group_sequential
from rct.power.hayes_bennett_clusters import HayesBennett, hayes_bennett, log_rate_sd
from rct.power.interim_power import conditional_power, predictive_power
from rct.power.parallel_clusters import (
    ClusterMeans,
    ClusterProportions,
    OneClusteredArm,
    cluster_means,
    cluster_proportions,
    design_effect,
    one_clustered_arm,
)
from rct.power.prior_weighted_power import (
    NormalAssurance,
    normal_assurance,
    posterior_assurance,
    rates_assurance,
)
from rct.power.several_endpoints import EndpointsPower, endpoints, max_critical_value
from rct.power.significance_errors import TypeSM, type_s_m
from rct.power.trial_power import Power, simulate
from rct.power.two_rates import RatesPower, rates
from rct.power.wald_power import rejection_probability

__all__ = [
    "ArmMeansPower",
    "AttainableP",
    "BinaryDesign",
    "ClusterDesign",
    "ClusterMeans",
    "ClusterProportions",
    "CountDesign",
    "Detectable",
    "DunnettPower",
    "EndpointsPower",
    "EquivalencePower",
    "GroupSequential",
    "HayesBennett",
    "MeansPower",
    "NormalAssurance",
    "OneClusteredArm",
    "Power",
    "ProportionsPower",
    "RatesPower",
    "TypeSM",
    "arm_means",
    "attainable_p",
    "binary_design",
    "cluster_design",
    "cluster_means",
    "cluster_proportions",
    "cluster_variance",
    "conditional_power",
    "count_design",
    "count_variance",
    "design_effect",
    "detectable",
    "dunnett",
    "dunnett_critical_value",
    "endpoints",
    "fewest_clusters",
    "group_sequential",
    "hayes_bennett",
    "log_rate_sd",
    "max_critical_value",
    "means",
    "normal_assurance",
    "one_clustered_arm",
    "paired_means",
    "posterior_assurance",
    "predictive_power",
    "proportions",
    "rates",
    "rates_assurance",
    "rates_equivalence",
    "rates_exact",
    "rejection_probability",
    "simulate",
    "type_s_m",
]
