"""What encoders that predict their own future hold of spoken digits: which digit, whose voice.

    python benchmarks/spoken_digits.py --data FSDD.npz --out digits.jsonl
    python benchmarks/spoken_digits.py --out digits.jsonl --report
    python benchmarks/spoken_digits.py --data FSDD.npz --protocol cv --n-train 600 \\
        --methods spectrum,gim --params '{"max_iter": 300}' --seeds 0 --out development.jsonl

FSDD.npz holds recordings of the Free Spoken Digit Dataset at 8 kHz: ``X_train`` (n, 1, points)
int16, zero behind the end, ``len_train`` (points that are sound), ``y_train`` (digit),
``speaker_train``, and the same with ``_test``: what ``examples/fetch_spoken_digits.py`` writes.
Recordings are cut in the middle or padded with
zeros to ``--length`` points. A line of the output is one method and seed; what is there is not run
again.

Methods: ``chance``, the share of the most frequent class; ``spectrum``, the logarithm of the power
at 129 frequencies, mean over windows of 256 points; ``gim`` and ``cpc``; ``vgim-BETA`` and
``vcpc-BETA``, the variational forms; ``gim-untrained`` and ``cpc-untrained``, the same networks
with the weights they start from. Encoders see no labels. Of every layer a ridge classifier on the
standardised rows of `transform`, its penalty by leave-one-out, tells digits and speakers; beside
them the information bound, the KL, the active units, and the mean size of the correlations between
units over frames.

Protocols: ``test`` trains on the training split and judges on the test split; ``cv`` judges on a
quarter of the training split, which is then not trained on, and does not read the test split.
``seconds`` are CPU seconds of the encoder's fit on one thread.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from probe_rows.records import mend, read_lines
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import StratifiedShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import vqssl
from vqssl import CPCEncoder, GreedyInfoMaxEncoder

METHODS = (
    "chance,spectrum,gim-untrained,gim,vgim-1e-4,vgim-1e-3,vgim-1e-2,vgim-1e-1,"
    "cpc-untrained,cpc,vcpc-1e-3"
)
ENCODERS = {"cpc": CPCEncoder, "gim": GreedyInfoMaxEncoder}
# Chosen on the training split, see docs/defaults.md: loudness tells voices more than digits.
PARAMS = {"compression": 128, "n_predictions": 12, "scaling": "series"}
WINDOW = 256
FORMS = (("nats", "5.2f"), ("kl", "5.1f"), ("active", "6.0f"), ("correlation", "11.2f"))


def read(path, protocol, n_train, length):
    """Series, digits and speakers to learn from, and the same to judge on."""
    splits = []
    with np.load(path) as file:
        for split in ("train", "test") if protocol == "test" else ("train",):
            X, sizes = file[f"X_{split}"][:, 0], file[f"len_{split}"]
            X = np.stack([fit_length(x[:n], length) for x, n in zip(X, sizes, strict=True)])
            splits.append((X, file[f"y_{split}"], file[f"speaker_{split}"]))
    train = splits[0]
    rows = np.random.default_rng(0).permutation(len(train[0]))[:n_train]
    train = tuple(array[rows] for array in train)
    if protocol == "test":
        return train, splits[1]
    both = train[1] * (train[2].max() + 1) + train[2]
    fit, judge = next(StratifiedShuffleSplit(1, test_size=0.25, random_state=0).split(both, both))
    return tuple(a[fit] for a in train), tuple(a[judge] for a in train)


def fit_length(x, length):
    """The middle of a long recording, a short one with zeros behind it."""
    start = max(0, (len(x) - length) // 2)
    x = x[start : start + length]
    return np.pad(x, (0, length - len(x))).astype(np.float32) / 2**15


def spectrum(X):
    windows = np.lib.stride_tricks.sliding_window_view(X, WINDOW, axis=1)[:, :: WINDOW // 2]
    power = np.abs(np.fft.rfft(windows * np.hanning(WINDOW))) ** 2
    return np.log(power + 1e-6).mean(1)


def probe(Z, Z_judge, train, judge):
    """Accuracies of linear classifiers of digits and speakers."""
    figures = {}
    for name, y, y_judge in zip(("digit", "speaker"), train[1:], judge[1:], strict=True):
        ridge = make_pipeline(StandardScaler(), RidgeClassifierCV(np.logspace(-1, 5, 13)))
        figures[name] = float(ridge.fit(Z, y).score(Z_judge, y_judge))
    return figures


def make_encoder(method, params, seed):
    kind, _, option = method.partition("-")
    settings = PARAMS | params | {"random_state": seed}
    if option == "untrained":
        settings |= {"max_iter": 1, "lr": 1e-30}
    elif option:
        settings |= {"beta": float(option)}
    return ENCODERS[kind.removeprefix("v")](**settings)


def run(method, params, seed, train, judge):
    """Figures of a method, one entry of "layers" for each row of features it gives."""
    if method == "chance":
        shares = [
            np.mean(y == np.bincount(own).argmax())
            for own, y in zip(train[1:], judge[1:], strict=True)
        ]
        return {"layers": [dict(zip(("digit", "speaker"), map(float, shares), strict=True))]}
    if method == "spectrum":
        return {"layers": [probe(spectrum(train[0]), spectrum(judge[0]), train, judge)]}
    encoder = make_encoder(method, params, seed)
    start = time.process_time()
    encoder.fit(train[0])
    figures = {"seconds": time.process_time() - start}
    layers = []
    for layer, n_active in enumerate(encoder.active_units_.tolist()):
        Z, Z_judge = (encoder.transform(X, layer=layer) for X in (train[0], judge[0]))
        pairs = np.triu_indices(encoder.correlation_.shape[1], 1)
        correlation = float(np.abs(encoder.correlation_[layer][pairs]).mean())
        found = {"active": n_active, "correlation": correlation}
        layers.append({**probe(Z, Z_judge, train, judge), **found})
    # Losses belong to the last layers but for the context of CPC, which has none of its own.
    n_losses = len(encoder.mutual_information_)
    first = 0 if n_losses > 1 else len(layers) - 2
    for i, value in enumerate(encoder.mutual_information_.tolist()):
        layers[first + i]["nats"] = value
        if hasattr(encoder, "kl_"):
            layers[first + i]["kl"] = float(encoder.kl_[i])
    return figures | {"layers": layers}


def report(lines):
    print(
        "method           layer   digit        speaker      nats    kl  active  correlation  "
        "seconds  seeds"
    )
    for method in dict.fromkeys(line["method"] for line in lines):
        own = [line for line in lines if line["method"] == method]
        for layer in range(len(own[0]["layers"])):
            cells = []
            for name in ("digit", "speaker"):
                values = [line["layers"][layer][name] for line in own]
                cells.append(f"{np.mean(values):.3f} ±{np.std(values):.3f}")
            for name, form in FORMS:
                values = [line["layers"][layer].get(name, np.nan) for line in own]
                cells.append(format(np.mean(values), form).replace("nan", "  -"))
            seconds = np.mean([line.get("seconds", np.nan) for line in own])
            cells.append(f"{seconds:8.0f}".replace("nan", "  -"))
            print(f"{method:16} {layer:5}   {'  '.join(cells)}  {len(own):5}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the .npz file")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--protocol", choices=("test", "cv"), default="test")
    parser.add_argument("--length", type=int, default=4096, help="points, 1024 to 8192")
    parser.add_argument("--n-train", type=int, help="recordings of the training split at most")
    parser.add_argument("--params", type=json.loads, default={}, help="of the encoders, as JSON")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--report", action="store_true", help="only print what the output holds")
    arguments = parser.parse_args()
    if not arguments.report and arguments.data is None:
        parser.error("--data is needed")
    if not 1024 <= arguments.length <= 8192:
        parser.error("--length must be from 1024 to 8192")

    torch.set_num_threads(1)
    if not arguments.report:
        setting = {
            "protocol": arguments.protocol,
            "length": arguments.length,
            "n_train": arguments.n_train,
            "params": arguments.params,
        }
        mend(arguments.out)
        lines = read_lines(arguments.out, arguments.protocol)
        if any({key: line[key] for key in setting} != setting for line in lines):
            parser.error("the output holds lines of other settings; name another file")
        done = {(line["method"], line["seed"]) for line in lines}
        train, judge = read(arguments.data, arguments.protocol, arguments.n_train, arguments.length)
        for seed in map(int, arguments.seeds.split(",")):
            for method in arguments.methods.split(","):
                if (method, seed) in done:
                    continue
                figures = run(method, arguments.params, seed, train, judge)
                versions = {"vqssl": vqssl.__version__, "torch": torch.__version__}
                line = {"method": method, "seed": seed, **setting, **figures, "versions": versions}
                with arguments.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
                print(f"{method} seed {seed}", flush=True)
    report(read_lines(arguments.out, arguments.protocol))


if __name__ == "__main__":
    main()
