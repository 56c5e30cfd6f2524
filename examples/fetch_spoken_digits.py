"""
How do I get spoken digits?
===========================

The Free Spoken Digit Dataset has 3,000 recordings at 8 kHz: six voices, ten digits, fifty takes of
each (Jackson et al., CC BY-SA 4.0). This script downloads version 1.0.10, some 15 megabytes, checks
what it got against a checksum, and writes ``spoken_digits.npz`` to the current folder, with the
split that the dataset's authors ask for: takes 0 to 4 are the test set. ``spoken_digits.py`` learns
from it.
"""

import hashlib
import io
import tarfile
import urllib.request
import wave
from pathlib import Path

import numpy as np

URL = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
SAMPLE_RATE = 8000
N_TEST_TAKES = 5

# Of names and samples, not of the archive: GitHub may pack the same files anew.
SHA256 = "b694c6d04e386957a8d4f061053b92439993222d4f3ed986716149f2dd9d6231"

# %%
# An archive is read without being unpacked, so nothing in it can be written anywhere.


def read_recordings(archive):
    """Read the recordings of an archive.

    Parameters
    ----------
    archive : bytes
        A .tar.gz file with ``recordings/<digit>_<speaker>_<take>.wav`` in a folder.

    Returns
    -------
    recordings : dict of {str: ndarray of shape (n_timepoints,), int16}
        By name of the file, in alphabetical order.

    Raises
    ------
    ValueError
        If they are not the recordings that the checksum was made of.
    """
    recordings = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            path = Path(member.name)
            if path.parent.name == "recordings" and path.suffix == ".wav":
                with wave.open(files.extractfile(member)) as sound:
                    form = (sound.getnchannels(), sound.getsampwidth(), sound.getframerate())
                    if form != (1, 2, SAMPLE_RATE):
                        raise ValueError(f"{path.name} must be 16 bits mono at 8 kHz; got {form}.")
                    samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2")
                recordings[path.name] = samples
    recordings = dict(sorted(recordings.items()))
    if (given := checksum(recordings)) != SHA256:
        raise ValueError(
            f"The archive must hold the 3,000 recordings of version 1.0.10; it holds "
            f"{len(recordings)}, with the checksum {given} in place of {SHA256}."
        )
    return recordings


def checksum(recordings):
    """SHA-256 of each name, the length of its samples in bytes, and the samples."""
    digest = hashlib.sha256()
    for name, samples in recordings.items():
        content = samples.astype("<i2").tobytes()
        digest.update(name.encode() + b"\0" + len(content).to_bytes(4, "little") + content)
    return digest.hexdigest()


# %%
# Recordings have unequal lengths. They become rows of one array, zero behind their end, with the
# length of each beside it, as silence should not be taken for sound.


def split(recordings):
    """Arrays of the training set and of the test set.

    Parameters
    ----------
    recordings : dict of {str: ndarray of shape (n_timepoints,), int16}
        By name.

    Returns
    -------
    arrays : dict of {str: ndarray}
        For both parts ``X_`` (n, 1, longest), int16, ``len_`` (n,), ``y_`` (n,), the digit,
        ``speaker_`` (n,), a position in ``speakers``, and ``take_`` (n,); ``sample_rate``.
    """
    digits, voices, takes = zip(*(Path(name).stem.split("_") for name in recordings), strict=True)
    lengths = np.array([len(samples) for samples in recordings.values()], np.int32)
    X = np.zeros((len(recordings), 1, lengths.max()), np.int16)
    for row, samples in zip(X, recordings.values(), strict=True):
        row[0, : len(samples)] = samples
    speakers, speaker = np.unique(voices, return_inverse=True)
    take = np.array(takes, np.int64)
    columns = {
        "X": X,
        "len": lengths,
        "y": np.array(digits, np.int64),
        "speaker": speaker,
        "take": take,
    }
    is_test = take < N_TEST_TAKES
    arrays = {"speakers": speakers, "sample_rate": np.array(SAMPLE_RATE)}
    for part, rows in (("train", ~is_test), ("test", is_test)):
        arrays |= {f"{name}_{part}": column[rows] for name, column in columns.items()}
    return arrays


# %%
# What was written before is not downloaded again.


def fetch(path="spoken_digits.npz"):
    """Return the arrays, downloaded and written to `path` where there is no such file."""
    path = Path(path)
    if not path.exists():
        with urllib.request.urlopen(URL, timeout=60) as answer:
            arrays = split(read_recordings(answer.read()))
        unfinished = path.with_suffix(".part")
        with unfinished.open("wb") as file:
            np.savez_compressed(file, **arrays)
        unfinished.replace(path)
    with np.load(path) as file:
        return dict(file)


if __name__ == "__main__":
    for name, array in fetch().items():
        print(f"{name}: {array.dtype} {array.shape}")
