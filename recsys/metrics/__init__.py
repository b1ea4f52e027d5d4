"""Metrics: functions of an evaluation and a cut-off k; a config can name those in `__all__`."""

from recsys.metrics.account_gaps import account_gap
from recsys.metrics.accuracy import average_precision, hit_rate, mrr, ndcg, precision, rbp, recall
from recsys.metrics.aspects import alpha_ndcg, binomial_diversity, cpr, err_ia, subtopic_recall
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
from recsys.metrics.serendipities import (
    serendipity,
    serendipity_ge,
    serendipity_popularity,
    surprise,
    topic_serendipity,
)
from recsys.metrics.slate_regret import slate_regret_cooccurrence, slate_regret_features
from recsys.metrics.unexplored_regions import (
    discovery,
    discovery_content,
    discovery_own,
    discovery_two_witnesses,
    unexplored_share,
    unexplored_share_content,
    unexplored_share_own,
)

# What a benchmark computes unless its config names others: one or two of a family, no restatements of each other.
STANDARD = [
    "calibration_kl", "coverage", "discovery", "discovery_content", "discovery_own", "exposure_deficit",
    "exposure_deficit_own", "gini", "hit_rate", "ild_cooccurrence", "ild_features", "mrr", "ndcg", "precision",
    "recall", "self_information", "serendipity", "unexplored_share", "unexplored_share_content",
    "unexplored_share_own",
]  # fmt: skip

__all__ = [
    "account_gap", "aclt", "alpha_ndcg", "aplt", "arp", "average_precision", "binomial_diversity",
    "calibration_hellinger", "calibration_js", "calibration_kl", "calibration_kl_ranked", "calibration_radio",
    "calibration_tv", "coverage", "cpr", "discovery", "discovery_content", "discovery_own",
    "discovery_two_witnesses", "efd",
    "effective_catalogue", "eild_cooccurrence", "eild_features", "epc", "epd", "err_ia", "evenness",
    "exposure_deficit", "exposure_deficit_own", "fragmentation", "gini", "herfindahl", "hit_rate", "ild_cooccurrence",
    "ild_features", "mean_inter_list", "mrr", "ndcg", "never_shown", "out_of_bubble_recall", "over_exposure",
    "over_exposure_near", "popularity_lift", "precision", "rbp", "recall", "self_information", "serendipity",
    "serendipity_ge", "serendipity_popularity", "shannon_entropy", "slate_regret_cooccurrence",
    "slate_regret_features", "subtopic_recall", "surprise", "topic_serendipity", "under_exposure",
    "under_exposure_near", "unexplored_share", "unexplored_share_content", "unexplored_share_own", "upd",
    "vendi_cooccurrence", "vendi_features", "zero_exposure_share",
]  # fmt: skip
