"""What are the tokens worth: probes on features, against baselines and published results.

    python benchmarks/ucr_probe.py --data FOLDER --datasets all --out ucr.jsonl --n-jobs 4
    python benchmarks/ucr_probe.py --out ucr.jsonl --report --reference published.csv
    python benchmarks/ucr_probe.py --data FOLDER --datasets GunPoint,Trace --protocol cv \\
        --methods raw,ssl --params '{"n_codes": 64}' --out development.jsonl
    python benchmarks/ucr_probe.py --data FOLDER --datasets all --out ucr.jsonl \\
        --labels-per-class 5,10,20 --methods raw,minirocket,ssl

FOLDER holds ``<Name>.npz`` with ``X_train`` (n, channels, length), ``y_train``, ``X_test`` and
``y_test``. Series are taken as they are given; those of the UCR archive are z-normalised.

Methods turn series into rows. They are fitted on all training series, without labels; rows of
test series come from the same transform. Several readouts of one fit are lines of their own.

- ``raw``: the series; its 1-NN is the Euclidean one. ``dtw``: distances, for 1-NN only.
- ``pca``, ``catch22``, ``minirocket``, ``ts2vec``: see the docstrings in ``probe_rows/``.
  catch22, MiniRocket and DTW come from aeon and are skipped, with a reason, where it is not
  installed: ``pip install "aeon>=1.0"``.
- ``vq``, ``ssl``: VQTokenizer and SSLVQTokenizer; lines ``ssl-features``, ``ssl-histogram``
  and ``ssl-latent``. ``--params`` sets their parameters, for example to develop defaults.

Probes classify rows: ``svc`` (defaults), ``tuned`` (C by cross-validation), ``ridge``, ``nn``,
and ``chosen``, which is ``tuned`` or ``ridge`` by cross-validated accuracy on training series.
k-means on the rows, without labels, is compared with the classes (ARI, NMI).

Protocols: ``test`` fits on the training split and judges on the test split. ``cv`` is for
development: folds of the training split are judged, the test split is not read. Every look at
the test split is counted, and ``--report`` says how many there were.

``--labels-per-class 5,10,20`` adds lines whose probes are fitted on so many labelled series of
each class, drawn by the seed, the same for all methods; the tokenizers see all training series.

OUT has one JSON line for each set, method, seed, protocol, number of labels and parameters:
accuracy by probe, how probes were chosen, clusters, CPU seconds (lines that share a fit repeat
its seconds), sizes, versions. What is there is not run again. ``--n-jobs`` runs fits side by
side in processes of one thread each; only the parent writes.

After a run, and with ``--report`` alone, means over sets are printed, then each of our systems
against each baseline and each published column on the sets that both have: wins, ties, losses
and Wilcoxon's p; then average ranks, with ``--report`` also drawn as critical-difference
diagrams beside OUT. A system is a method with a probe: ``--compare ssl-features:svc`` and
``--against raw:chosen,minirocket:ridge`` say which. The defaults are all tokenizers with
``chosen``, and the baselines with the probes they are customarily used with. Published figures
come from other runs and other probes than ours. Sets whose sizes are not the published ones
are left out there.

Time on one core: up to a minute for a tokenizer, half a minute to ten minutes for TS2Vec,
seconds for the others and for the probes; DTW takes n_test * n_train * length**2 / 3e8 seconds,
eight minutes for Wafer. It and TS2Vec run only when named; ``--methods all`` names everything.
"""

import argparse
import json
from pathlib import Path

from joblib import Parallel, delayed, parallel_config
from probe_rows import methods, records, series, systems, tasks
from probe_rows.protocols import PROTOCOLS
from probe_rows.report import Options, report


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="file to write or go on with")
    parser.add_argument("--data", type=Path, help="folder of .npz files")
    parser.add_argument("--datasets", default="all", help="names with commas, or all")
    parser.add_argument(
        "--methods",
        default=methods.DEFAULT,
        help=f"some of {','.join(methods.METHODS)} or of their lines; all; default %(default)s",
    )
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="test")
    parser.add_argument("--labels-per-class", default="", help="such as 5,10,20; default: all")
    parser.add_argument("--params", default="{}", help="parameters of our tokenizers, as JSON")
    parser.add_argument("--n-jobs", type=int, default=1, help="processes of one thread each")
    parser.add_argument("--reference", type=Path, help="CSV of published accuracies")
    parser.add_argument("--compare", help="our systems, method:probe,...")
    parser.add_argument("--against", help="baselines, method:probe,...")
    parser.add_argument("--report", action="store_true", help="only say what the file holds")
    arguments = parser.parse_args()
    for names in filter(None, (arguments.compare, arguments.against)):
        try:
            systems.parse(names)
        except ValueError as error:
            parser.error(str(error))
    if not arguments.report:
        check(arguments, parser)
    return arguments


def check(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> None:
    """Put lists in the place of texts, and leave with a message where that cannot be."""
    if arguments.data is None:
        parser.error("--data is needed, except with --report")
    known = series.names_in(arguments.data)
    names = known if arguments.datasets == "all" else arguments.datasets.split(",")
    missing = [name for name in names if name not in known]
    if missing or not names:
        parser.error(f"--data has no {', '.join(missing) or 'sets'}")
    arguments.datasets = names
    try:
        arguments.methods = methods.lines_of(arguments.methods)
        arguments.seeds = integers(arguments.seeds)
        arguments.labels_per_class = integers(arguments.labels_per_class)
        arguments.params = json.loads(arguments.params)
    except ValueError as error:
        parser.error(str(error))


def integers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def planned(arguments: argparse.Namespace, lines: list[records.Line]) -> list[tasks.Task]:
    """Tasks for the lines that were asked for and are not there."""
    return tasks.plan(
        arguments.data,
        arguments.datasets,
        arguments.methods,
        arguments.seeds,
        arguments.protocol,
        [None, *arguments.labels_per_class],
        arguments.params,
        {records.key(line) for line in lines if records.is_done(line)},
    )


def carry_out(to_do: list[tasks.Task], out: Path, n_jobs: int) -> bool:
    """Run tasks and add their lines to the file; False if one failed."""
    records.mend(out)
    known = records.read(out)  # what was skipped before need not be said again
    is_fine = True
    with parallel_config(backend="loky", inner_max_num_threads=1):
        results = Parallel(n_jobs, return_as="generator_unordered")(
            delayed(tasks.run)(task) for task in to_do
        )
        for i, lines in enumerate(results, start=1):
            for line in lines:
                if line not in known:
                    records.append(out, line)
            print(f"{i} of {len(to_do)}: {summary(lines[0])}", flush=True)
            is_fine &= not any("failed" in line for line in lines)
    return is_fine


def summary(line: records.Line) -> str:
    """What a finished task says of itself."""
    name = f"{line['set']}, {line['fitted']}, seed {line['seed']}"
    for state in ("skipped", "failed"):
        if state in line:
            return f"{name}: {state}: {line[state]}"
    return f"{name}: fit {line['seconds']['fit']:.1f} s"


def main() -> None:
    arguments = arguments_of()
    is_fine = True
    if not arguments.report:
        to_do = planned(arguments, records.read(arguments.out))
        is_fine = carry_out(to_do, arguments.out, arguments.n_jobs)
    options = Options(
        arguments.reference,
        arguments.compare,
        arguments.against,
        arguments.out if arguments.report else None,
    )
    report(records.read(arguments.out), options)
    if not is_fine:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
