"""Metrics: arrays in, floats out; numpy, scipy and scikit-learn only."""

from vqssl.metrics._beta_vae import beta_vae_score
from vqssl.metrics._clusters import ClusterScores, cluster_scores
from vqssl.metrics._coverage import PRDC, expected_coverage, precision_recall_density_coverage
from vqssl.metrics._dci import DCI, dci
from vqssl.metrics._discriminative import discriminative_score
from vqssl.metrics._factor_vae import factor_vae_score
from vqssl.metrics._frechet import frechet_distance
from vqssl.metrics._inception import inception_score
from vqssl.metrics._information import (
    adjusted_mutual_information,
    entropy,
    mutual_information,
    perplexity,
)
from vqssl.metrics._kernel import kernel_distance
from vqssl.metrics._memorization import memorization_ratio
from vqssl.metrics._modularity import modularity_score
from vqssl.metrics._mutual_information_gap import mutual_information_gap
from vqssl.metrics._posterior import active_units, kl_divergence, total_correlation
from vqssl.metrics._sap import sap_score
from vqssl.metrics._statistical_efficiency import statistical_efficiency

__all__ = [
    "DCI",
    "PRDC",
    "ClusterScores",
    "active_units",
    "adjusted_mutual_information",
    "beta_vae_score",
    "cluster_scores",
    "dci",
    "discriminative_score",
    "entropy",
    "expected_coverage",
    "factor_vae_score",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "kl_divergence",
    "memorization_ratio",
    "modularity_score",
    "mutual_information",
    "mutual_information_gap",
    "perplexity",
    "precision_recall_density_coverage",
    "sap_score",
    "statistical_efficiency",
    "total_correlation",
]
