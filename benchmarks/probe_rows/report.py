"""What a file of lines says: means, comparisons, ranks, costs, and looks at the test set."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from probe_rows import diagram, published
from probe_rows.comparison import LEVEL, comparable, compare, rank
from probe_rows.methods import METHODS
from probe_rows.probes import PROBES
from probe_rows.records import Line, is_done
from probe_rows.systems import System, default_names, label, named


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    Parameters
    ----------
    reference : Path or None
        CSV of published accuracies.
    ours, baselines : str or None
        Systems, "method:probe,...", to compare and to compare with; None: all there are.
    figure : Path or None
        Where diagrams go: ``<stem>-<section>.png`` beside this file.
    """

    reference: Path | None = None
    ours: str | None = None
    baselines: str | None = None
    figure: Path | None = None


def report(lines: list[Line], options: Options) -> None:
    """Print everything, and draw diagrams if `options` say where."""
    done = [line for line in lines if is_done(line)]
    for protocol, count in sections(done):
        some = [
            line
            for line in done
            if (line["protocol"], line["labels_per_class"]) == (protocol, count)
        ]
        section(some, protocol, count, options)
    if done:
        print_costs(done)
    for state in ("skipped", "failed"):
        reasons = [line for line in lines if state in line and not is_done(line)]
        for what in dict.fromkeys((line["set"], line["fitted"], line[state]) for line in reasons):
            print("{}: {} {}: {}".format(state, *what))
    for note in dict.fromkeys(note for line in done for note in line["notes"]):
        where = dict.fromkeys(line["set"] for line in done if note in line["notes"])
        print(f"note: {note} ({', '.join(where)})")
    looks = sum(line["test_evaluations"] for line in done)
    n_lines = sum(line["test_evaluations"] > 0 for line in done)
    print(f"\n{looks} test evaluations in all, in {n_lines} lines (a probe, or k-means, on a set).")


def sections(lines: list[Line]) -> list[tuple[str, int | None]]:
    """Protocols and label counts: test before development, all labels before few."""
    found = {(line["protocol"], line["labels_per_class"]) for line in lines}
    return sorted(found, key=lambda s: (s[0] != "test", s[1] is not None, s[1] or 0))


def section(lines: list[Line], protocol: str, count: int | None, options: Options) -> None:
    where = "Test set" if protocol == "test" else "Development: folds of the training set"
    what = "all labels" if count is None else f"at most {count} labels a class"
    print(f"\n{where}, {what}\n")
    print_means(lines)
    ours = named(lines, options.ours or default_names(ours=True))
    others = named(lines, options.baselines or default_names(ours=False))
    if options.reference and protocol == "test" and count is None:
        systems, different = published.read(options.reference, lines)
        others += systems
        if different:
            print(f"\nnot compared with published figures, as sizes differ: {', '.join(different)}")
    others = [other for other in others if other.name not in {one.name for one in ours}]
    print_comparisons(ours, others)
    labels = "all" if count is None else str(count)
    print_ranks(ours + others, options.figure, f"{protocol}-{labels}-labels", f"{where}, {what}")


def mean_of(lines: list[Line], value: Callable[[Line], Any], form: str) -> str:
    """Mean over sets of the mean over seeds; blank where there is nothing."""
    by_set: dict[str, list[float]] = {}
    for line in lines:
        found = value(line)
        if found is not None:
            by_set.setdefault(line["set"], []).append(found)
    if not by_set:
        return ""
    return format(float(np.mean([np.mean(values) for values in by_set.values()])), form)


def cluster(line: Line, measure: str) -> float | None:
    """Of test series, in development of the training series."""
    found = line["clusters"]
    if found is None:
        return None
    return found[measure if line["protocol"] == "test" else f"{measure}_train"]


COLUMNS: dict[str, tuple[Callable[[Line], Any], str]] = {
    **{probe: (lambda line, probe=probe: line["accuracy"].get(probe), ".3f") for probe in PROBES},
    "ARI": (lambda line: cluster(line, "ari"), ".3f"),
    "NMI": (lambda line: cluster(line, "nmi"), ".3f"),
    "features": (lambda line: line.get("n_features"), ".0f"),
    "perplexity": (lambda line: line["perplexity"], ".1f"),
    "usage": (lambda line: line.get("usage"), ".3f"),
    "survives": (lambda line: line["reconstruction"], ".3f"),
}


def print_means(lines: list[Line]) -> None:
    """Means over the sets of each row, which are compared only where they are the same."""
    width = max(len(label(line)) for line in lines)
    columns = " ".join(f"{column:>10}" for column in COLUMNS)
    print(f"{'mean over sets':{width}} sets seeds {columns}")
    groups = {}
    for line in lines:
        groups.setdefault(label(line), []).append(line)
    numbers = {name: len({line["set"] for line in mine}) for name, mine in groups.items()}
    for name, mine in groups.items():
        seeds = len({line["seed"] for line in mine})
        cells = " ".join(f"{mean_of(mine, *column):>10}" for column in COLUMNS.values())
        print(f"{name:{width}} {numbers[name]:4} {seeds:5} {cells}")
    if len(set(numbers.values())) > 1:
        print("rows have different sets: see the comparisons below, which share theirs")


def print_comparisons(ours: list[System], others: list[System]) -> None:
    if not ours or not others:
        return
    width = max(len(system.name) for system in ours)
    other_width = max(len(system.name) for system in others)
    print(
        f"\n{'system':{width}} {'against':{other_width}} sets    ours  theirs "
        f"wins/ties/losses  Wilcoxon p (of each pair by itself)"
    )
    for one in ours:
        for other in others:
            pair = compare(one, other)
            if pair is not None:
                score = f"{pair.wins}/{pair.ties}/{pair.losses}"
                print(
                    f"{one.name:{width}} {other.name:{other_width}} {pair.n_sets:4} "
                    f"{pair.means[0]:7.3f} {pair.means[1]:7.3f} {score:>16}  {pair.p:.2g}"
                )


def print_ranks(systems: list[System], figure: Path | None, section: str, title: str) -> None:
    """Average ranks on shared sets and, with `figure`, the diagram."""
    if len(systems) < 3:
        return
    kept, names = comparable(systems)
    left_out = [system.name for system in systems if system not in kept]
    if len(kept) < 3 or len(names) < 2:
        print("\nno ranks: they need three systems on two shared sets")
        return
    ranking = rank(kept, names)
    print(
        f"\naverage ranks on {ranking.n_sets} shared sets; Friedman p {ranking.friedman_p:.2g}; "
        f"critical difference {ranking.critical_difference:.2f} (Nemenyi, level {LEVEL})"
    )
    for name, value in zip(ranking.names, ranking.ranks, strict=True):
        print(f"  {value:5.2f}  {name}")
    if left_out:
        print(f"not ranked, as they have too few of the sets: {', '.join(left_out)}")
    if figure is None:
        return
    if find_spec("matplotlib") is None:
        print('no diagram: matplotlib is not installed (pip install -e ".[plot]")')
        return
    path = figure.with_name(f"{figure.stem}-{section}.png")
    diagram.draw(ranking, path, f"{title}: average ranks on {ranking.n_sets} sets")
    print(f"diagram: {path}")


def print_costs(lines: list[Line]) -> None:
    """CPU seconds; a fit that lines share counts once."""
    fits: dict[str, dict[tuple[Any, ...], float]] = {}
    rows: dict[str, list[float]] = {}
    for line in lines:
        name = line["fitted"]
        seed = line["seed"] if METHODS[name].seeded else None
        key = (line["set"], seed, line["protocol"], str(line["params"]))
        fits.setdefault(name, {})[key] = line["seconds"]["fit"]
        rows.setdefault(name, []).append(line["seconds"]["transform"])
    print(f"\n{'CPU seconds':12} fits  of a fit  of its rows")
    for name, seconds in fits.items():
        mean = float(np.mean(list(seconds.values())))
        print(f"{name:12} {len(seconds):4} {mean:9.2f} {np.mean(rows[name]):12.2f}")
    total = sum(sum(seconds.values()) for seconds in fits.values())
    probes = sum(line["seconds"]["probes"] for line in lines)
    print(f"all fits together {total:.0f}, all probes {probes:.0f}")
