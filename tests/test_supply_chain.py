"""What is installed beside vqssl is known file by file, and it asks nothing of the network."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.test_layering import PACKAGE, find_imports, module_name
from tests.test_public_names import run_python

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)")


def pins(name: str) -> dict[str, str]:
    """Versions by package of a file of requirements."""
    lines = (ROOT / name).read_text().splitlines()
    return {match[1]: match[2] for line in lines if (match := PIN.match(line))}


def test_every_file_that_ci_installs_has_a_digest():
    text = (ROOT / "requirements-ci.txt").read_text()
    entries = re.split(r"\n(?=[a-z0-9-]+==)", text[text.index("\n") :].replace("\\\n", ""))
    found = {match[1]: entry for entry in entries if (match := PIN.match(entry))}
    assert found.keys() == pins("requirements-ci.txt").keys()
    without = [name for name, e in found.items() if not re.search(r"--hash=sha256:[0-9a-f]{64}", e)]
    assert found
    assert not without


def test_ci_installs_the_versions_of_the_constraints():
    constraints, locked = pins("constraints.txt"), pins("requirements-ci.txt")
    both = constraints.keys() & locked.keys()
    assert {name: locked[name] for name in both} == {name: constraints[name] for name in both}


def test_ci_installs_every_direct_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *extras["test"],
        *extras["dev"],
        *extras["examples"],
    ]
    names = {re.split(r"[<>=!~\[; ]", spec)[0] for spec in wanted}
    assert not names - pins("requirements-ci.txt").keys()


def test_no_socket_is_made_by_import_fit_draws_and_files(tmp_path):
    # The hook goes in first: what is imported below is listened to as well.
    run_python(
        "import sys\n"
        "heard = []\n"
        "def hook(event, arguments):\n"
        "    if event.startswith('socket.'):\n"
        "        heard.append(event)\n"
        "sys.addaudithook(hook)\n"
        "import pickle, warnings\n"
        "import numpy as np, torch\n"
        "import vqssl, vqssl.datasets, vqssl.evaluation, vqssl.metrics, vqssl.plots\n"
        "assert not heard, f'import: {heard}'\n"
        "warnings.simplefilter('ignore')\n"
        "torch.set_num_threads(1)\n"
        "X = np.random.default_rng(0).normal(size=(8, 24))\n"
        "shared = dict(max_iter=2, device='cpu', random_state=0)\n"
        "tokenizer = vqssl.SSLVQTokenizer(8, code_dim=4, **shared)\n"
        "for estimator in (vqssl.MaskGITGenerator(tokenizer, **shared), vqssl.VAE(**shared)):\n"
        f"    estimator.set_params(checkpoint_dir={str(tmp_path / 'checkpoints')!r}).fit(X)\n"
        f"    path = {str(tmp_path / 'model.vqssl')!r}\n"
        "    estimator.save(path)\n"
        "    for again in (vqssl.load(path), pickle.loads(pickle.dumps(estimator))):\n"
        "        again.transform(X)\n"
        "        again.sample(3, random_state=0)\n"
        "assert not heard, f'use: {heard}'\n"
        "import socket\n"
        "socket.socket().close()\n"
        "assert heard, 'a listener that hears nothing proves nothing'\n"
    )


NETWORK = {
    *("aiohttp", "asyncio", "ftplib", "http", "httpx", "imaplib", "poplib", "requests", "select"),
    *("selectors", "smtplib", "socket", "socketserver", "ssl", "urllib", "urllib3", "webbrowser"),
    *("websockets", "xmlrpc", "huggingface_hub", "pooch"),
}


def network_imports(source: str, package: str) -> list[str]:
    tops = (item.module.split(".")[0] for item in find_imports(source, package))
    return [top for top in tops if top in NETWORK]


def test_the_package_imports_nothing_of_the_network():
    paths = sorted(PACKAGE.rglob("*.py"))
    assert paths
    for path in paths:
        package = module_name(path.relative_to(PACKAGE.parent).as_posix())
        assert not network_imports(path.read_text(), package), path


@pytest.mark.parametrize("line", ["import http.client", "def f():\n    from urllib import request"])
def test_an_import_of_the_network_is_found(line):
    assert network_imports(line, "vqssl")
