"""Section about continuous latents: which dimensions are in use and what they stand for."""

from typing import Any

import numpy as np

from vqssl.autoencoders import BaseAutoEncoder
from vqssl.encoders import BaseEncoder
from vqssl.plots import TraversalDisplay
from vqssl.reports._figures import draw
from vqssl.reports._findings import Finding, counted, short
from vqssl.reports._html import figures, measure, table
from vqssl.reports._model_findings import inactive_dimensions, no_information
from vqssl.reports._page import Section
from vqssl.reports._sets import Sets
from vqssl.reports._subject import Subject

# Dimensions in a table and a picture, at most.
_DIMENSIONS = 6


def latents_section(subject: Subject, sets: Sets) -> Section | None:
    """Describe the latent of an autoencoder, or the frames of an encoder."""
    if isinstance(subject.codec, BaseAutoEncoder):
        return _of_autoencoder(subject.codec, sets)
    if isinstance(subject.encoder, BaseEncoder):
        return _of_encoder(subject.encoder)
    return None


def _of_autoencoder(model: Any, sets: Sets) -> Section:
    n_dims = len(model.latent_mean_)
    nats = getattr(model, "kl_per_dimension_", None)
    rules: list[Finding | None] = []
    key_figures = []
    lead = (
        f"A series becomes {counted(n_dims, 'number')}, its latent. The picture moves one of them "
        "at a time, from low to high, and decodes: what changes is what the dimension stands for."
    )
    if nats is None:
        order = np.argsort(-model.latent_deviation_, kind="stable")
        values, name = model.latent_deviation_, "deviation over the training set"
    else:
        order = np.argsort(-nats, kind="stable")
        values, name = nats, "nats that the encoder tells in it"
        rules.append(inactive_dimensions(model.active_units_, n_dims))
        key_figures.append(("dimensions in use", f"{model.active_units_} of {n_dims}"))
        lead += " A nat is 1.44 bits; near 0 a dimension tells nothing."
    busiest = order[:_DIMENSIONS]
    rows = [[f"dimension {dim}", short(float(values[dim]))] for dim in busiest]
    shown = counted(len(busiest), "dimension")
    picture = draw(
        lambda: TraversalDisplay.from_estimator(model, sets.train.X[:1], n_dims=_DIMENSIONS),
        f"{shown}, each moved from two deviations below its mean to two above.",
        "A training series whose latent is moved along one dimension at a time.",
    )
    caption = f"Latent: the {shown} that tell most" if len(order) > _DIMENSIONS else "Latent"
    content = [table(caption, ["", name], rows), figures(picture)]
    return Section("latents", "Latents", lead, content, rules, key_figures)


def _of_encoder(model: Any) -> Section:
    nats = model.mutual_information_.tolist()
    names = ["contexts"] if len(nats) == 1 else [f"module {i}" for i in range(len(nats))]
    rows = [
        measure(name, "of the frames to come", f"{short(bound)} nats", f"{short(most)} nats")
        for name, bound, most in zip(names, nats, np.log(model._n_choices).tolist(), strict=True)
    ]
    lead = (
        "The encoder learns to tell which of several frames comes next. What it then knows of the "
        "future is at least so many nats (1.44 bits each); no more can be measured than the "
        "logarithm of the number of frames to choose from."
    )
    n_layers, n_units = model.variance_per_dimension_.shape
    frames = [
        [f"layer {i}", n_units, short(float(variance.sum()))]
        for i, variance in enumerate(model.variance_per_dimension_)
    ]
    content = [
        table("What the encoder knows", ["", "at least", "measurable at most"], rows),
        table(
            f"Frames of {counted(n_layers, 'layer')}",
            ["", "units", "variance over series and time, summed"],
            frames,
        ),
    ]
    rules = [no_information(nats)]
    best = f"{short(max(nats))} nats"
    return Section("latents", "Frames", lead, content, rules, [("known of the future", best)])
