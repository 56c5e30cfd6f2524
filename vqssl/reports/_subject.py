"""What a report is about: a fitted estimator, taken apart into what each section needs."""

from dataclasses import dataclass
from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from vqssl._base import TorchEstimator
from vqssl.classifiers import BaseClassifier
from vqssl.generators import AnomalyDetector, BaseGenerator

# Methods and attributes of a tokenizer; `encode` alone would do for no section.
_TOKENIZER = ("encode", "decode", "code_sizes_")


@dataclass(frozen=True)
class Subject:
    """A fitted estimator and what is inside it; None is what it has not.

    Parameters
    ----------
    estimator : TorchEstimator or AnomalyDetector
    tokenizer : object or None
        Gives codes: the estimator, or what it holds.
    codec : object or None
        Gives series back: the tokenizer, or an autoencoder; an encoder with decoders.
    generator : object or None
        Draws series: a prior over codes, or a VAE.
    encoder : object or None
        Gives features that sections about classes look at.
    classifier : BaseClassifier or None
    detector : AnomalyDetector or None
    """

    estimator: Any
    tokenizer: Any
    codec: Any
    generator: Any
    encoder: Any
    classifier: Any
    detector: Any

    @property
    def name(self) -> str:
        """Name of the class."""
        return type(self.estimator).__name__

    @property
    def parts(self) -> dict[str, Any]:
        """The estimator and what is inside it, by name of the class."""
        inner = self.estimator if self.detector is None else self.detector.generator_
        found = [self.estimator, inner, getattr(inner, "tokenizer_", None)]
        unique = {id(part): part for part in map(unfrozen, found) if part is not None}
        return {type(part).__name__: part for part in unique.values()}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(C, L) of the fitted series, (C, H, W) of the fitted images."""
        fitted = self.estimator if self.detector is None else unfrozen(self.detector.generator_)
        shape = fitted.input_shape_
        return (1, *shape) if len(shape) == 1 else tuple(shape)

    @property
    def classes(self) -> Any:
        """Labels that it was fitted with, (n_classes,), or None."""
        return getattr(self.estimator, "classes_", None)


def unfrozen(estimator: Any) -> Any:
    """The estimator inside FrozenEstimator, or the estimator itself."""
    return estimator.estimator if isinstance(estimator, FrozenEstimator) else estimator


def check_subject(estimator: Any) -> Subject:
    """Take a fitted estimator apart.

    Raises
    ------
    TypeError
        If it is no estimator of vqssl.
    NotFittedError
        If it is not fitted.
    """
    inner = unfrozen(estimator)
    if not isinstance(inner, (TorchEstimator, AnomalyDetector)):
        raise TypeError(
            "estimator must be a fitted estimator of vqssl, such as VQTokenizer(); of a pipeline "
            f"pass one step; got {estimator!r}."
        )
    check_is_fitted(inner)
    detector = inner if isinstance(inner, AnomalyDetector) else None
    holder = inner if detector is None else unfrozen(detector.generator_)
    source = unfrozen(getattr(holder, "tokenizer_", holder))
    is_tokenizer = all(hasattr(source, name) for name in _TOKENIZER)
    gives_back = is_tokenizer or hasattr(source, "reconstruct")
    # An encoder has `reconstruct`, too, but no decoders before `fit_decoder`.
    if hasattr(source, "fit_decoder") and not hasattr(source, "decoder_history_"):
        gives_back = False
    return Subject(
        estimator=inner,
        tokenizer=source if is_tokenizer else None,
        codec=source if gives_back else None,
        generator=inner if detector is None and hasattr(inner, "sample") else None,
        encoder=source if hasattr(source, "transform") else None,
        classifier=inner if isinstance(inner, BaseClassifier) else None,
        detector=detector,
    )


def is_prior(generator: Any) -> bool:
    """Whether it draws codes of a tokenizer."""
    return isinstance(generator, BaseGenerator)
