"""The download of spoken digits: what is not the recordings it should be is refused."""

import importlib.util
import io
import tarfile
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

SCRIPT = Path(__file__).parents[2] / "examples" / "fetch_spoken_digits.py"


@pytest.fixture
def script():
    spec = importlib.util.spec_from_file_location("fetch_spoken_digits", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pack(recordings, rate=8000):
    """An archive as GitHub makes them, of samples by name."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as files:
        for name, samples in {**recordings, "readme.txt": np.zeros(3, "<i2")}.items():
            sound = io.BytesIO()
            with wave.open(sound, "wb") as file:
                file.setparams((1, 2, rate, 0, "NONE", ""))
                file.writeframes(np.asarray(samples, "<i2").tobytes())
            member = tarfile.TarInfo(f"digits-1.0.10/recordings/{name}")
            member.size = len(sound.getvalue())
            files.addfile(member, io.BytesIO(sound.getvalue()))
    return archive.getvalue()


RECORDINGS = {"3_theo_12.wav": [1, -2, 3], "3_jackson_4.wav": [-7, 8, 32767, -32768]}


def test_other_recordings_are_refused(script):
    with pytest.raises(ValueError, match=r"must hold the 3,000 recordings .* it holds 2, with"):
        script.read_recordings(pack(RECORDINGS))


def test_one_changed_sample_is_noticed(script, monkeypatch):
    own = {name: np.array(samples) for name, samples in sorted(RECORDINGS.items())}
    monkeypatch.setattr(script, "SHA256", script.checksum(own))
    read = script.read_recordings(pack(RECORDINGS))
    assert list(read) == ["3_jackson_4.wav", "3_theo_12.wav"]
    with pytest.raises(ValueError, match="checksum"):
        script.read_recordings(pack({**RECORDINGS, "3_theo_12.wav": [1, -2, 4]}))


def test_a_sample_cannot_pass_from_one_recording_to_the_next(script):
    first = {"a": np.array([1, 2], "<i2"), "b": np.array([3], "<i2")}
    second = {"a": np.array([1], "<i2"), "b": np.array([2, 3], "<i2")}
    assert script.checksum(first) != script.checksum(second)


def test_another_sample_rate_is_refused(script):
    with pytest.raises(ValueError, match=r"3_theo_12\.wav must be 16 bits mono at 8 kHz"):
        script.read_recordings(pack({"3_theo_12.wav": [1, 2]}, rate=16000))


def test_the_first_five_takes_are_the_test_set(script):
    arrays = script.split({name: np.array(samples) for name, samples in RECORDINGS.items()})
    assert_array_equal(arrays["X_train"], [[[1, -2, 3, 0]]])
    assert_array_equal(arrays["X_test"], [[[-7, 8, 32767, -32768]]])
    assert [arrays[f"len_{part}"].tolist() for part in ("train", "test")] == [[3], [4]]
    assert [arrays[f"take_{part}"].tolist() for part in ("train", "test")] == [[12], [4]]
    assert arrays["speakers"][arrays["speaker_train"]].tolist() == ["theo"]
    assert arrays["y_train"].tolist() == [3]


def test_a_file_that_is_there_is_not_downloaded_again(script, monkeypatch, tmp_path):
    path = tmp_path / "digits.npz"
    monkeypatch.setattr(script, "read_recordings", lambda archive: RECORDINGS)
    monkeypatch.setattr(script, "split", lambda recordings: {"n": np.array(len(recordings))})
    asked = []

    def answer(url, timeout):
        asked.append(url)
        return io.BytesIO(b"")

    monkeypatch.setattr("urllib.request.urlopen", answer)
    assert script.fetch(path)["n"] == script.fetch(path)["n"] == 2
    assert asked == [script.URL]
    assert list(tmp_path.iterdir()) == [path]


def test_the_checksum_is_that_of_the_set(script, data_dir):
    """The recordings of the shared set, packed again, are taken, and come back the same."""
    with np.load(data_dir / "audio" / "FSDD.npz") as file:
        shared = dict(file)
    recordings = {}
    for part in ("train", "test"):
        columns = (shared[f"{name}_{part}"] for name in ("X", "len", "y", "speaker", "take"))
        for x, size, digit, speaker, take in zip(*columns, strict=True):
            name = f"{digit}_{shared['speakers'][speaker]}_{take}.wav"
            recordings[name] = x[0, :size]
    arrays = script.split(script.read_recordings(pack(recordings)))
    for part in ("train", "test"):
        for name in ("X", "len", "y", "speaker"):
            assert_array_equal(arrays[f"{name}_{part}"], shared[f"{name}_{part}"], err_msg=name)
