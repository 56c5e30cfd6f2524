"""Adapters come when they are asked for, and say what they need."""

import pytest

import vqssl.contrib
from tests.test_public_names import run_python


def test_adapters_load_their_library_late_and_say_what_to_install():
    run_python(
        "import importlib.util, sys\n"
        "import vqssl.contrib\n"
        "assert not {'aeon', 'sktime'} & set(sys.modules)\n"
        "importlib.util.find_spec = lambda name: None\n"
        "importlib.reload(vqssl.contrib)\n"
        "assert vqssl.contrib.__all__ == []\n"
        "for name, library in (('AeonTransformer', 'aeon'), ('SktimeTransformer', 'sktime')):\n"
        "    try:\n"
        "        getattr(vqssl.contrib, name)(vqssl.VQTokenizer())\n"
        "    except ImportError as error:\n"
        "        assert f'pip install {library}' in str(error), error\n"
        "    else:\n"
        "        raise AssertionError(f'{name} works without {library}')\n"
    )


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'DartsTransformer'"):
        _ = vqssl.contrib.DartsTransformer
