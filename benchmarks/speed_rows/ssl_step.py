"""Row `ssl_step`: what the self-supervised branch costs, here and in the published recipe."""

from typing import Any

import numpy as np

from speed_rows import data
from speed_rows.peer_ncvqvae import RecipeTraining, augment
from speed_rows.report import Bar, Line, Result, Settings, counted, seconds_text
from speed_rows.steps import Steps, with_threads
from speed_rows.timing import clock_of, median, quartiles, ratios, take_turns
from vqssl import SSLVQTokenizer, VQTokenizer

BATCH_SIZE = 64
OVER_VQ = Bar(high=3.0)
OVER_RECIPE = Bar(low=8.0)
SLIM = 63  # what projector_dim="auto" makes of a batch of 64


def run(settings: Settings) -> Result:
    lines: list[Line] = []
    raw: dict[str, Any] = {}
    for kind in ("short", "long"):
        series = data.split(kind, settings.data)
        for threads in settings.thread_counts:
            where = f"{series.name}, L={series.X.shape[2]}, {counted(threads)}"
            seconds = measure(series.X, threads, settings.short)
            raw[where] = seconds
            lines += compare(seconds, where, threads == settings.threads)
    return Result(lines, raw)


def measure(X: np.ndarray, threads: int, short: bool) -> dict[str, list[float]]:
    """Seconds per step of the three, in turns, then of parts of the recipe."""
    options = {"batch_size": BATCH_SIZE, "device": "cpu", "random_state": 0}
    with with_threads(threads):
        recipe = RecipeTraining(X, BATCH_SIZE)
        sides = {
            "ssl": Steps(SSLVQTokenizer(**options), X),
            "vq": Steps(VQTokenizer(**options), X),
            "recipe": recipe,
        }
        parts = {
            "recipe, slim projector": RecipeTraining(X, BATCH_SIZE, SLIM),
            "recipe, views only": lambda: augment(recipe.next_batch(), recipe.rng),
        }
        clock = clock_of(threads)
        return take_turns(sides, 2 if short else 5, clock) | take_turns(parts, 1, clock)


def compare(seconds: dict[str, list[float]], where: str, has_bars: bool) -> list[Line]:
    ours = seconds_text(median(seconds["ssl"]))
    over_vq = ratios(seconds["ssl"], seconds["vq"])
    over_recipe = ratios(seconds["recipe"], seconds["ssl"])
    slim = median(seconds["recipe, slim projector"])
    views = median(seconds["recipe, views only"])
    return [
        Line(
            f"SSLVQ over VQ step, {where}",
            median(over_vq),
            ours,
            seconds_text(median(seconds["vq"])),
            "{:.2f} times as long",
            OVER_VQ if has_bars else None,
            quartiles(over_vq),
        ),
        Line(
            f"recipe's step, {where}",
            median(over_recipe),
            ours,
            seconds_text(median(seconds["recipe"])),
            bar=OVER_RECIPE if has_bars else None,
            quartiles=quartiles(over_recipe),
            note=(
                f"of the recipe: views {seconds_text(views)}; "
                f"with a projector {SLIM} wide {seconds_text(slim)} in all"
            ),
        ),
    ]
