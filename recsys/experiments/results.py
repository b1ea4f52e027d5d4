"""The result of a benchmark."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recsys.configs import RunSpec
from recsys.experiments.fold_readings import FoldReadings
from recsys.experiments.like_reliability import LikeReliability
from recsys.experiments.pipeline import Preparation
from recsys.experiments.rerankings import SlatesByLength
from recsys.likelihoods import Likelihood
from recsys.scores import Scores

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class Bench:
    """The result of a benchmark. `summary` and `differences` are long tables (`recsys.scores`).

    `slates` are by length and run: slates[10]["als"]. The best ten items need not be the first of the best twenty.
    """

    preparation: Preparation
    specs: tuple[RunSpec, ...]
    slates: SlatesByLength
    scores: Scores
    summary: "pd.DataFrame"
    differences: "pd.DataFrame"
    folder: Path
    notes: tuple[str, ...] = ()
    likelihood: Likelihood | None = None  # of [likelihood], where the config has one
    readings: FoldReadings | None = None  # what judges by halves of the users say; None where users are not halved
    reliability: "LikeReliability | None" = None  # of [evidence] like_curve
    rule_costs: "pd.DataFrame | None" = None  # of `recsys.experiments.rule_costs`; None without a rule, or comparison

    def __str__(self) -> str:
        """Return the headline table as text."""
        return self.headline_table().to_string(index=False)

    __repr__ = __str__  # not the fields: these are arrays of all users

    def _repr_html_(self) -> str:
        return str(self.headline_table().to_html(index=False))

    def headline_table(self) -> "pd.DataFrame":
        """Return one row per run and one column per metric, at the headline k."""
        at_k = self.summary[self.summary.k == self.preparation.config.headline_k]
        table = at_k.pivot(index="run", columns="metric", values="value")
        return table.loc[[spec.name for spec in self.specs]].reset_index()
