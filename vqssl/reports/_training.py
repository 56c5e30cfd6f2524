"""Section about training: how the loss fell, and whether it still did at the end."""

from typing import Any

from vqssl.plots import TrainingDisplay
from vqssl.reports._figures import Picture, draw
from vqssl.reports._findings import Finding, short
from vqssl.reports._html import figures, table
from vqssl.reports._model_findings import falling_loss, risen_loss
from vqssl.reports._page import Section
from vqssl.reports._subject import Subject


def training_section(subject: Subject) -> Section | None:
    """Describe the training of the estimator and of what is inside it."""
    trained = {name: part for name, part in subject.parts.items() if hasattr(part, "history_")}
    if not trained:
        return None
    rules: list[Finding | None] = []
    rows: list[list[object]] = []
    pictures: list[Picture] = []
    for name, part in trained.items():
        loss = part.history_["loss"]
        planned = part._n_steps_planned
        rules += [falling_loss(loss, part.n_iter_, planned, name), risen_loss(loss, name)]
        steps = f"{part.n_iter_:,} of {planned:,}"
        rows.append([name, steps, f"{short(loss[0])} to {short(loss[-1])}"])
        pictures.append(_picture(name, part))
    lead = (
        "Training minimises the loss step by step. A good curve falls fast at first and is flat at "
        "the end. A loss may be negative: only its fall counts."
    )
    header = ["", "steps taken", "loss, first to last"]
    content = [table("Steps and loss", header, rows), figures(*pictures)]
    return Section("training", "Training", lead, content, rules)


def _picture(name: str, part: Any) -> Picture:
    history = part.history_
    alt = (
        f"Loss of {name} over {part.n_iter_:,} steps: {short(history['loss'][0])} at first, "
        f"{short(history['loss'][-1])} at the end."
    )
    caption = f"{name}: the loss and its terms, and the learning rate, by optimizer step."
    return draw(lambda: TrainingDisplay.from_estimator(part), alt, caption)
