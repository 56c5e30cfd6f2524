"""Section about parameters: all of them, those first that are not the defaults."""

import inspect
from typing import Any

from vqssl._persistence import current_versions
from vqssl.reports._findings import counted
from vqssl.reports._html import Html, element, joined, table
from vqssl.reports._page import Section
from vqssl.reports._subject import Subject

# Letters of a value, at most.
_LONGEST = 200


def parameters_section(subject: Subject) -> Section:
    """List parameters, sizes of models and versions."""
    content = [_table(name, part) for name, part in subject.parts.items()]
    rows = [[package, version] for package, version in current_versions().items()]
    content.append(table("Versions that made this page", ["", "version"], rows))
    sizes = [
        f"{name} has {counted(n, 'weight')}"
        for name, part in subject.parts.items()
        if (n := _n_weights(part)) > 0
    ]
    lead = "What was asked for; bold values are not the defaults."
    if sizes:
        lead += f" {', '.join(sizes)}."
    return Section("parameters", "Parameters", lead, content)


def _n_weights(part: Any) -> int:
    return (
        sum(weight.numel() for weight in part.model_.parameters()) if hasattr(part, "model_") else 0
    )


def _table(name: str, part: Any) -> Html:
    signature = inspect.signature(type(part).__init__).parameters
    changed: list[list[object]] = []
    same: list[list[object]] = []
    for option, value in part.get_params(deep=False).items():
        default = signature[option].default
        text = _text(value)
        if text == _text(default):
            same.append([element("code", option), element("code", text)])
        else:
            was = "" if default is inspect.Parameter.empty else f"default: {_text(default)}"
            cell = joined([element("b", element("code", text)), element("small", was)], "")
            changed.append([element("code", option), cell])
    return table(f"Parameters of {name}", ["", "value"], changed + same)


def _text(value: Any) -> str:
    """A value in one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
