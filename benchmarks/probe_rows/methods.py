"""All methods by name."""

from probe_rows import catch22, dtw, minirocket, pca, raw, tokenizers, ts2vec
from probe_rows.method import Method

METHODS: dict[str, Method] = {
    "raw": raw.METHOD,
    "dtw": dtw.METHOD,
    "pca": pca.METHOD,
    "catch22": catch22.METHOD,
    "minirocket": minirocket.METHOD,
    "ts2vec": ts2vec.METHOD,
    "vq": tokenizers.VQ,
    "ssl": tokenizers.SSL,
}

# The others take long, on long series or on all.
DEFAULT = "raw,pca,catch22,minirocket,vq,ssl"
OURS = ("vq", "ssl")


def lines_of(names: str) -> dict[str, list[str]]:
    """Lines to write by method, of a list of methods and lines ("ssl,vq-latent"), or "all"."""
    chosen: dict[str, list[str]] = {}
    for name in METHODS if names == "all" else names.split(","):
        found = {
            method: [line for line in METHODS[method].lines if name in (method, line)]
            for method in METHODS
        }
        found = {method: lines for method, lines in found.items() if lines}
        if not found:
            known = ", ".join(METHODS)
            raise ValueError(f"methods must be some of {known}, or their lines; got {name!r}.")
        for method, lines in found.items():
            chosen[method] = list(dict.fromkeys(chosen.get(method, []) + lines))
    return chosen


def method_of(line: str) -> str:
    """Name of the method that has a line."""
    return next(name for name, method in METHODS.items() if line in method.lines)
