"""Filter, then split: train, validation and test of one dataset, by four rules named for what they do.

Every rule takes a `Dataset` and returns a `Split`:

* rows without consent are left out before anything else, as if the data did not have them, where it has the column
  `consent`; `sources` names those whose rows are used, where it has the column `source` (None: all of them);
* `positive` says which rows are positives: "rating >= 4" (NAME OP NUMBER), or None for every row; NAME is rating,
  weight, or what the table itself calls the column;
* users with fewer than `min_user_interactions` and items with fewer than `min_item_interactions` positives are taken
  out until none is left to take out (the iterated k-core); 0 keeps also those without any positive;
* a pair (user, item) counts once, at the time of its first positive row, or of its first row where none is
  positive; a pair that is positive at one time and below the threshold at another is a positive;
* rows below the threshold are never targets: those met before a cut are kept beside the positives, `*_negatives`;
* held-out positives of items that nobody has in `train` are taken out (`cold_items="drop"`) or left in ("keep").
  What validation loses is no target, but a positive of the final fit on train + validation;
* ties in time, and all of `random`, are decided by one number per (seed, user id, item id): neither the order
  of rows nor the presence of other users changes it;
* all of that is counted in `Split.counts` and said in `Split.notes`.
"""

from recsys.splits.kinds import global_time, leave_last, per_user_time, random
from recsys.splits.wholes import no_holdout as no_holdout

__all__ = ["global_time", "leave_last", "per_user_time", "random"]
