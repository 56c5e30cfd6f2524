"""Settings of the documentation: ``make docs`` builds it into docs/_build/html.

Nothing is fetched: no inventories of other projects, no scripts or letters from elsewhere, so that
the site builds and opens without a network.
"""

import inspect
import os
from importlib.util import find_spec
from typing import Any

from sphinx.util.nodes import make_refnode

import vqssl

# The gallery runs its scripts while the site is built: no window.
os.environ.setdefault("MPLBACKEND", "Agg")

project = "vqssl"
author = "The vqssl developers"
project_copyright = author
version = release = vqssl.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

# A name in single backticks is a link where there is such an object; see `find_by_last_name`.
default_role = "py:obj"
nitpicky = True
nitpick_ignore = [
    ("py:obj", "dask.delayed"),
    ("py:obj", "joblib.parallel_config"),
    ("py:obj", "numpy.memmap"),
    ("py:obj", "sklearn.mixture.GaussianMixture"),
    ("py:obj", "sklearn.show_versions"),
]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # docstrings say more: shapes, ranges, units
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the template of classes lists them
numpydoc_class_members_toctree = False

# Scripts that need more than the extra ``examples``: without it they are shown and not run.
FURTHER_NEEDS = {"dask_search": "distributed", "tracking": "mlflow"}
DOWNLOADING = ["fetch_spoken_digits", "spoken_digits"]
not_run = [script for script, library in FURTHER_NEEDS.items() if not find_spec(library)]
not_run += DOWNLOADING  # a build of the site does not ask another server for anything

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "backreferences_dir": "gallery/backreferences",
    "doc_module": ("vqssl",),
    "reference_url": {"vqssl": None},
    "filename_pattern": rf"/(?!({'|'.join(not_run) or '$'})\.py)\w+\.py$",  # the others are run
    "within_subsection_order": "FileNameSortKey",
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
}

html_theme = "pydata_sphinx_theme"
html_title = "vqssl"
html_static_path = ["_static"]
html_css_files = ["vqssl.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_prev_next": True,
    "show_toc_level": 2,
    # Wide tables need the place of the table of contents.
    "secondary_sidebar_items": {
        "**": ["page-toc"],
        **{page: [] for page in ("guide/equations", "defaults", "faults")},
    },
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": []}
html_context = {"default_mode": "auto"}


def skip_members_of_others(
    app: Any, what: str, name: str, thing: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out what a class has from scikit-learn, torch or Python itself."""
    function = inspect.unwrap(thing.fget if isinstance(thing, property) else thing)
    module = getattr(function, "__module__", None)
    if inspect.isroutine(function) and module and module.split(".")[0] != "vqssl":
        return True
    return None


def find_by_last_name(app: Any, env: Any, node: Any, content: Any) -> Any:
    """Link a name without its module where one public object has it; show other words as code.

    Docstrings have names of parameters in backticks, which are no objects, beside names of classes,
    which may live in another folder. A name with dots must exist: it is reported, as is every
    other role.
    """
    target = node.get("reftarget", "")
    if node.get("reftype") != "obj" or "." in target:
        return None
    objects = env.get_domain("py").objects
    found = {
        name: entry
        for name, entry in objects.items()
        if name.endswith(f".{target}") and entry.objtype in ("class", "function", "data")
    }
    if len(found) != 1:
        return content
    name, entry = found.popitem()
    return make_refnode(
        app.builder, node["refdoc"], entry.docname, entry.node_id, content, title=name
    )


def setup(app: Any) -> None:
    """Connect the two functions above."""
    app.connect("autodoc-skip-member", skip_members_of_others)
    app.connect("missing-reference", find_by_last_name)
