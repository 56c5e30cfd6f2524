"""Rows of the speed benchmark: a module for each, beside what they share.

A row's module has ``run(settings)``, which returns a `speed_rows.report.Result` or raises
`speed_rows.report.Skipped`.
"""

# Name on the command line: module. Imported when a row runs.
ROWS = {
    "stage1": "stage1",
    "stage2": "stage2",
    "sampling": "sampling",
    "ssl_step": "ssl_step",
    "quantizer": "quantizer",
    "overhead": "overhead",
    "transform": "transform",
    "import": "imports",
    "scaling": "scaling",
    "peak": "peak",
    "gpu": "gpu",
}
