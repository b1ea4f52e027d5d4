"""The small worlds of `synthetic.py`, as fixtures, and folders of files for each test."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from pictures import convert_charts, draw_picture, write_specification
from synthetic import RandomFactorModel, make_maps, make_split

from recsys.types import Split, TasteMap

# The same examples in every run, however loaded the machine: what is refused is refused for what was changed.
# `pytest --hypothesis-profile explore` draws others.
settings.register_profile("fixed", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, max_examples=1000, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("fixed")


@pytest.fixture(scope="session", autouse=True)
def undrawn_charts() -> Iterator[None]:
    """Write the specification of a chart where its picture would be, but for tests that use `drawn_charts`."""
    with convert_charts(write_specification):
        yield


@pytest.fixture
def drawn_charts() -> Iterator[None]:
    with convert_charts(draw_picture):
        yield


@pytest.fixture
def split() -> Split:
    return make_split()


@pytest.fixture
def model(split: Split) -> RandomFactorModel:
    return RandomFactorModel(split)


@pytest.fixture
def maps(split: Split) -> tuple[TasteMap, ...]:
    return make_maps(split)


@pytest.fixture
def home(template: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the files of a module's `template` (its folder, and what was computed in it), as the current folder."""
    shutil.copytree(template[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("RECSYS_CACHE", str(tmp_path / "cells"))
    monkeypatch.chdir(tmp_path)
    return tmp_path
