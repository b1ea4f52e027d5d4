"""Reader of a sample of a dataset's users, for configs of logs that are too large to be measured whole."""

from typing import TYPE_CHECKING

import numpy as np

import recsys

if TYPE_CHECKING:
    import pandas as pd


def read_sampled_users(card: str, users: int, seed: int = 0) -> "pd.DataFrame":
    """Return user and item of all interactions of `users` users of a dataset, drawn without replacement."""
    import pandas as pd

    log = recsys.load_dataset(card, quiet=True).interactions
    chosen = np.random.default_rng(seed).choice(len(log.user_ids), users, replace=False)
    kept = np.isin(log.user, chosen)
    return pd.DataFrame({"user_id": log.user_ids[log.user[kept]], "item_id": log.item_ids[log.item[kept]]})
