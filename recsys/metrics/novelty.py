"""How little known the shown items are."""

import numpy as np

from recsys import maths
from recsys.metrics.picks import divide, picks
from recsys.types import Evaluation, PerUser


def self_information(evaluation: Evaluation, k: int) -> PerUser:
    """Mean of -log2(n_i / sum n) over the items shown, in bits (Vargas and Castells 2011: "EFD").

    n_i counts training positives; an item without any is given the value of an item with one.
    """
    yardstick = evaluation.yardstick
    bits = yardstick.tables.get("self_information", lambda: maths.self_information(yardstick.split.train))
    shown = picks(evaluation, k)
    convention = (
        "-log2(count / sum of counts) in bits, unseen items as seen once; mean over the items shown; "
        "mean over users with a slate"
    )
    return PerUser(divide(shown @ bits, np.diff(shown.indptr)), convention, 1)
