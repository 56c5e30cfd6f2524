"""What a call of report does beside the page: errors before any work, nothing left behind."""

import copy
import pathlib
import re
import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import vqssl.reports
from vqssl import VQTokenizer
from vqssl.evaluation import report


@pytest.fixture
def path(tmp_path):
    return tmp_path / "report.html"


def test_the_path_is_returned_and_an_earlier_file_replaced(path, models, series):
    path.write_text("before")
    found = report(models.classifier, *series.split[:2], path=str(path), random_state=0)
    assert found == path
    assert isinstance(found, pathlib.Path)
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_steps_may_be_chosen_by_the_number_of_series(path, models, series):
    classifier = copy.deepcopy(models.classifier).set_params(max_iter="auto")
    report(classifier, *series.split[:2], path=path, random_state=0)
    assert "10 of 10" in path.read_text(encoding="utf-8")


def test_what_is_masked_is_missing(path, models, series):
    X, y = series.split[:2]
    masked = np.ma.array(np.where(np.arange(24)[:, None] == 3, 1e6, X), mask=False)
    masked[3] = np.ma.masked
    report(models.classifier, masked, y, path=path, random_state=0)
    frame = pd.DataFrame(np.where(np.arange(24)[:, None] == 3, np.nan, X)).astype("Float64")
    other = path.with_name("other.html")
    report(models.classifier, frame, y, path=other, random_state=0)
    for file in (path, other):
        assert re.search(r"missing values.{0,80}?>1<", file.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"estimator": VQTokenizer()}, NotFittedError, "not fitted"),
        ({"estimator": VQTokenizer}, TypeError, "estimator must be a fitted estimator of vqssl"),
        ({"estimator": PCA()}, TypeError, "estimator must be a fitted estimator of vqssl"),
        ({"estimator": make_pipeline(PCA())}, TypeError, "of a pipeline pass one step"),
        ({"X": np.zeros((24, 36))}, ValueError, "X has series of shape .1, 36., but MaskGIT"),
        ({"X": np.zeros(37)}, ValueError, "X must have shape"),
        ({"X": [["a"] * 37] * 24}, ValueError, "X must hold real numbers"),
        ({"X": np.full((24, 37), np.inf)}, ValueError, "Input X contains infinity"),
        ({"X": np.full((24, 37), np.nan)}, ValueError, "X must have series without missing"),
        ({"X_test": np.zeros((24, 36))}, ValueError, "X_test has series of shape .1, 36., but"),
        ({"X_test": np.zeros((24, 2, 37))}, ValueError, "X_test has series of shape .2, 37., but"),
        ({"X_test": np.full((24, 37), np.inf)}, ValueError, "Input X_test contains infinity"),
        ({"y": None, "y_test": None}, ValueError, "y must be given: MaskGITGenerator was fitted"),
        ({"y": ["x"] * 24}, ValueError, "y must hold classes of the fit; got .'x'."),
        ({"y": ["x"] * 23}, ValueError, "y must have 24 labels, one per series; got 23"),
        ({"y_test": None}, ValueError, "y_test must be given where y and X_test are"),
        ({"X_test": None}, ValueError, "y_test must be given together with y and X_test"),
        ({"y_test": ["x"] * 24}, ValueError, "y_test must hold classes of the fit"),
        ({"n_samples": 0}, ValueError, "n_samples must be an integer of at least 1; got 0"),
        ({"n_samples": 9.5}, TypeError, "n_samples must be an integer of at least 1; got 9.5"),
        ({"title": 3}, TypeError, "title must be None or text; got 3"),
        ({"random_state": "x"}, ValueError, "cannot be used to seed"),
        ({"path": 3}, TypeError, "path must be a str or os.PathLike; got 3"),
        ({"path": "/nowhere/at/all/report.html"}, FileNotFoundError, "path must be in a folder"),
    ],
)
def test_what_is_wrong_is_refused_before_any_work(
    change, error, message, path, models, series, monkeypatch
):
    monkeypatch.setattr("vqssl.reports._report._make", lambda *args: pytest.fail("work was done"))
    X, y, X_test, y_test = series.split
    given = {"estimator": models.generator, "X": X, "y": y, "X_test": X_test, "y_test": y_test}
    with pytest.raises(error, match=message):
        report(**({**given, "path": path} | change))
    assert not path.exists()


def test_a_folder_is_no_file(tmp_path, models, series):
    with pytest.raises(IsADirectoryError, match="path must be a file; got the folder"):
        report(models.vae, series.X[:24], path=tmp_path)


def test_an_error_in_the_middle_leaves_the_earlier_page(path, models, series, monkeypatch):
    def fail(*args):
        raise RuntimeError("in the middle")

    path.write_text("before")
    monkeypatch.setattr("vqssl.reports._report.training_section", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        report(models.vae, series.X[:24], path=path)
    assert path.read_text() == "before"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert not plt.get_fignums()


def test_without_matplotlib_the_error_names_the_extra(path, models, series, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install vqssl\[plot\]"):
        report(models.vae, series.X[:24], path=path)
    assert not path.exists()


def test_global_generators_settings_and_figures_stay_as_they_were(path, models, series):
    with mpl.rc_context({"lines.linewidth": 7}):
        figure = plt.figure()
        settings = dict(mpl.rcParams)
        numbers, tensors = np.random.get_state()[1].tolist(), torch.random.get_rng_state()  # noqa: NPY002
        report(models.classifier, *series.split, path=path, random_state=np.random.RandomState(0))
        assert dict(mpl.rcParams) == settings
        assert plt.get_fignums() == [figure.number]
        assert plt.gcf() is figure
    assert np.random.get_state()[1].tolist() == numbers  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), tensors)


def test_the_style_of_the_user_does_not_matter(path, models, series):
    given = {"X": series.X[:24], "y": series.y[:24], "path": path, "random_state": 0}
    plain = report(models.classifier, **given).read_text(encoding="utf-8")
    with plt.style.context("dark_background"):
        dark = report(models.classifier, **given).read_text(encoding="utf-8")
    end = '<section id="timings"'
    assert dark.partition(end)[0] == plain.partition(end)[0]


def test_it_is_reached_by_evaluation_which_does_not_load_it():
    assert report is vqssl.reports.report
    code = (
        "import sys, vqssl.evaluation\n"
        "assert not [name for name in sys.modules if name.startswith('vqssl.reports')]\n"
        "assert not [name for name in sys.modules if name.startswith('vqssl.plots')]\n"
        "from vqssl.evaluation import report\n"
        "assert 'matplotlib' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="has no attribute 'reports'"):
        vqssl.evaluation.reports  # noqa: B018


def test_an_unfitted_clone_is_refused(path, models, series):
    with pytest.raises(NotFittedError):
        report(clone(models.detector), series.X[:24], path=path)
