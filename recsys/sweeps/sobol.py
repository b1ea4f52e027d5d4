"""Trials that are spread evenly: the points of a scrambled Sobol sequence, by their number."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from scipy.stats.qmc import Sobol

from recsys.sweeps.search_space import Range


class SobolSampler(optuna.samplers.BaseSampler):
    """Draws one point of a sequence, whatever the study has: a search that was killed goes on as if it had not been.

    Optuna's own sampler counts the points that it has handed out, so it leaves out the point of a killed trial.
    """

    def __init__(self, ranges: Sequence[Range], seed: int, number: int) -> None:
        """Draw the point: a sequence is the same for one seed and number of ranges."""
        sequence = Sobol(max(len(ranges), 1), scramble=True, rng=seed)
        if number:
            sequence.fast_forward(number)
        self._values = {one.name: one.place(share) for one, share in zip(ranges, sequence.random(1)[0], strict=False)}

    def infer_relative_search_space(self, study: optuna.Study, trial: Any) -> dict[str, BaseDistribution]:
        """Return no settings: each is drawn by its name."""
        return {}

    def sample_relative(self, study: optuna.Study, trial: Any, search_space: Mapping[str, Any]) -> dict[str, Any]:
        """Return no values: each is drawn by its name."""
        return {}

    def sample_independent(self, study: optuna.Study, trial: Any, param_name: str, param_distribution: Any) -> Any:
        """Return the point's value of a setting."""
        return self._values[param_name]
