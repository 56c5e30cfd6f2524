"""The command line: files in, files out, one line of stderr and an exit code for what is wrong."""

import csv
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

import vqssl
from vqssl import (
    AnomalyDetector,
    MaskGITGenerator,
    TokenizerClassifier,
    VQTokenizer,
    evaluation,
)
from vqssl._cli import main
from vqssl._from_text import SHORT_NAMES, make_estimator, value_of
from vqssl.augmentations import AUGMENTATIONS
from vqssl.backbones import BACKBONES, PRIOR_BACKBONES, ConvBackbone
from vqssl.datasets import read_series
from vqssl.losses import LOSSES, VICReg
from vqssl.quantizers import QUANTIZERS

ROOT = Path(__file__).parents[1]

SMALL = ["--set", "max_iter=3", "--set", "backbone__width=8", "--set", "device=cpu"]


def waves(n=12, length=24, seed=0):
    """Slow and fast waves, and which is which."""
    labels = np.array(["slow", "fast"] * (n // 2))
    phase = np.random.default_rng(seed).uniform(0, 6.28, (n, 1))
    pace = np.where(labels == "slow", 1, 2)[:, None]
    return np.sin(pace * np.linspace(0, 9, length) + phase).astype(np.float32), labels


X, Y = waves()


class OwnBackbone(ConvBackbone):
    """A part of the user's own."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Data and two fitted models, where all tests of this file work."""
    folder = tmp_path_factory.mktemp("cli")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("folder.csv").mkdir()
        np.savez("waves.npz", X=X, y=Y)
        np.savez("halves.npz", X_train=X, y_train=Y, X_test=X[:4], y_test=Y[:4])
        with open("waves.csv", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([*(f"t{i}" for i in range(X.shape[1])), "kind"])
            writer.writerows([*row, word] for row, word in zip(X.tolist(), Y.tolist(), strict=True))
        fit = ["fit", "waves.npz", "--seed", "0", "--quiet", *SMALL]
        assert main([*fit, "--estimator", "vq", "--set", "n_codes=8", "--out", "vq.vqssl"]) == 0
        frozen = ["--set", "tokenizer=vq.vqssl", "--out", "maskgit.vqssl"]
        assert main([*fit, "--estimator", "maskgit", *frozen]) == 0
    return folder


@pytest.fixture(autouse=True)
def _inside(folder, monkeypatch):
    monkeypatch.chdir(folder)


def run(line):
    return main(shlex.split(line))


# ------------------------------------------------------------------------------------------- fit


def test_fit_gives_what_python_gives(capsys):
    expected = VQTokenizer(
        n_codes=8, max_iter=3, device="cpu", backbone=ConvBackbone(width=8), random_state=0
    ).fit(X)
    fitted = vqssl.load("vq.vqssl")
    assert_array_equal(fitted.encode(X), expected.encode(X))
    assert fitted.get_params(deep=False).keys() == expected.get_params(deep=False).keys()


def test_fit_shows_a_bar_and_a_summary_unless_it_is_quiet(capsys):
    line = f"fit waves.csv --target kind --estimator VQTokenizer {shlex.join(SMALL)} --out a.vqssl"
    assert run(line) == 0
    out, err = capsys.readouterr()
    assert out.startswith("VQTokenizer: 12 series of shape (24,) in ")
    assert out.count("\n") == 1
    assert "3/3" in err
    assert run(f"{line} --quiet") == 0
    assert capsys.readouterr() == ("", "")


def test_bars_of_what_is_inside_are_shown_too(capsys):
    small = "--set tokenizer__max_iter=2 --set tokenizer__n_codes=4 --set max_iter=2"
    line = f"fit waves.npz --estimator maskgit {small} --set backbone__width=8 --out b.vqssl"
    assert run(line) == 0
    err = capsys.readouterr().err
    assert "VQTokenizer (tokenizer)" in err
    assert "SSLVQTokenizer" not in err
    assert "MaskGITGenerator" in err
    inner = vqssl.load("b.vqssl").tokenizer
    # The tokenizer that None stands for, with the parameters that were set.
    assert type(inner) is VQTokenizer
    assert (inner.max_iter, inner.n_codes, inner.difference_weight) == (2, 4, 0.5)


def test_labels_make_a_generator_conditional_unless_they_are_left_out():
    assert vqssl.load("maskgit.vqssl").classes_.tolist() == ["fast", "slow"]
    options = f"--set tokenizer=vq.vqssl {shlex.join(SMALL)} --quiet --out c.vqssl"
    assert run(f"fit waves.npz --estimator maskgit --no-labels {options}") == 0
    assert vqssl.load("c.vqssl").classes_ is None


def test_the_training_part_of_an_npz_is_fitted_on(capsys):
    options = f"--estimator vq {shlex.join(SMALL)} --out d.vqssl"
    assert run(f"fit halves.npz {options}") == 0
    assert "12 series" in capsys.readouterr().out
    assert run(f"fit halves.npz --split test {options}") == 0
    assert "4 series" in capsys.readouterr().out


# ----------------------------------------------------------------------------- estimators from text


def test_every_estimator_has_its_class_and_its_short_name():
    for short, name in SHORT_NAMES.items():
        assert type(make_estimator(short, ())) is getattr(vqssl, name)
        assert type(make_estimator(name.lower(), ())) is getattr(vqssl, name)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("64", 64),
        ("1e-3", 1e-3),
        ("None", None),
        ("True", True),
        ("(8, 16)", (8, 16)),
        ("{'gradient_clip': 0.5}", {"gradient_clip": 0.5}),
        ("vicreg", "vicreg"),
        ("'64'", "64"),
        ("cuda:0", "cuda:0"),
        ("[1, 2", "[1, 2"),
    ],
)
def test_a_value_is_a_literal_or_text(text, value):
    assert value_of(text) == value
    assert type(value_of(text)) is type(value)


def test_a_class_is_an_object_and_a_file_a_frozen_estimator():
    assert isinstance(value_of("VICReg"), VICReg)
    frozen = value_of("vq.vqssl")
    assert isinstance(frozen, FrozenEstimator)
    assert_array_equal(frozen.encode(X), vqssl.load("vq.vqssl").encode(X))


def test_parameters_inside_are_reached_through_names_and_none():
    estimator = make_estimator("ssl", ["ssl__covariance=3", "ssl=vicreg", "quantizer__decay=0.5"])
    assert repr(estimator.ssl) == repr(VICReg(covariance=3))
    assert estimator.quantizer.decay == 0.5
    estimator = make_estimator("anomaly", ["generator__tokenizer__n_codes=4"])
    assert repr(estimator) == repr(AnomalyDetector(MaskGITGenerator(VQTokenizer(n_codes=4))))
    estimator = make_estimator(
        "finetune", ["tokenizer__backbone__width=4", "tokenizer=BandVQTokenizer"]
    )
    assert estimator.tokenizer.backbone.width == 4
    assert type(estimator.tokenizer) is vqssl.BandVQTokenizer


@pytest.mark.parametrize("cls", [MaskGITGenerator, TokenizerClassifier])
def test_what_none_stands_for_gives_the_same_fit_as_none(cls, monkeypatch):
    small = VQTokenizer(max_iter=2, n_codes=4, backbone=ConvBackbone(width=8))
    monkeypatch.setattr(cls, "_default_tokenizer", lambda self: clone(small))
    options = {"max_iter": 2, "random_state": 0}
    first = cls(**options).fit(X, Y).transform(X)
    assert_array_equal(first, cls(clone(small), **options).fit(X, Y).transform(X))


def test_names_of_parts_belong_to_one_part_each():
    registries = [AUGMENTATIONS, BACKBONES, LOSSES, PRIOR_BACKBONES, QUANTIZERS]
    names = [name for registry in registries for name in registry]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("estimator", "assignment", "message"),
    [
        ("vg", "lr=1", "There is no estimator 'vg'; there are ae, anomaly"),
        ("maskgitt", "lr=1", "There is no estimator 'maskgitt'; did you mean maskgit"),
        ("vq", "n_code=3", "VQTokenizer has no parameter 'n_code'; did you mean n_codes?"),
        ("maskgit", "tokenizer__n_code=3", "'tokenizer__n_code'; did you mean tokenizer__n_codes"),
        ("ssl", "ssl__wait=1", "no parameter 'ssl__wait'; there are ssl__"),
        ("vq", "x__y=1", "VQTokenizer has no parameter 'x__y'; there are "),
        ("vq", "lr__y=1", "VQTokenizer has no parameter 'lr__y'; there are "),
        ("vq", "n_codes", "A parameter is set as name=value; got 'n_codes'"),
        ("vq", "=3", "A parameter is set as name=value; got '=3'"),
    ],
)
def test_what_is_not_there_is_named_with_what_is_near(estimator, assignment, message, capsys):
    assert run(f"fit waves.npz --estimator {estimator} --set {assignment} --out x.vqssl") == 2
    assert message in capsys.readouterr().err
    assert not Path("x.vqssl").exists()


def test_parameters_lists_what_set_takes(capsys):
    assert run("parameters maskgit") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "n_steps=12" in lines
    assert "tokenizer__difference_weight=0.5" in lines
    assert lines == [line for line in lines if "=" in line]


# -------------------------------------------------------------------------------- encode, sample


@pytest.mark.parametrize("model", ["vq", "maskgit"])
@pytest.mark.parametrize(
    "data", ["waves.npz", "waves.csv --target kind", "halves.npz --split train"]
)
def test_codes_are_written(model, data, capsys):
    expected = vqssl.load("vq.vqssl").encode(X)
    assert run(f"encode {model}.vqssl {data} --out codes.csv") == 0
    assert capsys.readouterr().out == "codes of 12 series, 12 tokens each, written to codes.csv\n"
    with open("codes.csv", newline="") as file:
        names, *rows = csv.reader(file)
    assert names == [f"token_{i}" for i in range(12)]
    assert_array_equal(np.array(rows, dtype=int), expected)
    assert run(f"encode {model}.vqssl {data} --out codes.npz --quiet") == 0
    assert_array_equal(np.load("codes.npz")["codes"], expected)


def test_the_first_line_is_read_as_header_says(capsys):
    np.savetxt("counted.csv", [np.arange(24), X[0]], fmt="%g", delimiter=",")
    for option, n in (("", 1), ("--header", 1), ("--no-header", 2)):
        assert run(f"encode vq.vqssl counted.csv {option} --out codes.npz") == 0
        assert capsys.readouterr().out.startswith(f"codes of {n} series")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "npz", "parquet"])
def test_drawn_series_are_written_and_can_be_read_again(suffix):
    if suffix == "parquet":
        pytest.importorskip("pyarrow")
    expected = vqssl.load("maskgit.vqssl").sample(3, y="slow", random_state=5)
    assert run(f"sample maskgit.vqssl -n 3 --label slow --seed 5 --out drawn.{suffix}") == 0
    target = "y" if suffix == "npz" else "label"
    series, labels = read_series(f"drawn.{suffix}", target=target)
    assert_array_equal(series.astype(np.float32), expected)
    assert labels.tolist() == ["slow"] * 3
    assert run(f"sample maskgit.vqssl -n 3 --seed 5 --out drawn.{suffix} --quiet") == 0
    series, labels = read_series(f"drawn.{suffix}")
    assert_array_equal(
        series.astype(np.float32), vqssl.load("maskgit.vqssl").sample(3, random_state=5)
    )
    assert labels is None


def test_series_of_several_channels_need_an_npz(capsys):
    np.savez("channels.npz", X=np.stack([X, -X], 1))
    options = "--set latent_dim=2 --set max_iter=2 --set backbone__width=8 --quiet"
    assert run(f"fit channels.npz --estimator vae {options} --out vae.vqssl") == 0
    assert run("sample vae.vqssl -n 2 --out drawn.csv") == 2
    assert "--out must end in .npz for series of shape (2, 24)" in capsys.readouterr().err
    assert run("sample vae.vqssl -n 2 --out drawn.npz") == 0
    assert np.load("drawn.npz")["X"].shape == (2, 2, 24)


def test_a_label_is_found_by_how_it_is_written(capsys):
    np.savez("numbers.npz", X=X, y=np.array([3, 7] * 6))
    options = f"--set tokenizer=vq.vqssl {shlex.join(SMALL)} --quiet"
    assert run(f"fit numbers.npz --estimator maskgit {options} --out e.vqssl") == 0
    assert run("sample e.vqssl --label 7 --out drawn.npz --quiet") == 0
    assert np.load("drawn.npz")["y"].tolist() == [7]
    assert run("sample e.vqssl --label slow --out drawn.npz") == 2
    assert capsys.readouterr().err == "vqssl: error: --label must be one of 3, 7; got slow.\n"


# ---------------------------------------------------------------------------------------- report


def test_report_passes_on_what_it_read(monkeypatch, capsys):
    calls = []

    def write(estimator, X, y, X_test, y_test, path):
        calls.append((estimator, X, y, X_test, y_test))
        Path(path).write_text("<html></html>")

    monkeypatch.setattr(evaluation, "report", write, raising=False)
    for test, part in (("halves.npz", X[:4]), ("waves.npz", X)):
        assert run(f"report maskgit.vqssl halves.npz --test {test} --out page.html") == 0
        assert capsys.readouterr().out == "report on maskgit.vqssl, written to page.html\n"
        estimator, *arrays = calls.pop()
        assert isinstance(estimator, MaskGITGenerator)
        for found, expected in zip(arrays, (X, Y, part, Y[: len(part)]), strict=True):
            assert_array_equal(found, expected)


# ---------------------------------------------------------------------------- classes of one's own


def test_a_class_of_ones_own_is_loaded_when_it_is_trusted(capsys):
    own = VQTokenizer(n_codes=8, max_iter=1, backbone=OwnBackbone(width=8)).fit(X)
    own.save("own.vqssl")
    assert run("encode own.vqssl waves.npz --out codes.csv") == 2
    assert "OwnBackbone" in capsys.readouterr().err
    trusted = f"--trusted {OwnBackbone.__module__}.OwnBackbone"
    assert run(f"encode own.vqssl waves.npz --out codes.npz {trusted}") == 0
    assert_array_equal(np.load("codes.npz")["codes"], own.encode(X))
    options = f"--set tokenizer=own.vqssl {shlex.join(SMALL)} --out f.vqssl --quiet"
    assert run(f"fit waves.npz --estimator maskgit {options} {trusted}") == 0
    assert run("encode own.vqssl waves.npz --out codes.npz --trusted no.such.Class") == 2
    assert "--trusted must be MODULE.CLASS" in capsys.readouterr().err


# ----------------------------------------------------------------- errors, warnings, exit codes


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "vqssl: error: the following arguments are required: COMMAND (see vqssl --help)"),
        ("fit waves.npz", "vqssl fit: error: the following arguments are required: --estimator"),
        ("draw", "vqssl: error: argument COMMAND: invalid choice: 'draw'"),
        ("fit no.csv --estimator vq --out x.vqssl", "no.csv: No such file or directory"),
        ("fit no.npz --estimator vq --out x.vqssl", "no.npz: No such file or directory"),
        ("fit . --estimator vq --out x.vqssl", ". must end in .npz, .ts, .csv"),
        ("fit waves.csv --estimator vq --out x.vqssl", "line 2: 'slow' is no number"),
        ("fit waves.csv --target knd --estimator vq --out x.vqssl", "did you mean 'kind'?"),
        ("fit waves.npz --estimator vq --out x.pkl", "--out must end in .vqssl; got x.pkl"),
        ("fit waves.npz --estimator vq --out no/x.vqssl", "--out must be in a folder that can be"),
        ("encode vq.vqssl waves.npz --out folder.csv", "--out must be a file that can be written"),
        ("fit waves.npz --estimator vq --set lr=-1 --out x.vqssl", "lr must be a finite number"),
        ("fit waves.npz --estimator fcn --no-labels --out x.vqssl", "FCNClassifier learns classes"),
        ("encode no.vqssl waves.npz --out codes.csv", "there is no no.vqssl"),
        ("encode waves.npz waves.npz --out codes.csv", "waves.npz must be a file that the save"),
        ("encode vq.vqssl halves.npz --out codes.csv", "Choose a part with split='train'"),
        ("encode vq.vqssl waves.npz --out codes.txt", "--out must end in .csv, .tsv, .npz, .par"),
        ("sample vq.vqssl --out x.csv", "needs a generator or a VAE; vq.vqssl holds a VQTokenizer"),
        ("sample maskgit.vqssl --label run --out x.csv", "--label must be one of fast, slow; got "),
        ("sample maskgit.vqssl -n 0 --out x.csv", "n_samples must be an integer of at least 1"),
        ("sample maskgit.vqssl -n many --out x.csv", "argument -n/--n-samples: invalid int value"),
        ("report vq.vqssl waves.npz --test waves.npz --out page.txt", "--out must end in .html"),
        ("parameters vqq", "There is no estimator 'vqq'; did you mean vq"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(line, message, capsys):
    assert run(line) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert err.count("\n") == 1
    assert not Path("x.vqssl").exists()


def test_an_estimator_without_codes_is_refused_by_encode(capsys):
    vqssl.VAE(latent_dim=2, max_iter=1, backbone=ConvBackbone(width=8)).fit(X).save("g.vqssl")
    assert run("encode g.vqssl waves.npz --out codes.csv") == 2
    assert "encode needs a tokenizer; g.vqssl holds a VAE" in capsys.readouterr().err
    assert run("sample g.vqssl --label slow --out x.csv") == 2
    assert "--label must be left out: g.vqssl was fitted without labels" in capsys.readouterr().err


def test_a_failure_of_the_work_is_exit_code_1(capsys):
    options = "--set lr=1e30 --set max_iter=20 --set backbone__width=8 --quiet --out x.vqssl"
    assert run(f"fit waves.npz --estimator vae {options}") == 1
    err = capsys.readouterr().err
    assert err.startswith("vqssl: failed: FloatingPointError: The loss became ")
    assert err.count("\n") == 1
    assert not Path("x.vqssl").exists()


def test_a_full_disk_is_exit_code_1(monkeypatch, capsys):
    def full(self, path):
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(VQTokenizer, "save", full)
    assert run(f"fit waves.npz --estimator vq {shlex.join(SMALL)} --quiet --out x.vqssl") == 1
    expected = "vqssl: failed: OSError: x.vqssl: No space left on device (--debug shows where)\n"
    assert capsys.readouterr().err == expected


def test_debug_shows_the_traceback(capsys):
    assert run("fit no.csv --estimator vq --out x.vqssl --debug") == 2
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last):")
    assert err.endswith("vqssl: error: no.csv: No such file or directory\n")


@pytest.mark.filterwarnings("default")
def test_a_warning_is_one_line(capsys):
    np.savez("single.npz", X=X[:1])
    options = f"{shlex.join(SMALL)} --quiet --out h.vqssl"
    assert run(f"fit single.npz --estimator ssl {options}") == 0
    expected = "vqssl: warning: The self-supervised terms are left out: they compare series, "
    err = capsys.readouterr().err
    assert err.startswith(expected)
    assert err.count("\n") == 1


def test_ctrl_c_is_exit_code_130(monkeypatch, capsys):
    def interrupt(self, X, y=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(VQTokenizer, "fit", interrupt)
    assert run("fit waves.npz --estimator vq --out x.vqssl") == 130
    assert capsys.readouterr().err == "vqssl: stopped\n"


# ------------------------------------------------------------------------ help, module, document


def test_help_teaches(capsys):
    assert run("--help") == 0
    text = capsys.readouterr().out
    for word in (".parquet", "--target", "vqssl sample", "Exit codes: 0 done, 1 the work failed"):
        assert word in text
    assert run("fit --help") == 0
    text = capsys.readouterr().out
    for name in vqssl.__all__:
        assert name in text or not isinstance(getattr(vqssl, name), type)
    for word in (*SHORT_NAMES, "--set tokenizer__max_iter=200", "vqssl parameters maskgit"):
        assert word in text
    for command in ("encode", "sample", "report", "parameters"):
        assert run(f"{command} --help") == 0
        assert capsys.readouterr().out.startswith(f"usage: vqssl {command}")


def test_the_module_runs_and_gives_its_exit_code(folder):
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "vqssl"]
    options = {"cwd": folder, "env": env, "capture_output": True, "text": True, "check": False}
    done = subprocess.run([*command, "sample", "vq.vqssl", "--out", "x.npz"], **options)
    assert (done.returncode, done.stdout) == (2, "")
    expected = "vqssl: error: sample needs a generator or a VAE; vq.vqssl holds a VQTokenizer.\n"
    assert done.stderr == expected


def blocks(text, language):
    """Contents of the fenced blocks of a language."""
    parts = text.split("```")[1::2]
    return [part.partition("\n")[2] for part in parts if part.startswith(f"{language}\n")]


def test_the_lines_of_the_document_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pages = []
    monkeypatch.setattr(evaluation, "report", lambda *args, path: pages.append(path), raising=False)
    text = (ROOT / "docs" / "command-line.md").read_text()
    for code in blocks(text, "python"):
        exec(code, {})
    lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        program, *arguments = shlex.split(line, comments=True)
        assert program == "vqssl"
        assert main(arguments) == 0, (line, capsys.readouterr().err)
    assert pages == ["report.html"]
