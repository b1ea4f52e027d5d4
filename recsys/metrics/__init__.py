"""Metrics: a function of an evaluation and a cut-off k; what is in `__all__` can be named in a config."""

from recsys.metrics.accounts import account_gap
from recsys.metrics.accuracy import average_precision, hit_rate, mrr, ndcg, precision, rbp, recall
from recsys.metrics.aspects import alpha_ndcg, binomial_diversity, cpr, err_ia, subtopic_recall
from recsys.metrics.bubbles import (
    discovery,
    discovery_content,
    discovery_own,
    untouched_share,
    untouched_share_content,
    untouched_share_own,
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
from recsys.metrics.crowdings import (
    amplification,
    amplification_near,
    crowd_out,
    crowd_out_near,
    exposure_desert,
)
from recsys.metrics.deficits import deficit, deficit_own, out_of_bubble_recall
from recsys.metrics.diversity import (
    eild_cooccurrence,
    eild_features,
    ild_cooccurrence,
    ild_features,
    vendi_cooccurrence,
    vendi_features,
)
from recsys.metrics.fragmentations import fragmentation
from recsys.metrics.novelty import efd, epc, epd, self_information
from recsys.metrics.popularity import aclt, aplt, arp, popularity_lift, upd
from recsys.metrics.regrets import slate_regret_cooccurrence, slate_regret_features
from recsys.metrics.serendipities import (
    serendipity,
    serendipity_ge,
    serendipity_popularity,
    surprise,
    topic_serendipity,
)

# What a benchmark computes unless its config names others: one or two of a family, no restatements of each other.
STANDARD = [
    "calibration_kl", "coverage", "deficit", "deficit_own", "discovery", "discovery_content", "discovery_own",
    "gini", "hit_rate", "ild_cooccurrence", "ild_features", "mrr", "ndcg", "precision", "recall",
    "self_information", "serendipity", "untouched_share", "untouched_share_content", "untouched_share_own",
]  # fmt: skip

__all__ = [
    "account_gap", "aclt", "alpha_ndcg", "amplification", "amplification_near", "aplt", "arp", "average_precision",
    "binomial_diversity", "calibration_hellinger", "calibration_js", "calibration_kl", "calibration_kl_ranked",
    "calibration_radio", "calibration_tv", "coverage", "cpr", "crowd_out", "crowd_out_near", "deficit", "deficit_own",
    "discovery", "discovery_content", "discovery_own", "efd", "effective_catalogue", "eild_cooccurrence",
    "eild_features", "epc", "epd", "err_ia", "evenness", "exposure_desert", "fragmentation", "gini", "herfindahl",
    "hit_rate", "ild_cooccurrence", "ild_features", "mean_inter_list", "mrr", "ndcg", "never_shown",
    "out_of_bubble_recall", "popularity_lift", "precision", "rbp", "recall", "self_information", "serendipity",
    "serendipity_ge", "serendipity_popularity", "shannon_entropy", "slate_regret_cooccurrence", "slate_regret_features",
    "subtopic_recall", "surprise", "topic_serendipity", "untouched_share", "untouched_share_content",
    "untouched_share_own", "upd", "vendi_cooccurrence", "vendi_features",
]  # fmt: skip
