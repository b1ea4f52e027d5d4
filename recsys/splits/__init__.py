"""Filter, then split: train, validation and test of one dataset, by four rules named for what they do.

The namespace is the registry: a kind in a config is a name in `__all__`, or "package.module:function". A split of one's
own is one function (`define_split`). Every split takes a `Dataset` and returns a `Split`:

* rows without consent are left out before anything else, as if the data did not have them, where it has the column
  `consent`; `sources` names those whose rows are used, where it has the column `source` (None: all of them);
  `purposes` names those that a row has to permit, every one of them, where it has the column `purposes` (None: rows
  that permit nothing are left out); so are those that a forget list names whose lines hold (`forget_list`, the path of
  its file or what `recsys.control.forget_lists.read_forget_list` returned);
* `topics` is a policy of topics (`recsys.control.topics.read_topic_policy`): rows of items of its sensitive ones are
  left out in the same way, and with them these items (None: no policy);
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

from recsys.splits.define import define_split as define_split
from recsys.splits.held_out_repeats import hold_out_repeats as hold_out_repeats
from recsys.splits.kinds import *  # noqa: F403  its names are the registry
from recsys.splits.kinds import __all__ as __all__
from recsys.splits.pairs import Pairs as Pairs
from recsys.splits.parts import PartAssignment as PartAssignment
from recsys.splits.parts import count_shares as count_shares
from recsys.splits.parts import hold_out_last as hold_out_last
from recsys.splits.permissions import select_permitted_exposures as select_permitted_exposures
from recsys.splits.repeats import select_purchases as select_purchases
from recsys.splits.wholes import no_holdout as no_holdout
