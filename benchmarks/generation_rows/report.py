"""Tables of what a file of lines holds, and the bars."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

Line = dict[str, Any]

COLUMNS = {
    "fid": "fid",
    "fid_floor": "floor",
    "kid": "kid",
    "inception_score": "is",
    "inception_score_test": "is test",
    "classification_accuracy_score": "cas",
    "train_real_test_real": "trtr",
    "coverage": "cover",
    "coverage_floor": "floor",
    "discriminative_score": "discr",
    "memorization_ratio": "memor",
    "seconds": "fit s",
}
# Sets with fewer training series are not held to the bars on accuracy and copies.
ENOUGH = 100


def mean(lines: list[Line], name: str) -> float:
    values = [line[name] for line in lines if line.get(name) is not None]
    return float(np.mean(values)) if values else float("nan")


def deviation(lines: list[Line], name: str) -> float:
    values = [line[name] for line in lines if line.get(name) is not None]
    return float(np.std(values)) if values else float("nan")


def groups(lines: list[Line]) -> dict[tuple[str, str], list[Line]]:
    """Lines of all seeds by set and method."""
    found: dict[tuple[str, str], list[Line]] = {}
    for line in sorted(lines, key=lambda line: (line["set"], line["method"], line["seed"])):
        found.setdefault((line["set"], line["method"]), []).append(line)
    return found


def report(lines: list[Line], reference: Path | None) -> None:
    generation = [line for line in lines if "fid" in line]
    if generation:
        print_table(generation)
        print_bars(generation, published(reference))
    gaps = [line for line in lines if "gap_error" in line]
    if gaps:
        print_gaps(gaps)
    anomalies = [line for line in lines if "auc" in line]
    if anomalies:
        print_anomalies(anomalies)
    judged = "the test split" if lines and lines[0]["protocol"] == "test" else "training series"
    print(f"\n{len(lines)} lines, each judged once on {judged}.")


def print_table(lines: list[Line]) -> None:
    names = " ".join(f"{name:>8}" for name in COLUMNS.values())
    print(f"{'set':22} {'method':18} n {names}")
    for (data, method), mine in groups(lines).items():
        cells = " ".join(f"{mean(mine, name):8.3f}" for name in COLUMNS)
        print(f"{data:22} {method:18} {len(mine)} {cells}")
    print("\nmean over sets (and mean over sets of the deviation over seeds)")
    for method in dict.fromkeys(line["method"] for line in lines):
        mine = [some for (_, name), some in groups(lines).items() if name == method]
        cells = []
        for name in COLUMNS:
            spread = np.mean([deviation(some, name) for some in mine])
            cells.append(f"{np.mean([mean(some, name) for some in mine]):8.3f} ({spread:.3f})")
        print(f"{method:18} {len(mine)} sets " + " ".join(cells))


def print_bars(lines: list[Line], published_cas: dict[str, float]) -> None:
    by_key = groups(lines)
    named = dict.fromkeys(line["method"] for line in lines)
    methods = [name for name in named if name.startswith(("maskgit", "autoregressive"))]
    print("\nagainst the bars, means over seeds")
    for method in methods:
        mine = {data: some for (data, name), some in by_key.items() if name == method}
        large = {data: some for data, some in mine.items() if some[0]["n_train"] >= ENOUGH}

        def ratio(some: list[Line], above: str, below: str) -> float:
            return mean(some, above) / mean(some, below)

        cas = {
            data: ratio(some, "classification_accuracy_score", "train_real_test_real")
            for data, some in mine.items()
        }
        coverage = {data: ratio(some, "coverage", "coverage_floor") for data, some in mine.items()}
        print(f"\n{method}, {len(mine)} sets, {len(large)} of them of {ENOUGH} series or more")
        if large:
            worst = min(large, key=lambda data: cas[data])
            print(f"  CAS / TRTR: lowest of the large {cas[worst]:.3f} ({worst}; bar .85)")
        print(f"  CAS / TRTR: mean {np.mean(list(cas.values())):.3f} (bar .95)")
        if shared := [data for data in mine if data in published_cas]:
            level = [
                data
                for data in shared
                if mean(mine[data], "classification_accuracy_score") >= published_cas[data]
            ]
            told = ", ".join(
                f"{data} {mean(mine[data], 'classification_accuracy_score'):.3f} "
                f"(published {published_cas[data]:.3f})"
                for data in shared
            )
            print(f"  CAS level with TimeVQVAE's or above on {len(level)} of {len(shared)}: {told}")
        worst = min(coverage, key=lambda data: coverage[data])
        print(
            f"  coverage / floor: mean {np.mean(list(coverage.values())):.3f}, lowest "
            f"{coverage[worst]:.3f} ({worst}; bar .6)"
        )
        if large:
            memory = {data: mean(some, "memorization_ratio") for data, some in large.items()}
            worst = min(memory, key=lambda data: memory[data])
            print(f"  memorisation: lowest of the large {memory[worst]:.3f} ({worst}; bar .7)")
        mixtures = [data for data in mine if (data, "mixture") in by_key]
        below = [
            data
            for data in mixtures
            if mean(mine[data], "fid") < mean(by_key[data, "mixture"], "fid")
        ]
        print(f"  FID below the mixture's on {len(below)} of {len(mixtures)} (bar 8 of 10)")


def print_gaps(lines: list[Line]) -> None:
    names = (
        "gap_error",
        "gap_error_one_draw",
        "gap_error_linear",
        "gap_error_mean",
        "gap_error_neighbours",
    )
    print("\ngaps of 30 percent: root mean squared error of the mean of 10 draws, and others")
    heads = ("ours", "one draw", "linear", "mean", "k-NN")
    print(f"{'set':22} {'method':18} n " + " ".join(f"{head:>8}" for head in heads))
    better: dict[str, list[tuple[bool, bool]]] = {}
    for (data, method), mine in groups(lines).items():
        values = [mean(mine, name) for name in names]
        cells = " ".join(f"{value:8.3f}" for value in values)
        print(f"{data:22} {method:18} {len(mine)} {cells}")
        ours, _, linear, flat, nearest = values
        better.setdefault(method, []).append((ours < min(linear, flat), ours < nearest))
    for method, wins in better.items():
        over_simple, over_nearest = np.sum(wins, axis=0)
        print(
            f"{method}: lower than linear and mean on {over_simple} of {len(wins)} sets (bar two "
            f"thirds), than the nearest neighbours on {over_nearest}"
        )


def print_anomalies(lines: list[Line]) -> None:
    print("\none class normal: area under the curve on test series")
    print(f"{'set':22} n {'normal':>7} {'ours':>8} {'forest':>8} {'1-NN':>8}")
    wins = []
    for (data, _), mine in groups(lines).items():
        ours, forest, nearest = (mean(mine, n) for n in ("auc", "auc_forest", "auc_neighbour"))
        normal = mine[0]["n_normal"]
        print(f"{data:22} {len(mine)} {normal:7d} {ours:8.3f} {forest:8.3f} {nearest:8.3f}")
        wins.append((ours > forest, ours > nearest))
    over_forest, over_nearest = np.sum(wins, axis=0)
    print(
        f"above isolation forest on {over_forest} of {len(wins)} sets (bar: most), above the "
        f"nearest neighbour on {over_nearest}"
    )


def published(path: Path | None) -> dict[str, float]:
    """Published CAS of TimeVQVAE by set, in [0, 1]."""
    if path is None:
        return {}
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["dataset"]: float(row["mean"]) / 100
        for row in rows
        if row["method"].startswith("TimeVQVAE") and row["metric"] == "cas"
    }
