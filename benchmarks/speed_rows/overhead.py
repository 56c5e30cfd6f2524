"""Row `overhead`: a step of `fit` over one of a hand-written loop, by engine_overhead.py."""

import engine_overhead

from speed_rows.report import Bar, Line, Result, Settings, seconds_text

BAR = Bar(high=1.05)


def run(settings: Settings) -> Result:
    plans = {32: (200, 1), 256: (50, 1)} if settings.short else {32: (600, 2), 256: (150, 1)}
    lines, raw = [], {}
    for batch_size, (steps, repeats) in plans.items():
        figures = engine_overhead.measure(batch_size, steps, repeats)
        raw[str(batch_size)] = figures
        lines.append(
            Line(
                f"step of fit over a plain loop, B={batch_size}",
                figures["ratio"],
                seconds_text(figures["engine_ms_per_step"] / 1000),
                seconds_text(figures["loop_ms_per_step"] / 1000),
                "{:.3f} times as long",
                BAR,
                figures["ratio_quartiles"],
            )
        )
    return Result(lines, raw)
