import numpy as np
import pandas as pd

from recsys.reports import Results

BLENDS = {
    # blend: (share of ndcg lost, share of discovery won, bits of novelty won) at the largest weight
    "mmr": (0.05, 0.12, 0.35),
    "dpp": (0.04, 0.09, 0.30),
    "calibration": (0.10, -0.45, 0.05),
    "novelty": (0.24, 0.18, 1.60),
    "serendipity": (0.12, 0.22, 0.90),
    "exploration_ucb": (0.09, 0.10, 0.80),
    "exploration_thompson": (0.07, 0.05, 0.45),
    "negative_space": (0.04, 0.34, 0.25),
    "untouched": (0.03, 0.41, 0.40),
    "noise": (0.08, -0.03, 0.20),
}
FAMILIES = {
    "accuracy": ["ndcg", "recall", "precision", "hit_rate", "mrr"],
    "novelty": ["self_information"],
    "diversity": ["ild_features", "ild_cooccurrence"],
    "catalogue": ["coverage", "gini"],
    "calibration": ["calibration_kl"],
    "serendipity": ["serendipity"],
    "discovery": [
        "discovery", "discovery_own", "discovery_content",
        "untouched_share", "untouched_share_own", "untouched_share_content",
    ],
    "negative space": ["deficit", "deficit_own"],
}  # fmt: skip
# metric: value of the base, half an interval as a share of it, direction, what drives it
METRICS = {
    "ndcg": (0.302, 0.035, 1, "loss"), "recall": (0.214, 0.045, 1, "loss"), "precision": (0.198, 0.04, 1, "loss"),
    "hit_rate": (0.741, 0.03, 1, "loss"), "mrr": (0.462, 0.05, 1, "loss"),
    "self_information": (9.14, 0.006, 1, "bits"), "ild_features": (0.612, 0.012, 1, "gain"),
    "ild_cooccurrence": (0.571, 0.01, 1, "gain"), "coverage": (0.384, 0.02, 1, "gain"), "gini": (0.871, 0.008, -1, "loss"),
    "calibration_kl": (0.482, 0.03, -1, "gain"), "serendipity": (0.061, 0.09, 1, "gain"),
    "discovery": (0.0412, 0.21, 1, "gain"), "discovery_own": (0.0388, 0.2, 1, "gain"),
    "discovery_content": (0.0297, 0.3, 1, "gain"), "untouched_share": (0.143, 0.03, 1, "gain"),
    "untouched_share_own": (0.131, 0.03, 1, "gain"), "untouched_share_content": (0.092, 0.04, 1, "gain"),
    "deficit": (0.517, 0.015, -1, "loss"), "deficit_own": (0.496, 0.015, -1, "loss"),
}  # fmt: skip
CONTROLS = {"most_popular": (0.47, -0.35, -1.6), "random": (0.965, -0.72, 3.4), "random_rerank": (0.71, -0.28, 1.2)}
HOSTILE = "</script><script>alert('x')</script><img src=x onerror=\"alert(1)\">&amp;"


def moved(metric: str, effect: tuple[float, float, float]) -> float:
    """The value of a metric under an effect on ndcg, discovery and bits."""
    base, _, direction, driver = METRICS[metric]
    loss, gain, bits = effect
    if driver == "bits":
        return base + bits
    return base * (1 - loss) if driver == "loss" else base * (1 + gain * (direction or 1))


def make_runs() -> list[tuple[str, str, str, float, tuple[float, float, float]]]:
    """Run, kind, blend, weight and effect."""
    runs: list[tuple[str, str, str, float, tuple[float, float, float]]] = [
        (name, "control", name, np.nan, effect) for name, effect in CONTROLS.items()
    ]
    runs += [("als", "base", "als", np.nan, (0.0, 0.0, 0.0)), ("ease", "model", "ease", np.nan, (-0.06, -0.04, -0.3))]
    for blend, effect in BLENDS.items():
        for weight, share in ((0.05, 0.25), (0.1, 0.5), (0.2, 1.0)):
            loss, gain, bits = effect
            runs.append((f"{blend}-{weight}", "blend", blend, weight, (loss * share**1.6, gain * share, bits * share)))
    return runs


def make_results(seed: int = 0) -> Results:
    """Forty runs as a benchmark of ml-100k would have them."""
    generator = np.random.default_rng(seed)
    summary, differences = [], []
    for run, kind, blend, weight, effect in make_runs():
        seconds = generator.uniform(0.02, 4.0)
        for metric, (base, half, direction, _) in METRICS.items():
            for k, factor in ((5, 0.93), (10, 1.0), (20, 1.08)):
                noise = generator.normal(0, 0.15 * half * base)
                value = factor * (moved(metric, effect) + (noise if kind != "base" else 0.0))
                wide, discovers = half * abs(value), metric.startswith("discovery")
                users = 212.0 if discovers else 941.0
                held_out = 431.0 if discovers else 0.236 if metric.startswith("untouched_share") else np.nan
                summary.append((
                    run, kind, blend, weight, metric, k, value, value - wide, value + wide, users,
                    f"{metric} as the documentation defines it; mean over users with held-out positives", direction,
                    seconds, round(57 * value / base) if discovers else np.nan, held_out,
                ))  # fmt: skip
                if kind != "base":
                    d, w = value - factor * base, 0.45 * half * base
                    differences.append((
                        run, "als", metric, k, d, d - w, d + w, d / (factor * base), (d - w) / (factor * base),
                        (d + w) / (factor * base), float(np.exp(-abs(d / w) * 3)), 1.43 * w, users,
                    ))  # fmt: skip
    columns = (
        "run", "kind", "blend", "weight", "metric", "k", "value", "ci_low", "ci_high", "n_users", "convention",
        "direction", "seconds", "hits", "held_out",
    )  # fmt: skip
    against = (
        "run", "against", "metric", "k", "difference", "ci_low", "ci_high", "relative", "relative_low",
        "relative_high", "p_value", "detectable", "n_users",
    )  # fmt: skip
    return Results(
        summary=pd.DataFrame(summary, columns=list(columns)),
        differences=pd.DataFrame(differences, columns=list(against)),
        facts=FACTS,
        k=10,
        base="als",
        families=FAMILIES,
    )


FACTS = {
    "data": {
        "name": "ml-100k", "fingerprint": "3f5a9c0e8d1b47a2", "licence": "GroupLens research licence, no commercial use",
        "users": 941, "items": 1447, "interactions": 100000, "positives": 54413, "density": 0.0399,
        "source": "https://files.grouplens.org/datasets/movielens/ml-100k.zip",
    },
    "filter": {"positive": "rating >= 4", "min_user": 10, "min_item": 5, "users dropped": 2, "items dropped": 235},
    "split": {
        "kind": "per_user_time", "validation": 0.1, "test": 0.2, "train positives": 38291, "test positives": 10852,
        "notes": [
            "Each user is cut at their own time: a model has seen other users' later interactions.",
            "118 test items are unseen in training and were kept.",
        ],
    },
    "models": {
        "als": {"factors": 64, "regularization": 0.05, "alpha": 20.0, "iterations": 15, "seed": 0},
        "ease": {"l2": 250.0},
    },
    "pool": {"n": 200, "history": "exclude"},
    "blends": {
        name: {"relevance": 1.0, name: {"weight": [0.05, 0.1, 0.2]}, "guards": []} for name in BLENDS
    },
    "audit maps": {"methods": ["k-means", "Ward", "Louvain"], "maps": 24, "protocol": "audit-1"},
    "seeds": {"seed": 0},
    "versions": {"recsys": "0.1.0", "python": "3.11.9", "numpy": "2.4.0", "scipy": "1.17.0", "numba": "0.63.1"},
    "machine": {"system": "Linux 6.8 x86_64", "cores": 2, "memory": "8 GiB"},
    "git commit": "8f66335",
    "seconds": 71.4,
    "notes": ["Repeated pairs: 0.", "exploration_thompson: one draw per user."],
    "citation": "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context.\n"
    "ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19.",
}  # fmt: skip
