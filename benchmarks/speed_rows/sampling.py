"""Row `sampling`: seconds of 32 series of one class, codes and decoding, against timevqvae.

Weights are untrained or nearly so, which changes no time. The peer decodes with the settings
of its README: ten steps for each of its two bands, no guidance. Ours are the defaults; those
in bfloat16; with as many steps as the peer takes in all; and that without guidance, so that
both networks are called equally often.
"""

from functools import partial
from typing import Any

from sklearn.frozen import FrozenEstimator

from speed_rows import data
from speed_rows.peer_timevqvae import DECODING, make_maskgit, sample, seed_everything
from speed_rows.report import Bar, Line, Result, Settings, seconds_text
from speed_rows.steps import with_threads
from speed_rows.timing import clock_of, median, quartiles, ratios, take_turns
from vqssl import MaskGITGenerator, VQTokenizer

BAR = Bar(low=5.0)
N_SAMPLES = 32
BAND_STEPS = (DECODING["lf_num_sampling_steps"], DECODING["hf_num_sampling_steps"])


def run(settings: Settings) -> Result:
    lines, raw = [], {}
    n_steps = int(sum(BAND_STEPS))
    for kind in ("short", "long"):
        series = data.split(kind, settings.data)
        length, label = series.X.shape[2], series.y[0]
        seed_everything(0)
        with with_threads(settings.threads):
            tokenizer = VQTokenizer(max_iter=5, device="cpu", random_state=0).fit(series.X)
            generator = MaskGITGenerator(
                FrozenEstimator(tokenizer), device="cpu", random_state=0, max_iter=5
            ).fit(series.X, series.y)
            names = ("n_steps", "guidance_scale", "precision")
            default = {name: getattr(generator, name) for name in names}
            variants = {
                f"defaults (n_steps={default['n_steps']})": {},
                "bfloat16": {"precision": "bfloat16"},
                f"n_steps={n_steps}": {"n_steps": n_steps},
                f"n_steps={n_steps}, no guidance": {"n_steps": n_steps, "guidance_scale": 0.0},
            }
            maskgit = make_maskgit(length, len(set(series.y.tolist())))
            sides = {"theirs": partial(sample, maskgit, N_SAMPLES, 0)} | {
                name: partial(draw, generator, default | options, label)
                for name, options in variants.items()
            }
            clock = clock_of(settings.threads)
            seconds = take_turns(sides, 3 if settings.short else 9, clock)
        bands = (int(maskgit.num_tokens_l), int(maskgit.num_tokens_h))
        raw[f"L={length}"] = seconds
        for name in variants:
            factors = ratios(seconds["theirs"], seconds[name])
            lines.append(
                Line(
                    f"{N_SAMPLES} series, L={length}, {name}",
                    median(factors),
                    seconds_text(median(seconds[name])),
                    seconds_text(median(seconds["theirs"])),
                    bar=BAR if name.startswith("defaults") else None,
                    quartiles=quartiles(factors),
                    note=f"{generator.n_tokens_} tokens to {bands[0]} + {bands[1]}",
                )
            )
    return Result(lines, raw)


def draw(generator: MaskGITGenerator, options: dict[str, Any], label: Any) -> None:
    """Draw with parameters that `sample` reads."""
    generator.set_params(**options).sample(N_SAMPLES, label, random_state=0)
