"""Systems: what is compared, a method with a probe, or a published column."""

import json
from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from probe_rows.methods import METHODS, OURS, method_of
from probe_rows.probes import PROBES
from probe_rows.records import Line


@dataclass(frozen=True)
class System:
    """Accuracy by set, the mean over seeds."""

    name: str
    accuracy: dict[str, float]
    published: bool = False

    def on(self, names: list[str]) -> np.ndarray:
        return np.array([self.accuracy[name] for name in names])


def label(line: Line) -> str:
    """Name of a method, with its parameters where they are not the defaults."""
    if not line["params"]:
        return line["method"]
    return f"{line['method']} {json.dumps(line['params'], sort_keys=True)}"


def system(lines: list[Line], method: str, probe: str) -> System:
    """The system of the lines with this label."""
    figures = defaultdict(list)
    for line in lines:
        if label(line) == method and probe in line["accuracy"]:
            figures[line["set"]].append(line["accuracy"][probe])
    return System(f"{method}:{probe}", {name: float(np.mean(v)) for name, v in figures.items()})


def named(lines: list[Line], names: str) -> list[System]:
    """Systems of a list such as "ssl-features:chosen,raw:svc"; those without lines are not.

    A name without parameters stands for all parameters there are.
    """
    found = []
    for method, probe in parse(names):
        for one in dict.fromkeys(label(line) for line in lines if line["method"] == method):
            found.append(system(lines, one, probe))
    return [one for one in found if one.accuracy]


def parse(names: str) -> list[tuple[str, str]]:
    """Methods' lines and probes of such a list; the probe may be left to the method."""
    found = []
    known = [line for method in METHODS.values() for line in method.lines]
    for name in names.split(","):
        line, _, probe = name.partition(":")
        if line not in known or probe not in ("", *PROBES):
            raise ValueError(
                f"systems must be METHOD:PROBE with methods {', '.join(known)} and probes "
                f"{', '.join(PROBES)}; got {name!r}."
            )
        found.append((line, probe or METHODS[method_of(line)].probe))
    return found


def default_names(ours: bool) -> str:
    """All lines of our tokenizers, or of all others, with the customary probe of each."""
    found = []
    for name, method in METHODS.items():
        if (name in OURS) == ours:
            found += [f"{line}:{method.probe}" for line in method.lines]
    return ",".join(found if ours else ["raw:nn", *found])
