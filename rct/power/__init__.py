"""Power of a declared trial: closed forms, and simulation of the very trial."""

from rct.power.attainable_p_values import AttainableP, attainable_p, fewest_clusters
from rct.power.binary_designs import BinaryDesign, binary_design
from rct.power.cluster_designs import ClusterDesign, cluster_design, cluster_variance
from rct.power.compared_means import ArmMeansPower, MeansPower, arm_means, means, paired_means
from rct.power.compared_proportions import ProportionsPower, proportions
from rct.power.count_designs import CountDesign, count_design, count_variance
from rct.power.design_comparison import compare_designs
from rct.power.detectable_effect import Detectable, detectable
from rct.power.dunnett_comparisons import DunnettPower, dunnett, dunnett_critical_value
from rct.power.enumerated_counts import rates_exact
from rct.power.equivalent_rates import EquivalencePower, rates_equivalence
from rct.power.group_sequential_bounds import GroupSequential, group_sequential
from rct.power.hayes_bennett_clusters import HayesBennett, hayes_bennett, log_rate_sd
from rct.power.interim_power import conditional_power, predictive_power
from rct.power.learned_assumptions import learn
from rct.power.parallel_clusters import (
    ClusterMeans,
    ClusterProportions,
    OneClusteredArm,
    cluster_means,
    cluster_proportions,
    design_effect,
    one_clustered_arm,
)
from rct.power.power_curve import curve
from rct.power.prior_power import Assurance, assurance
from rct.power.prior_weighted_power import (
    NormalAssurance,
    normal_assurance,
    posterior_assurance,
    rates_assurance,
)
from rct.power.sequential_study import Monitoring, monitor
from rct.power.several_endpoints import EndpointsPower, endpoints, max_critical_value
from rct.power.significance_errors import TypeSM, type_s_m
from rct.power.sufficient_study import Sufficient, smallest_study
from rct.power.trial_power import Power, cannot_work, simulate
from rct.power.two_rates import RatesPower, rates
from rct.power.wald_power import rejection_probability
from rct.power.wedge_answers import two_answers

__all__ = [
    "ArmMeansPower",
    "Assurance",
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
    "Monitoring",
    "NormalAssurance",
    "OneClusteredArm",
    "Power",
    "ProportionsPower",
    "RatesPower",
    "Sufficient",
    "TypeSM",
    "arm_means",
    "assurance",
    "attainable_p",
    "binary_design",
    "cannot_work",
    "cluster_design",
    "cluster_means",
    "cluster_proportions",
    "cluster_variance",
    "compare_designs",
    "conditional_power",
    "count_design",
    "count_variance",
    "curve",
    "design_effect",
    "detectable",
    "dunnett",
    "dunnett_critical_value",
    "endpoints",
    "fewest_clusters",
    "group_sequential",
    "hayes_bennett",
    "learn",
    "log_rate_sd",
    "max_critical_value",
    "means",
    "monitor",
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
    "smallest_study",
    "two_answers",
    "type_s_m",
]
