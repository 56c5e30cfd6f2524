"""The command line: its arguments, its errors and its exit codes; `_commands` has the work."""

import argparse
import contextlib
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from vqssl import __version__
from vqssl._commands import encode, fit, parameters, report, sample
from vqssl._from_text import SHORT_NAMES, estimators

# Exit codes, as docs/command-line.md and --help say.
OK = 0
FAILED = 1
BAD_INPUT = 2
INTERRUPTED = 130  # 128 and the number of SIGINT, as shells have it

# What the library and Python raise for what the user gave.
_BAD_INPUT = (
    ValueError,
    TypeError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
    PermissionError,
)

_ABOUT = """\
Learn codes of time series without labels, and use them, from files.

DATA is a file of series of equal length, known by its ending:

  .npz       arrays X and y, or X_train, y_train, X_test and y_test
  .ts        the format of sktime, aeon and the UEA archive
  .csv .tsv  a series in each line; --target names the column of labels
  .parquet   a series in each row (needs pandas and pyarrow)

Example: a tokenizer, its codes; a generator, new series of a class

  vqssl fit waves.csv --target label --estimator vq --set n_codes=32 --out vq.vqssl
  vqssl encode vq.vqssl waves.csv --target label --out codes.csv
  vqssl fit waves.csv --target label --estimator maskgit --out maskgit.vqssl
  vqssl sample maskgit.vqssl -n 100 --label slow --seed 0 --out drawn.csv

Exit codes: 0 done, 1 the work failed (the loss became nan, the disk is full),
2 wrong usage or bad input, 130 stopped with Ctrl-C.
"""

_FIT = """\
Fit an estimator and write it to a file, which Python reads with vqssl.load.

Estimators, by class or by short name:

{estimators}

Values of --set are Python literals (n_codes=64, scaling=None), else text (ssl=vicreg). The name
of a class is an object of it: --set tokenizer=BandVQTokenizer. The name of a file that fit wrote
is the fitted estimator in it, used as it is: --set tokenizer=vq.vqssl. Two underscores reach
inside: --set tokenizer__max_iter=200, --set ssl__covariance=10. "vqssl parameters maskgit" lists
what there is.
"""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors take one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_INPUT, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(prog="vqssl", description=_ABOUT)
    parser.add_argument("--version", action="version", version=f"vqssl {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    common = _Parser(add_help=False)
    common.add_argument("--quiet", action="store_true", help="no progress, no summary")
    common.add_argument("--debug", action="store_true", help="show where an error came from")

    reading = _Parser(add_help=False)
    reading.add_argument(
        "--target",
        metavar="COLUMN",
        help="labels: name or position (from 0; -1 is the last) of the column, array of an .npz",
    )
    reading.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line of a .csv or .tsv has names; without it, a look decides",
    )
    split = _Parser(add_help=False)
    split.add_argument("--split", choices=["train", "test"], help="which part of an .npz with both")

    trusting = _Parser(add_help=False)
    trusting.add_argument(
        "--trusted",
        action="append",
        default=[],
        metavar="MODULE.CLASS",
        help="class of your own that a model file may name; its module is imported",
    )
    loading = _Parser(add_help=False, parents=[trusting])
    loading.add_argument("model", metavar="MODEL", help="file that fit wrote")
    rows = "file for them: .csv, .tsv, .npz or .parquet"

    command = commands.add_parser(
        "fit",
        parents=[reading, split, trusting, common],
        help="fit an estimator on series and write it to a file",
        description=_FIT.format(estimators=_list_estimators()),
    )
    command.add_argument("data", metavar="DATA", help="file of series to learn from")
    command.add_argument("--estimator", required=True, metavar="NAME", help="see above")
    command.add_argument("--out", required=True, metavar="MODEL", help="file to write: ....vqssl")
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="assignments",
        help="a parameter; as often as there are parameters to set",
    )
    command.add_argument("--no-labels", action="store_true", help="leave the labels of DATA out")
    command.add_argument("--seed", type=int, help="random_state: the same seed, the same model")
    command.set_defaults(run=fit)

    command = commands.add_parser(
        "encode",
        parents=[loading, reading, split, common],
        help="write the codes of series",
        description="Write the codes of series: a row per series, a column per token. In an .npz\n"
        "they are the array codes. A generator or classifier gives those of its tokenizer.",
    )
    command.add_argument("data", metavar="DATA", help="file of series of the fitted shape")
    command.add_argument("--out", required=True, metavar="FILE", help=rows)
    command.set_defaults(run=encode)

    command = commands.add_parser(
        "sample",
        parents=[loading, common],
        help="draw new series",
        description="Draw new series: a row each, and a last column label where there is one. In\n"
        "an .npz they are the arrays X and y. Series of several channels need one.",
    )
    command.add_argument("-n", "--n-samples", type=int, default=1, help="how many (1)")
    command.add_argument("--label", help="class of all of them; without it, of any")
    command.add_argument("--seed", type=int, help="the same seed draws the same series")
    command.add_argument("--out", required=True, metavar="FILE", help=rows)
    command.set_defaults(run=sample)

    command = commands.add_parser(
        "report",
        parents=[loading, reading, common],
        help="write a page on how good a model is",
        description="Write a page on how good a model is. Of an .npz with both parts, DATA gives\n"
        "the training and --test the test part; they may be one file.",
    )
    command.add_argument("data", metavar="DATA", help="file of the training series")
    command.add_argument("--test", required=True, metavar="DATA", help="file of the test series")
    command.add_argument("--out", required=True, metavar="FILE", help="page to write: ....html")
    command.set_defaults(run=report)

    command = commands.add_parser(
        "parameters",
        parents=[common],
        help="list the parameters of an estimator",
        description="List the parameters of an estimator, which fit --set takes, with defaults.",
    )
    command.add_argument("estimator", metavar="NAME", help="class or short name, see fit --help")
    command.set_defaults(run=parameters)
    return parser


def _list_estimators() -> str:
    """Names and first lines of all estimators."""
    short = {full: name for name, full in SHORT_NAMES.items()}
    entries = []
    for name, cls in estimators().items():
        names = f"{short[name]}, {name}" if name in short else name
        entries.append(f"  {names}\n      {(cls.__doc__ or '').splitlines()[0]}")
    return "\n".join(entries)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code; errors and warnings go to stderr, a line each."""
    try:
        arguments = make_parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or OK)
    try:
        with _warnings_in_one_line():
            arguments.run(arguments)
    except KeyboardInterrupt:
        return _say("stopped", INTERRUPTED, arguments.debug)
    except _BAD_INPUT as error:
        return _say(f"error: {_text(error)}", BAD_INPUT, arguments.debug)
    except Exception as error:
        message = f"failed: {type(error).__name__}: {_text(error)} (--debug shows where)"
        return _say(message, FAILED, arguments.debug)
    return OK


def _say(message: str, code: int, debug: bool) -> int:
    """Write one line to stderr, below the traceback of the exception at hand with `debug`."""
    if debug:
        traceback.print_exc()
    print(f"vqssl: {message}", file=sys.stderr)
    return code


def _text(error: Exception) -> str:
    """The message of an error, in one line."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return " ".join(str(error).split())


@contextlib.contextmanager
def _warnings_in_one_line() -> Iterator[None]:
    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        print(f"vqssl: warning: {' '.join(str(message).split())}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
