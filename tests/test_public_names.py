from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import cnclip

NAMES = ["ChineseClip", "__version__", "available_models", "image_transform", "load_from_name", "tokenize"]


def test_the_public_names_are_these() -> None:
    assert sorted(cnclip.__all__) == NAMES
    assert set(NAMES) <= set(dir(cnclip))


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(cnclip, name) is not None


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'load_from_nme'"):
        cnclip.load_from_nme  # noqa: B018


def test_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))
    assert cnclip.__version__ == project["project"]["version"]


def test_importing_the_package_loads_nothing_heavy() -> None:
    program = (
        "import sys, cnclip; heavy = {'torch', 'numpy', 'PIL', 'transformers', 'tokenizers'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_using_a_model_does_not_load_transformers() -> None:
    program = (
        "import sys; from cnclip import ChineseClip, load_from_name;"
        "print(sorted({'transformers', 'huggingface_hub', 'torchvision', 'accelerate'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
