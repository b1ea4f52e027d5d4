"""Contract tests of objectives, metrics, models, guards, splits, cards and readers of one's own, one line each.

Each function takes the extension by its name, by "package.module:function", or itself, runs it on small synthetic data
and raises a `ContractError`, an `AssertionError` of one line, for the first promise that it does not keep. The
library's own extensions are tested by the same functions. They need nothing to run in, and are made for pytest:

    from recsys import testing

    def test_my_objective():
        testing.check_objective(my_objective)

`check_no_leak` tests a config or a dataset: rows that may not be used change no answer.

`make_split`, `make_pool`, `make_evaluation`, `make_dataset` and `make_communities` return the synthetic data, for
tests of what an extension computes.
"""

from recsys.testing.contract import ContractError
from recsys.testing.datasets import check_card, check_reader
from recsys.testing.guards import check_guard
from recsys.testing.leaks import check_no_leak
from recsys.testing.metrics import check_metric
from recsys.testing.models import check_model
from recsys.testing.objectives import check_objective
from recsys.testing.splits import check_split
from recsys.testing.synthetic import (
    RandomFactorModel,
    make_communities,
    make_dataset,
    make_evaluation,
    make_maps,
    make_pool,
    make_split,
)

__all__ = [
    "ContractError",
    "RandomFactorModel",
    "check_card",
    "check_guard",
    "check_metric",
    "check_model",
    "check_no_leak",
    "check_objective",
    "check_reader",
    "check_split",
    "make_communities",
    "make_dataset",
    "make_evaluation",
    "make_maps",
    "make_pool",
    "make_split",
]
