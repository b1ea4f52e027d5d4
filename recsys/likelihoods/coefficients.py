"""Coefficients of a likelihood as a table, and which features spoke most for a candidate."""

from typing import TYPE_CHECKING

import numpy as np

from recsys.likelihoods.records import Likelihood
from recsys.types.extras import needs_extra

if TYPE_CHECKING:
    import pandas as pd

NORMAL = 1.959963984540054  # 97.5 % quantile


@needs_extra("coefficient_table")
def coefficient_table(likelihood: Likelihood) -> "pd.DataFrame":
    """Return a row for each feature, the largest coefficient first.

    Columns: `feature`, `coefficient` (what one standard deviation of it adds to the score), `standard_error` (sandwich,
    users are the units), `ci_low` and `ci_high` (95 %, normal), `mean` and `scale` of the feature as it is.
    """
    import pandas as pd

    error = np.sqrt(np.maximum(np.diag(likelihood.covariance), 0.0))
    order = np.argsort(-np.abs(likelihood.coefficients), kind="stable")
    columns = {
        "feature": likelihood.features,
        "coefficient": likelihood.coefficients,
        "standard_error": error,
        "ci_low": likelihood.coefficients - NORMAL * error,
        "ci_high": likelihood.coefficients + NORMAL * error,
        "mean": likelihood.means,
        "scale": likelihood.scales,
    }
    return pd.DataFrame({name: values[order] for name, values in columns.items()})
