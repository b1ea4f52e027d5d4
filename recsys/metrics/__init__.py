"""Metrics: functions of an evaluation and a cut-off k; a config can name those in `__all__`.

Beside them stand the tables of a run that a metric of one's own may need: `get_shown_matrix`, `make_hit_matrix`,
`count_hits`, `count_test_positives`, `get_item_popularity`, `mask_untested_users`, `divide_or_nan`, and
`make_catalogue_metric` for a statistic of how often each item is shown.
"""

from recsys.metrics._hits import count_hits as count_hits
from recsys.metrics._hits import make_hit_matrix as make_hit_matrix
from recsys.metrics._shared import count_test_positives as count_test_positives
from recsys.metrics._shared import divide_or_nan as divide_or_nan
from recsys.metrics._shared import get_item_popularity as get_item_popularity
from recsys.metrics._shared import get_shown_matrix as get_shown_matrix
from recsys.metrics._shared import make_catalogue_metric as make_catalogue_metric
from recsys.metrics._shared import mask_untested_users as mask_untested_users
from recsys.metrics.account_gaps import account_gap
from recsys.metrics.accuracy import average_precision, hit_rate, mrr, ndcg, precision, rbp, recall
from recsys.metrics.aspects import alpha_ndcg, binomial_diversity, cpr, err_ia, subtopic_recall
from recsys.metrics.bought_again import (
    explore_precision,
    explore_recall,
    over_advertising,
    repeat_precision,
    repeat_recall,
)
from recsys.metrics.calibration import (
    calibration_hellinger,
    calibration_js,
    calibration_kl,
    calibration_kl_ranked,
    calibration_radio,
    calibration_tv,
)
from recsys.metrics.catalogue import (
    coverage,
    effective_catalogue,
    evenness,
    gini,
    herfindahl,
    mean_inter_list,
    never_shown,
    shannon_entropy,
)
from recsys.metrics.diversity import (
    eild_cooccurrence,
    eild_features,
    ild_cooccurrence,
    ild_features,
    vendi_cooccurrence,
    vendi_features,
)
from recsys.metrics.exposure import (
    over_exposure,
    over_exposure_near,
    under_exposure,
    under_exposure_near,
    zero_exposure_share,
)
from recsys.metrics.exposure_deficits import exposure_deficit, exposure_deficit_own, out_of_bubble_recall
from recsys.metrics.fragmentations import fragmentation
from recsys.metrics.novelty import efd, epc, epd, self_information
from recsys.metrics.popularity import aclt, aplt, arp, popularity_lift, upd
from recsys.metrics.reliabilities import expected_calibration_error
from recsys.metrics.repeats import repeat_share
from recsys.metrics.serendipities import (
    serendipity,
    serendipity_ge,
    serendipity_popularity,
    surprise,
    topic_serendipity,
)
from recsys.metrics.slate_regret import slate_regret_cooccurrence, slate_regret_features
from recsys.metrics.stratified import (
    discovery_head,
    discovery_middle,
    discovery_tail,
    stratified_discovery,
    stratified_ndcg,
    stratified_recall,
)
from recsys.metrics.unexplored_regions import (
    discovery,
    discovery_content,
    discovery_own,
    discovery_two_witnesses,
    unexplored_share,
    unexplored_share_content,
    unexplored_share_own,
)

# The two axes on which a loss of accuracy is counted and bounded: a log pays `ndcg` for popular items.
ACCURACY_AXES = ("ndcg", "stratified_recall")

# What a benchmark computes unless its config names others: one or two of a family, no restatements of each other.
STANDARD = [
    "calibration_kl",
    "coverage",
    "discovery",
    "discovery_content",
    "discovery_head",
    "discovery_middle",
    "discovery_own",
    "discovery_tail",
    "exposure_deficit",
    "exposure_deficit_own",
    "gini",
    "hit_rate",
    "ild_cooccurrence",
    "ild_features",
    "mrr",
    "ndcg",
    "precision",
    "recall",
    "self_information",
    "serendipity",
    "stratified_discovery",
    "stratified_ndcg",
    "stratified_recall",
    "unexplored_share",
    "unexplored_share_content",
    "unexplored_share_own",
]

__all__ = [
    "account_gap",
    "aclt",
    "alpha_ndcg",
    "aplt",
    "arp",
    "average_precision",
    "binomial_diversity",
    "calibration_hellinger",
    "calibration_js",
    "calibration_kl",
    "calibration_kl_ranked",
    "calibration_radio",
    "calibration_tv",
    "coverage",
    "cpr",
    "discovery",
    "discovery_content",
    "discovery_head",
    "discovery_middle",
    "discovery_own",
    "discovery_tail",
    "discovery_two_witnesses",
    "efd",
    "effective_catalogue",
    "eild_cooccurrence",
    "eild_features",
    "epc",
    "epd",
    "err_ia",
    "evenness",
    "expected_calibration_error",
    "explore_precision",
    "explore_recall",
    "exposure_deficit",
    "exposure_deficit_own",
    "fragmentation",
    "gini",
    "herfindahl",
    "hit_rate",
    "ild_cooccurrence",
    "ild_features",
    "mean_inter_list",
    "mrr",
    "ndcg",
    "never_shown",
    "out_of_bubble_recall",
    "over_advertising",
    "over_exposure",
    "over_exposure_near",
    "popularity_lift",
    "precision",
    "rbp",
    "recall",
    "repeat_precision",
    "repeat_recall",
    "repeat_share",
    "self_information",
    "serendipity",
    "serendipity_ge",
    "serendipity_popularity",
    "shannon_entropy",
    "slate_regret_cooccurrence",
    "slate_regret_features",
    "stratified_discovery",
    "stratified_ndcg",
    "stratified_recall",
    "subtopic_recall",
    "surprise",
    "topic_serendipity",
    "under_exposure",
    "under_exposure_near",
    "unexplored_share",
    "unexplored_share_content",
    "unexplored_share_own",
    "upd",
    "vendi_cooccurrence",
    "vendi_features",
    "zero_exposure_share",
]
