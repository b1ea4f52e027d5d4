"""The small worlds of `worlds.py`, as fixtures."""

import pytest
from synthetic import RandomFactorModel, make_maps, make_split

from recsys.types import Split, TasteMap


@pytest.fixture
def split() -> Split:
    return make_split()


@pytest.fixture
def model(split: Split) -> RandomFactorModel:
    return RandomFactorModel(split)


@pytest.fixture
def maps(split: Split) -> tuple[TasteMap, ...]:
    return make_maps(split)
