"""Pages, read by a parser: whole, accessible, alone, and true to what was measured elsewhere."""

import itertools
import re

import numpy as np
import pytest
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from tests.reports.conftest import CLASSES, KINDS, Models
from tests.reports.reading import Page
from vqssl import VQTokenizer
from vqssl.evaluation import report
from vqssl.reports._channels import values_of_channels
from vqssl.reports._classes import support_vectors
from vqssl.reports._findings import percent, short
from vqssl.tokenizers import BaseTokenizer

EVERY = ["Findings", "Data", "Training", "Parameters", "Timings"]
SECTIONS = {
    "tokenizer": ["Reconstruction", "Codes", "Classes"],
    "levels": ["Reconstruction", "Codes", "Features"],
    "generator": ["Reconstruction", "Codes", "Classes", "Drawn series", "Filled gaps"],
    "image_generator": ["Reconstruction", "Codes", "Features", "Drawn series", "Filled gaps"],
    "detector": ["Anomalies", "Reconstruction", "Codes", "Classes"],
    "vae": ["Reconstruction", "Latents", "Classes", "Drawn series"],
    "encoder": ["Reconstruction", "Frames", "Classes"],
    "classifier": ["Classes"],
    "tuned": ["Reconstruction", "Codes", "Classes"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_there_is_a_section_for_what_the_estimator_can_do_and_no_other(kind, page_of):
    page = page_of(kind)
    assert sorted(page.titles()) == sorted(EVERY + SECTIONS[kind])
    links = [str(link) for link in page.all("a") if "nav" in link.parents]
    assert links == page.titles()


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_loads_nothing_and_runs_nothing(kind, page_file):
    source = page_file(kind).read_text(encoding="utf-8")
    page = Page(source)
    assert not page.all("script")
    for element in page.elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on")
            if name == "src":
                assert re.match("data:image/(png|svg[+]xml);base64,[A-Za-z0-9+/=]+$", value)
            if name == "href":
                assert value[0] == "#" or value == "data:,"
    without_data = re.sub('"data:[^"]*"', '""', source)
    assert "url(" not in without_data
    assert "@import" not in without_data
    assert "://" not in without_data
    assert len(source) < 3e6


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_can_be_read_without_being_seen(kind, page_of):
    page = page_of(kind)
    assert page.all("html")[0].attributes["lang"] == "en"
    assert str(page.all("title")[0]) == str(page.all("h1")[0]) == kind
    levels = [int(one.tag[1]) for one in page.elements if re.fullmatch("h[1-6]", one.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    ids = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert len(ids) == len(set(ids))
    for element in page.elements:
        if (target := element.attributes.get("href", "")).startswith("#"):
            assert target[1:] in ids
        if label := element.attributes.get("aria-labelledby"):
            assert label in ids
    pictures = page.all("img")
    assert pictures
    for picture in pictures:
        assert re.search("[0-9]", picture.attributes["alt"]), picture.attributes["alt"]
        assert int(picture.attributes["width"]) > 0
        assert int(picture.attributes["height"]) > 0
    assert len(page.all("figcaption")) == len(pictures)
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(cell.attributes["scope"] in ("row", "col") for cell in page.all("th"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_row_of_a_table_has_as_many_cells_as_its_head(kind, page_of):
    widths: list[list[int]] = []
    for element in page_of(kind).elements:
        if element.tag == "table":
            widths.append([])
        elif element.tag == "tr":
            widths[-1].append(0)
        elif element.tag in ("td", "th"):
            widths[-1][-1] += 1
    assert all(len(set(rows)) == 1 and len(rows) > 1 for rows in widths)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_trained_but_networks_that_judge_drawn_series(kind, page_file, trained):
    page_file(kind)
    # On real series, and on drawn ones where they are drawn by class.
    n_judges = {"generator": 2, "vae": 1}.get(kind, 0)
    assert trained[kind] == ["FCNClassifier"] * n_judges


def test_the_estimator_does_not_change(page_file, models):
    page_file("generator")
    again = Models(models.series)
    for part in ("tokenizer", "generator"):
        after, fresh = (getattr(some, part).model_.state_dict() for some in (models, again))
        assert all(torch.equal(after[name], value) for name, value in fresh.items())


def test_names_of_classes_are_text(page_of):
    page = page_of("tokenizer")
    assert not page.all("slow")
    assert page.row(f"class {CLASSES[0]}") == ["12 (50%)", "12 (50%)"]
    assert page.row(f"class {CLASSES[1]}") == ["12 (50%)", "12 (50%)"]


def test_the_variation_that_survives_is_the_score_of_the_tokenizer(page_of, models, series):
    X, _, X_test, _ = series.split
    scores = [models.tokenizer.score(some) for some in (X, X_test)]
    assert page_of("tokenizer").row("variation that survives") == list(map(percent, scores))
    errors = [models.tokenizer.reconstruction_error(some).mean() ** 0.5 for some in (X, X_test)]
    assert page_of("tokenizer").row("root mean squared error") == list(map(short, errors))


def test_codes_are_counted_group_by_group(page_of, models, series):
    codes = models.levels.encode(series.X[:24])
    groups = models.levels.token_groups_
    page = page_of("levels")
    assert page.row("tokens of a series") == [str(codes[:, group].shape[1]) for group in groups]
    used = [str(len(np.unique(codes[:, group]))) for group in groups]
    assert page.row("codes that training series use") == used
    assert page.row("perplexity") == [f"{p:.1f}" for p in models.levels.perplexity_]


def test_accuracies_are_those_of_plain_classifiers(page_of, models, series):
    X, y, X_test, y_test = series.split
    page = page_of("tokenizer")
    features = models.tokenizer.transform
    svc = SVC().fit(features(X), y).score(features(X_test), y_test)
    neighbour = KNeighborsClassifier(1).fit(X, y).score(X_test, y_test)
    assert page.row("SVC on features")[0] == percent(svc)
    assert page.row("nearest neighbour")[0] == percent(neighbour)
    assert page.row("guessing")[0] == "50%"
    accuracy = percent(models.classifier.score(X_test, y_test))
    assert page_of("classifier").row("FCNClassifier")[0] == accuracy


def test_a_support_vector_machine_answers_as_scikit_learns():
    rng = np.random.default_rng(0)
    Z, Z_test = rng.normal(size=(2, 60, 300))
    y = np.where(Z[:, :9].sum(1) > 0, "up", "down")
    np.testing.assert_array_equal(support_vectors(Z, y, Z_test), SVC().fit(Z, y).predict(Z_test))


def test_anomalies_are_those_of_the_detector(page_of, models, series):
    page = page_of("detector")
    X, _, X_test, _ = series.split
    for name, some in (("training set", X), ("test set", X_test)):
        n_below = int((models.detector.predict(some) == -1).sum())
        assert page.row(name) == [f"{n_below} of 24", percent(n_below / 24)]
    scores = models.detector.score_samples(X_test)
    assert page.row(f"series {scores.argmin()}") == [f"{short(scores.min())} nats"]


def test_drawn_series_stand_beside_real_ones(page_of):
    page = page_of("generator")
    for name in ("Frechet distance", "precision", "coverage", "told apart", "accuracy of what"):
        drawn, real = page.row(name)
        assert drawn != ""
        assert real != ""
    assert page.row("distance to the training series")[1] == "1.00"
    # A prior of ten steps has learned next to nothing.
    assert any("Frechet distance" in finding for finding in page.findings())


def test_dimensions_of_a_vae_are_those_it_tells_of(page_of, models):
    nats = models.vae.kl_per_dimension_
    busiest = int(nats.argmax())
    assert page_of("vae").row(f"dimension {busiest}") == [short(float(nats[busiest]))]


def test_an_encoder_tells_its_bound(page_of, models):
    bound = float(models.encoder.mutual_information_[0])
    assert page_of("encoder").row("contexts")[0] == f"{short(bound)} nats"


def test_parameters_are_all_there_those_that_were_changed_first(page_of, models):
    page = page_of("tokenizer")
    for name, value in models.tokenizer.get_params().items():
        assert page.row(name)[0].startswith(repr(value))
    assert page.row("n_codes") == ["8default: 128"]
    bold = [str(one) for one in page.all("b")]
    assert bold == ["4", "10", "8", "0"]  # code_dim, max_iter, n_codes, random_state


def test_what_is_wrong_with_the_data_is_found(tmp_path, series):
    X, y, X_test, y_test = (np.array(part) for part in series.split)
    X[1] = X[3]
    X_test[5] = X[7]
    X_gaps = np.concatenate([X, X[:2]])
    X_gaps[24:, 4] = np.nan
    y_gaps = np.concatenate([y, y[:2]])
    tokenizer = VQTokenizer(n_codes=64, code_dim=4, max_iter=1, random_state=0).fit(X)
    path = report(tokenizer, X_gaps, y_gaps, X_test, y_test, tmp_path / "a.html", random_state=0)
    page = Page(path.read_text(encoding="utf-8"))
    found = " ".join(page.findings())
    assert "2 of 26 series in the training set (8%) have missing values" in found
    assert "1 of 26 training series is an exact copy of another." in found
    assert "1 of 24 test series is in the training set, too." in found
    n_used = len(np.unique(tokenizer.encode(X)))
    assert f"{64 - n_used} of 64 codes are unused." in found
    assert page.row("with missing values") == ["2", "0"]
    assert "computed from 24 of 26 training series" in str(page.all("main")[0])


def test_a_seed_decides_the_page_and_frozen_estimators_are_taken_for_themselves(
    tmp_path, page_file, models, series
):
    frozen = FrozenEstimator(models.classifier)

    def page(random_state, n_samples):
        options = {"random_state": random_state, "n_samples": n_samples, "title": "classifier"}
        return unchanging(report(frozen, *series.split, path=tmp_path / "a.html", **options))

    assert page(0, 24) == unchanging(page_file("classifier"))
    assert page(0, 8) != page(1, 8)


def unchanging(path):
    """A page without the section of timings and what comes after."""
    return path.read_text(encoding="utf-8").partition('<section id="timings"')[0]


@pytest.mark.parametrize("block", [30, 2**20])
def test_values_of_channels_are_those_of_numpy(block, monkeypatch):
    monkeypatch.setattr("vqssl.reports._channels._BLOCK", block)
    X = np.random.default_rng(0).normal(1e3, size=(7, 2, 9)).astype(np.float32)
    X[2, 1, 3:5] = np.nan
    X[5] = np.nan
    found = values_of_channels(X)
    flat = X.astype(np.float64).transpose(1, 0, 2).reshape(2, -1)
    for name, function in (("mean", np.nanmean), ("deviation", np.nanstd), ("low", np.nanmin)):
        np.testing.assert_allclose(getattr(found, name), function(flat, axis=1), rtol=1e-12)
    np.testing.assert_array_equal(found.high, np.nanmax(flat, axis=1))


def test_few_series_are_enough(tmp_path, models, series):
    few = (part[:1] for part in series.split)
    path = report(models.generator, *few, path=tmp_path / "few.html", random_state=0)
    page = Page(path.read_text(encoding="utf-8"))
    assert "To judge them, give X_test with at least 6 series." in str(page.all("main")[0])


def test_numbers_of_series_are_their_places_in_what_was_given(models, series):
    from vqssl.reports._sets import check_sets
    from vqssl.reports._subject import check_subject

    X, y, *_ = series.split
    sets = check_sets(check_subject(models.tokenizer), X, y, None, None, 7, 0)
    assert len(sets.train.numbers) == 7
    np.testing.assert_array_equal(sets.train.X[:, 0], X[sets.train.numbers])
    np.testing.assert_array_equal(sets.train.y, y[sets.train.numbers])


def test_tokens_of_a_tokenizer_of_ones_own_need_no_codebook(tmp_path, series):
    from tests.evaluation.stubs import Grid
    from tests.reports.conftest import small_prior

    X = series.X[:24, :12]
    generator = small_prior(Grid(n_codes=16)).fit(X)
    assert not isinstance(generator.tokenizer_, BaseTokenizer)
    path = report(generator, X, path=tmp_path / "own.html", random_state=0)
    titles = Page(path.read_text(encoding="utf-8")).titles()
    assert {"Reconstruction", "Codes", "Drawn series"} <= set(titles)
    assert "Features" not in titles
