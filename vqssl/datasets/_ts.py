"""Series of equal length from the .ts format of sktime, aeon and the UEA archive."""

from collections.abc import Iterator

import numpy as np

from vqssl.datasets._cells import as_labels, numbers, open_text

# Tags that say how lines are read; all others follow from the series themselves.
_FLAGS = ("classlabel", "targetlabel", "timestamps")


def read_ts(name: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Return series (n, L), or (n, C, L) where there are several channels, and labels or None.

    A header of tags (``@univariate true``), the line ``@data``, then a series in each line:
    channels between colons, numbers between commas, the label last.

    Raises
    ------
    ValueError
        If the file is something else, has time stamps, or series of unequal lengths.
    """
    series: list[np.ndarray] = []
    labels: list[str] = []
    with open_text(name) as file:
        lines = enumerate(file, 1)
        tags = _read_header(name, lines)
        classes = tags["classlabel"][1:]
        labelled = tags["classlabel"][0] == "true" or tags["targetlabel"][0] == "true"
        for line, text in lines:
            if not text.strip():
                continue
            where = f"{name}, line {line}"
            channels = text.strip().split(":")
            if labelled:
                label = channels.pop().strip()
                if classes and label.lower() not in classes:
                    raise ValueError(
                        f"{where}: the label must be one of {', '.join(classes)}, as @classLabel "
                        f"says; got {label!r}."
                    )
                labels.append(label)
            series.append(_stack(channels, where))
            if series[-1].shape != series[0].shape:
                raise ValueError(
                    f"{where}: all series must have as many channels and time points; got "
                    f"{series[-1].shape}, where the first has {series[0].shape}. Bring them to "
                    "one length first, for example with vqssl.pad_series."
                )
    if not series:
        raise ValueError(f"{name} must have series after the line @data; there are none.")
    X = np.stack(series)
    if X.shape[1] == 1:
        X = X[:, 0]
    if not labelled:
        return X, None
    if tags["targetlabel"][0] == "true":
        return X, numbers(labels, f"{name}, labels")
    return X, as_labels(labels)


def _read_header(name: str, lines: Iterator[tuple[int, str]]) -> dict[str, list[str]]:
    """Read up to the line ``@data``; values of the tags in lower case."""
    tags = {flag: ["false"] for flag in _FLAGS}
    known = set()
    for line, text in lines:
        words = text.lower().split()
        if not words or words[0][0] in "#%":
            continue
        where = f"{name}, line {line}"
        tag = words[0][1:]
        if words[0][0] != "@":
            raise ValueError(
                f"{where}: a .ts begins with tags such as '@univariate true', up to '@data'; got "
                f"{text.strip()[:40]!r}."
            )
        if tag == "data":
            break
        if tag in _FLAGS:
            known.add(tag)
            tags[tag] = words[1:]
            if words[1:2] not in (["true"], ["false"]):
                raise ValueError(f"{where}: @{tag} must be true or false; got {text.strip()!r}.")
            if tag == "timestamps" and words[1] == "true":
                raise ValueError(f"{where}: series with time stamps are not read; leave them out.")
    else:
        raise ValueError(f"{name} has no line @data: it is no .ts, or it is cut short.")
    if not known & {"classlabel", "targetlabel"}:
        raise ValueError(
            f"{name} must say whether there are labels: '@classLabel true' and the classes, "
            "'@classLabel false' or '@targetLabel true'."
        )
    return tags


def _stack(channels: list[str], where: str) -> np.ndarray:
    """Channels of a line, as text, as an array (C, L)."""
    if not channels:
        raise ValueError(f"{where}: there must be a series before the label.")
    rows = [
        numbers(channel.split(","), f"{where}, channel {c}") for c, channel in enumerate(channels)
    ]
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"{where}: all channels must have as many time points; got "
            f"{', '.join(map(str, lengths))}."
        )
    return np.stack(rows)
