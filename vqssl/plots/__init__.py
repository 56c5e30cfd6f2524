"""Displays: what estimators have learned, in pictures.

Each is made by a class method, draws on axes that it is given or on a figure of its own, as wide
as ``rcParams["figure.figsize"]`` says, and keeps what it drew in attributes, as scikit-learn's
displays do. They need matplotlib (``pip install vqssl[plot]``), which is imported when something
is drawn.
"""

from vqssl.plots._anomaly import AnomalyDisplay
from vqssl.plots._codebook import CodebookDisplay
from vqssl.plots._critical_difference import CriticalDifferenceDisplay
from vqssl.plots._decoding import DecodingDisplay
from vqssl.plots._generation import GenerationDisplay
from vqssl.plots._imputation import ImputationDisplay
from vqssl.plots._latent import LatentDisplay
from vqssl.plots._rate_distortion import RateDistortionDisplay
from vqssl.plots._reconstruction import ReconstructionDisplay
from vqssl.plots._token_strips import TokenDisplay
from vqssl.plots._training import TrainingDisplay
from vqssl.plots._traversal import TraversalDisplay

__all__ = [
    "AnomalyDisplay",
    "CodebookDisplay",
    "CriticalDifferenceDisplay",
    "DecodingDisplay",
    "GenerationDisplay",
    "ImputationDisplay",
    "LatentDisplay",
    "RateDistortionDisplay",
    "ReconstructionDisplay",
    "TokenDisplay",
    "TrainingDisplay",
    "TraversalDisplay",
]
