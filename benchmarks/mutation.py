"""Do the tests notice a careless edit?

    python benchmarks/mutation.py --out mutation.jsonl
    python benchmarks/mutation.py --out mutation.jsonl --only infonce-temperature fid-biased

breaks one line at a time, as a slip of the hand could: a sign, a factor of two, a mean that is
missing, another axis, one too few, arguments that are swapped. `mutations.toml` says which lines,
and which tests must notice. These run on the broken package, in a temporary copy; the checkout is
never touched. First of all they must pass on the copy as it is. A mutation that no test notices is
a gap in the tests: the last line counts them, and the status is 1.

Results are lines of JSON. A mutation is not run again while the package and its tests are those of
the line. If the text that a mutation replaces is not there, or there twice, nothing runs.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from probe_rows.records import append, mend

ROOT = Path(__file__).parents[1]
TABLE = Path(__file__).with_name("mutations.toml")

# What the tests need beside the package; the rest of the checkout stays where it is.
COPIED = ("vqssl", "tests", "conftest.py", "pyproject.toml")

# Tests that run longer than this hang, which is noticed, too.
SECONDS = 3600

Mutation = dict[str, Any]  # name, file, original, mutated, tests; see mutations.toml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="which mutations; all of them")
    parser.add_argument("--out", type=Path, help="file of lines of JSON")
    arguments = parser.parse_args()
    mutations = choose(arguments.only)
    for mutation in mutations:
        find(ROOT, mutation)
    mutations = [{**mutation, "state": digest(mutation)} for mutation in mutations]
    lines = {line["name"]: line for line in read(arguments.out)}
    left = [m for m in mutations if not m.items() <= lines.get(m["name"], {}).items()]
    with tempfile.TemporaryDirectory() as folder:
        copy = copied(Path(folder))
        if left:
            check_unmutated(copy, left)
        for number, mutation in enumerate(left, start=1):
            print(f"{number} of {len(left)}: {mutation['name']}", file=sys.stderr, flush=True)
            line = {**mutation, **judge(copy, mutation)}
            lines[mutation["name"]] = line
            if arguments.out is not None:
                append(arguments.out, line)
    sys.exit(report([lines[mutation["name"]] for mutation in mutations]))


# Mutations -----------------------------------------------------------------------------------


def choose(names: Sequence[str] | None) -> list[Mutation]:
    """The mutations of these names, all for None."""
    table = tomllib.loads(TABLE.read_text())["mutation"]
    by_name = {mutation["name"]: mutation for mutation in table}
    if len(by_name) < len(table):
        sys.exit(f"{TABLE.name} must not have a name twice.")
    unknown = sorted(set(names or ()) - set(by_name))
    if unknown:
        sys.exit(f"--only must name mutations of {TABLE.name}; got {', '.join(unknown)}.")
    return [by_name[name] for name in names or by_name]


def find(root: Path, mutation: Mutation) -> tuple[Path, str]:
    """The file that a mutation breaks, and what is in it."""
    path = root / "vqssl" / mutation["file"]
    source = path.read_text()
    count = source.count(mutation["original"])
    if count != 1:
        sys.exit(
            f"{mutation['name']}: vqssl/{mutation['file']} must have {mutation['original']!r} "
            f"once; it has it {count} times. Say in {TABLE.name} what the line is now."
        )
    return path, source


def copied(folder: Path) -> Path:
    """Copy the package and its tests to a folder, and return it."""
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def check_unmutated(copy: Path, mutations: Sequence[Mutation]) -> None:
    """Let the tests pass on the copy as it is: a failure must come from a mutation."""
    found = python(copy, "-c", "import vqssl; print(vqssl.__file__)").stdout.strip()
    if not Path(found).resolve().is_relative_to(copy.resolve()):
        sys.exit(f"The tests would import {found}, not the copy.")
    files = sorted({file for mutation in mutations for file in mutation["tests"]})
    print(f"unmutated: {', '.join(files)}", file=sys.stderr, flush=True)
    failed = first_failure(copy, files)
    if failed is not None:
        sys.exit(f"Without any mutation {failed} fails; mend that first.")


def judge(copy: Path, mutation: Mutation) -> dict[str, Any]:
    """Break the copy, run the tests, mend it; say which test noticed, None if there is none."""
    path, source = find(copy, mutation)
    path.write_text(source.replace(mutation["original"], mutation["mutated"]))
    start = time.monotonic()
    try:
        noticed_by = first_failure(copy, mutation["tests"])
    finally:
        path.write_text(source)
    return {"noticed_by": noticed_by, "seconds": round(time.monotonic() - start, 1)}


def first_failure(copy: Path, files: Sequence[str]) -> str | None:
    """The first test that fails, None if all pass."""
    options = ["-x", "-q", "--tb=no", "--no-header", "-p", "no:cacheprovider"]
    try:
        done = python(copy, "-m", "pytest", *options, *(f"tests/{file}" for file in files))
    except subprocess.TimeoutExpired:
        return f"no end after {SECONDS} seconds"
    if done.returncode == 0:
        return None
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAILED ")]
    if done.returncode != 1 or not failed:
        # What cannot even be imported proves nothing about the tests.
        sys.exit(f"pytest ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return failed[0].removeprefix("FAILED ").split(" - ")[0]


def python(copy: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


# Lines ---------------------------------------------------------------------------------------


def digest(mutation: Mutation) -> str:
    """What the result depends on: the package and the tests that are named, as they are."""
    found = hashlib.sha256()
    tests = [ROOT / "tests" / file for file in mutation["tests"]]
    for path in sorted([*(ROOT / "vqssl").rglob("*.py"), *tests]):
        found.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def read(path: Path | None) -> list[dict[str, Any]]:
    """Lines of a file, if there is one."""
    if path is None or not path.exists():
        return []
    mend(path)
    return [json.loads(line) for line in path.read_text().splitlines()]


def report(lines: Sequence[dict[str, Any]]) -> int:
    """Print a table; return 1 if a mutation survived, else 0."""
    width = max(len(line["name"]) for line in lines)
    print(f"{'mutation':{width}}  seconds  noticed by")
    for line in lines:
        print(f"{line['name']:{width}}  {line['seconds']:7.1f}  {line['noticed_by'] or 'NOBODY'}")
    survivors = sum(line["noticed_by"] is None for line in lines)
    print(f"{len(lines) - survivors} of {len(lines)} mutations are noticed.")
    return int(survivors > 0)


if __name__ == "__main__":
    main()
