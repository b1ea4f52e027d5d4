"""Every metric of one user, or of all slates, from sets and loops."""

import itertools
import math
from collections import Counter

import numpy as np

from recsys.maths.distributions import cluster_users, nearby_community_mixes, user_mixes
from recsys.maths.embeddings import cooccurrence_vectors
from recsys.support import rng
from recsys.testing import make_evaluation as make_evaluation


class ReferenceMetrics:
    """Every metric of one user at one k, from sets and loops."""

    def __init__(self, evaluation, user, k):
        truth = evaluation.truth
        self.split, self.truth, self.k = truth.split, truth, k
        self.slate = [int(i) for i in evaluation.items[user, :k] if i >= 0]
        self.ranked = {int(i): r + 1 for r, i in enumerate(evaluation.items[user, :k]) if i >= 0}
        self.test, self.train = (set(np.flatnonzero(m.toarray()[user])) for m in (self.split.test, self.split.train))
        self.user, self.evaluation = user, evaluation

    def if_tested(self, value):
        return value() if self.test else math.nan

    def ndcg(self):
        gain = sum(1 / math.log2(r + 1) for i, r in self.ranked.items() if i in self.test)
        return self.if_tested(lambda: gain / sum(1 / math.log2(r + 2) for r in range(min(self.k, len(self.test)))))

    def recall(self):
        return self.if_tested(lambda: len(self.test & set(self.slate)) / len(self.test))

    def share_of_part(self, part, whole):
        return len(part & set(self.slate)) / whole if whole else math.nan

    def repeat_recall(self):
        return self.share_of_part(self.test & self.train, len(self.test & self.train))

    def explore_recall(self):
        return self.share_of_part(self.test - self.train, len(self.test - self.train))

    def repeat_precision(self):
        return self.if_tested(lambda: self.share_of_part(self.test & self.train, self.k))

    def explore_precision(self):
        return self.if_tested(lambda: self.share_of_part(self.test - self.train, self.k))

    def over_advertising(self):
        due, now = self.truth.repeats.due_from.toarray()[self.user], self.truth.repeats.now
        return sum(due[i] > now for i in self.slate) / len(self.slate) if self.slate else math.nan

    def credit(self, item):
        return max(self.count_positives()[item], 1) ** -self.truth.popularity_exponent

    def stratified_recall(self):
        found = sum(self.credit(i) for i in self.test & set(self.slate))
        return self.if_tested(lambda: found / sum(map(self.credit, self.test)))

    def stratified_ndcg(self):
        gain = sum(self.credit(i) / math.log2(r + 1) for i, r in self.ranked.items() if i in self.test)
        ideal = sorted(map(self.credit, self.test), reverse=True)[: self.k]
        return self.if_tested(lambda: gain / sum(c / math.log2(r + 1) for r, c in enumerate(ideal, 1)))

    def stratified_discovery(self):
        values = []
        for taste_map in self.truth.audit_maps:
            wanted, _ = self.unexplored(taste_map, self.test)
            best = sorted(map(self.credit, wanted), reverse=True)[: self.k]
            values.append(sum(self.credit(i) for i in wanted if i in self.slate) / sum(best) if wanted else math.nan)
        return values

    def third(self, item):
        n = self.count_positives()
        more = sum(c for c in n if c > n[item])
        return 2 if n[item] == 0 or more >= 2 / 3 * sum(n) - 1e-9 else 1 if more >= sum(n) / 3 - 1e-9 else 0

    def discovery_of_third(self, third):
        values = []
        for taste_map in self.truth.audit_maps:
            wanted = [i for i in self.unexplored(taste_map, self.test)[0] if self.third(i) == third]
            hits = len(set(wanted) & set(self.slate))
            values.append(hits / min(self.k, len(wanted)) if wanted else math.nan)
        return values

    def discovery_head(self):
        return self.discovery_of_third(0)

    def discovery_middle(self):
        return self.discovery_of_third(1)

    def discovery_tail(self):
        return self.discovery_of_third(2)

    def precision(self):
        return self.if_tested(lambda: len(self.test & set(self.slate)) / self.k)

    def hit_rate(self):
        return self.if_tested(lambda: float(bool(self.test & set(self.slate))))

    def mrr(self):
        return self.if_tested(lambda: max((1 / r for i, r in self.ranked.items() if i in self.test), default=0.0))

    def self_information(self):
        counts = self.split.train.toarray().sum(axis=0)
        bits = [-math.log2(max(counts[i], 1) / max(counts.sum(), 1)) for i in self.slate]
        return sum(bits) / len(bits) if bits else math.nan

    def repeat_share(self):
        shown = self.truth.exposures
        before = {int(i) for i in shown.items[shown.pointers[self.user] : shown.pointers[self.user + 1]]}
        return sum(i in before for i in self.slate) / len(self.slate) if self.slate else math.nan

    def ild(self, vectors):
        usable = [vectors[i] for i in self.slate if vectors[i].any()]
        far = [1 - a @ b / math.sqrt(a @ a) / math.sqrt(b @ b) for a, b in itertools.combinations(usable, 2)]
        return sum(far) / len(far) if far else math.nan

    def ild_features(self):
        return self.ild(self.split.items.features.toarray().astype(float))

    def ild_cooccurrence(self):
        return self.ild(cooccurrence_vectors(self.split.train).astype(float))

    def serendipity(self):
        vectors = cooccurrence_vectors(self.split.train).astype(float)
        if not self.test or not self.train:
            return math.nan
        near = {i: max(0.0, *(vectors[i] @ vectors[j] for j in self.train)) for i in self.test & set(self.slate)}
        return sum(1 - n for n in near.values()) / self.k

    def calibration_kl(self):
        features = self.split.items.features.toarray().astype(float)

        def mix(items):
            known = [features[i] / features[i].sum() for i in items if features[i].any()]
            return sum(known) / len(known) if known else None

        p, q = mix(self.train), mix(self.slate)
        if p is None or q is None:
            return math.nan
        return sum(a * math.log(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True) if a > 0)

    def unexplored(self, taste_map, items):
        region = {i: row.argmax() for i, row in enumerate(taste_map.assignment.toarray()) if row.any()}
        met = {region[i] for i in self.train if i in region}
        known = [i for i in items if i in region]
        return [i for i in known if region[i] not in met], known

    def discovery(self, maps="audit_maps"):
        values = []
        for taste_map in getattr(self.truth, maps):
            wanted, _ = self.unexplored(taste_map, self.test)
            hits = len(set(wanted) & set(self.slate))
            values.append(hits / min(self.k, len(wanted)) if wanted else math.nan)
        return values

    def discovery_two_witnesses(self):
        values = []
        for one, other in zip(self.truth.audit_maps, self.truth.witness_maps, strict=True):
            wanted = set(self.unexplored(one, self.test)[0]) & set(self.unexplored(other, self.test)[0])
            values.append(len(wanted & set(self.slate)) / min(self.k, len(wanted)) if wanted else math.nan)
        return values

    def unexplored_share(self, maps="audit_maps"):
        values = []
        for taste_map in getattr(self.truth, maps):
            new, known = self.unexplored(taste_map, self.slate)
            values.append(len(new) / len(known) if known else math.nan)
        return values

    def exposure_deficit(self, maps="audit_maps"):
        values = []
        label = cluster_users(self.split.train, rng.derive_seed(self.split.seed, "judge"))
        for taste_map in getattr(self.truth, maps):
            q = nearby_community_mixes(user_mixes(self.split.train, taste_map.assignment), label)[self.user]
            shown = sum((taste_map.assignment.toarray()[i] for i in self.slate), np.zeros(len(q))) / self.k
            values.append(sum(max(0.0, a - e) for a, e in zip(q, shown, strict=True)) / sum(q))
        return values

    def average_precision(self):
        hits = [i in self.test for i in self.slate]
        total = sum(sum(hits[: r + 1]) / (r + 1) for r, hit in enumerate(hits) if hit)
        return self.if_tested(lambda: total / min(self.k, len(self.test)))

    def rbp(self):
        return self.if_tested(lambda: 0.2 * sum(0.8 ** (r - 1) for i, r in self.ranked.items() if i in self.test))

    def count_positives(self):
        return self.split.train.toarray().sum(axis=0)

    def discounted_hit_mean(self, value_of):
        """Discounted mean over the k slots of what hits are worth."""
        ideal = sum(1 / math.log2(r + 1) for r in range(1, self.k + 1))
        worth = (value_of(i) / math.log2(r + 1) for i, r in self.ranked.items() if i in self.test)
        return self.if_tested(lambda: sum(worth) / ideal)

    def epc(self):
        readers = sum(row.any() for row in self.split.train.toarray())
        return self.discounted_hit_mean(lambda i: 1 - self.count_positives()[i] / readers)

    def efd(self):
        counts = self.count_positives()
        return self.discounted_hit_mean(lambda i: -math.log2(max(counts[i], 1) / counts.sum()))

    def epd(self):
        vectors = cooccurrence_vectors(self.split.train).astype(float)
        if not self.train:
            return math.nan
        return self.discounted_hit_mean(lambda i: np.mean([1 - vectors[i] @ vectors[j] for j in self.train]))

    def arp(self):
        return np.mean([self.count_positives()[i] for i in self.slate]) if self.slate else math.nan

    def share_of_more_popular(self, item):
        """Share of all positives that strictly more popular items have."""
        counts = self.count_positives()
        return sum(n for n in counts if n > counts[item]) / counts.sum()

    def aclt(self):
        return sum(self.share_of_more_popular(i) >= 0.8 for i in self.slate) if self.slate else math.nan

    def aplt(self):
        return self.aclt() / len(self.slate) if self.slate else math.nan

    def popularity_lift(self):
        users = [ReferenceMetrics(self.evaluation, user, self.k) for user in range(len(self.evaluation.items))]
        means = [np.mean([u.count_positives()[i] for i in u.train]) for u in users if u.train and u.slate]
        if not self.train or not self.slate:
            return math.nan
        return (self.arp() - np.mean([self.count_positives()[i] for i in self.train])) / np.mean(means)

    def js(self, p, q):
        m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
        return sum(
            a * math.log2(a / c) / 2 for mix in (p, q) for a, c in zip(mix, m, strict=True) if a > 0
        )  # fmt: skip

    def upd(self):
        if not self.train or not self.slate:
            return math.nan
        mixes = []
        for items in (self.train, self.slate):
            groups = Counter(
                "head"
                if self.share_of_more_popular(i) < 0.2
                else "tail"
                if self.share_of_more_popular(i) >= 0.8
                else "mid"
                for i in items
            )
            mixes.append([groups[g] / len(items) for g in ("head", "mid", "tail")])
        return self.js(*mixes)

    def eild(self, vectors):
        known = {i: r - 1 for i, r in self.ranked.items() if i in self.test and vectors[i].any()}
        unit = {i: vectors[i] / math.sqrt(vectors[i] @ vectors[i]) for i in known}
        total = 0.0
        for i, r in known.items():
            pairs = [(1 / math.log2(max(0, q - r - 1) + 2), 1 - unit[i] @ unit[j]) for j, q in known.items() if j != i]
            if pairs:
                total += sum(w * d for w, d in pairs) / sum(w for w, _ in pairs) / math.log2(r + 2)
        return self.if_tested(lambda: total / sum(1 / math.log2(r + 2) for r in range(self.k)))

    def eild_features(self):
        return self.eild(self.split.items.features.toarray().astype(float))

    def eild_cooccurrence(self):
        return self.eild(cooccurrence_vectors(self.split.train).astype(float))

    def vendi(self, vectors):
        usable = np.array([vectors[i] / math.sqrt(vectors[i] @ vectors[i]) for i in self.slate if vectors[i].any()])
        if not len(usable):
            return math.nan
        values = [v for v in np.linalg.eigvalsh(usable @ usable.T / len(usable)) if v > 1e-12]
        return math.exp(-sum(v * math.log(v) for v in values))

    def vendi_features(self):
        return self.vendi(self.split.items.features.toarray().astype(float))

    def vendi_cooccurrence(self):
        return self.vendi(cooccurrence_vectors(self.split.train).astype(float))

    def features(self, item):
        return set(np.flatnonzero(self.split.items.features.toarray()[item]))

    def alpha_gain(self, item, before):
        return sum(0.5 ** sum(f in self.features(j) for j in before) for f in self.features(item))

    def alpha_ndcg(self):
        left, ideal = sorted(self.test, key=lambda i: self.split.items.ids[i]), []
        while left and len(ideal) < self.k:
            ideal.append(max(left, key=lambda i: self.alpha_gain(i, ideal)))
            left.remove(ideal[-1])
        best = sum(self.alpha_gain(i, ideal[:r]) / math.log2(r + 2) for r, i in enumerate(ideal))
        hits = [(r, i) for i, r in self.ranked.items() if i in self.test]
        found = sum(self.alpha_gain(i, [j for q, j in hits if q < r]) / math.log2(r + 1) for r, i in hits)
        return found / best if best else math.nan

    def history_mix(self):
        features = self.split.items.features.toarray().astype(float)
        known = [features[i] / features[i].sum() for i in self.train if features[i].any()]
        return sum(known) / len(known) if known else None

    def err_ia(self):
        p = self.history_mix()
        if p is None or not self.test:
            return math.nan
        total = 0.0
        for feature, share in enumerate(p):
            left = 1.0
            for i, r in self.ranked.items():
                if i in self.test and feature in self.features(i):
                    total += share * left * 0.5 / r
                    left *= 0.5
        return total

    def subtopic_recall(self):
        everything = set().union(*(self.features(i) for i in range(len(self.split.items.ids))))
        seen = set().union(*(self.features(i) for i in self.slate))
        return len(seen) / len(everything) if self.slate else math.nan

    def history_feature_shares(self):
        n = self.split.items.features.shape[1]
        return [np.mean([f in self.features(i) for i in self.train]) for f in range(n)]

    def cpr(self):
        if self.history_mix() is None or not self.slate:
            return math.nan
        share, total = self.history_feature_shares(), 0.0
        for r in range(1, self.k + 1):
            first = self.slate[:r]
            counts = [sum(f in self.features(i) for i in first) for f in range(len(share))]
            nr = r - sum(bool(self.features(i)) for i in first)
            dp = sum((r * p - c) ** 2 for p, c in zip(share, counts, strict=True) if r * p >= c) + nr**2 / 2
            total += 1 - dp / (sum((r * p) ** 2 for p in share) + r**2 / 2)
        return total / self.k

    def binomial_diversity(self):
        if not self.train or not self.slate:
            return math.nan
        matrix, features = self.split.train.toarray(), self.split.items.features.toarray()
        everybody = matrix.sum(axis=0) @ features / matrix.sum()
        n, value = self.k, 1.0
        chances = [(a + b) / 2 for a, b in zip(self.history_feature_shares(), everybody, strict=True)]
        counts = [sum(f in self.features(i) for i in self.slate) for f in range(len(chances))]
        present = sum(c > 0 for c in counts)
        for p, c in zip(chances, counts, strict=True):
            none = (1 - p) ** n
            more = sum(math.comb(n, x) * p**x * (1 - p) ** (n - x) for x in range(c, n + 1))
            value *= (more / (1 - none)) ** (1 / present) if c else none ** (1 / len(chances))
        return value

    def calibration(self, distance, weight=lambda r: 1.0):
        features = self.split.items.features.toarray().astype(float)
        known = [(weight(r), features[i] / features[i].sum()) for i, r in self.ranked.items() if features[i].any()]
        p = self.history_mix()
        if p is None or not known:
            return math.nan
        return distance(p, sum(w * mix for w, mix in known) / sum(w for w, _ in known))

    def calibration_kl_ranked(self):
        def kl(p, q):
            return sum(a * math.log(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True) if a > 0)

        return self.calibration(kl, lambda r: 1 / math.log2(r + 1))

    def calibration_js(self):
        return self.calibration(self.js)

    def calibration_hellinger(self):
        return self.calibration(lambda p, q: math.sqrt(sum((math.sqrt(a) - math.sqrt(b)) ** 2 for a, b in zip(p, q, strict=True)) / 2))  # fmt: skip

    def calibration_tv(self):
        return self.calibration(lambda p, q: sum(abs(a - b) for a, b in zip(p, q, strict=True)) / 2)

    def calibration_radio(self):
        return self.calibration(
            lambda p, q: math.sqrt(self.js(0.999 * p + 0.001 * q, 0.999 * q + 0.001 * p)), lambda r: 1 / r
        )

    def slate_mix(self, user):
        features = self.split.items.features.toarray().astype(float)
        row = [(r, int(i)) for r, i in enumerate(self.evaluation.items[user, : self.k], 1) if i >= 0]
        known = [(1 / r, features[i] / features[i].sum()) for r, i in row if features[i].any()]
        return sum(w * mix for w, mix in known) / sum(w for w, _ in known) if known else None

    def fragmentation(self, others=None):
        q, far = self.slate_mix(self.user), []
        for v in range(len(self.evaluation.items)) if others is None else others:
            p = self.slate_mix(v)
            if v != self.user and p is not None and q is not None:
                far.append(math.sqrt(self.js(0.999 * p + 0.001 * q, 0.999 * q + 0.001 * p)))
        return sum(far) / len(far) if far else math.nan

    def mean_hit_value(self, value_of, needs_history=True):
        if not self.test or (needs_history and not self.train):
            return math.nan
        return sum(value_of(i) for i in self.slate if i in self.test) / self.k

    def surprise(self):
        matrix = self.split.train.toarray()
        n = sum(row.any() for row in matrix)

        def npmi(i, j):
            one, other, both = (rows.sum() / n for rows in (matrix[:, i], matrix[:, j], matrix[:, i] * matrix[:, j]))
            return math.log(both / (one * other)) / -math.log(both) if both else -1.0

        return self.mean_hit_value(lambda i: min((1 - npmi(i, j)) / 2 for j in self.train))

    def topic_serendipity(self):
        known = set().union(*(self.features(i) for i in self.train))
        return self.mean_hit_value(lambda i: bool(self.features(i) - known))

    def serendipity_ge(self):
        counts, met = self.count_positives(), self.split.seen.toarray()[self.user]
        order = sorted(range(len(counts)), key=lambda i: (-counts[i], self.split.items.ids[i]))
        usual = [i for i in order if not met[i]][: self.k]
        return self.mean_hit_value(lambda i: i not in usual, needs_history=False)

    def serendipity_popularity(self):
        counts = self.count_positives()
        n, levels = len(counts), sorted({c for c in counts if c > 0}, reverse=True)

        def more(i):
            usual = (n + 1 - (levels.index(counts[i]) + 1)) / n if counts[i] else 0.0
            return max(0.0, (n + 1 - self.ranked[i]) / n - usual)

        return self.mean_hit_value(more, needs_history=False)

    def account_gap(self):
        others = [row[: self.k] for v, row in enumerate(self.evaluation.items) if v != self.user]
        slates = [{int(i) for i in row if i >= 0} for row in others if (row >= 0).any()]
        missed = [len((slate & self.test) - set(self.slate)) / self.k for slate in slates]
        return self.if_tested(lambda: sum(missed) / len(missed))

    def slate_regret(self, vectors):
        if not self.test or not vectors.any():
            return math.nan
        unit = [v / math.sqrt(v @ v) if v.any() else v for v in vectors]

        def stands_for(slate):
            by = [*slate, *self.train]
            return sum(max((1 if i == j else max(0, unit[i] @ unit[j]) ** 2 for i in by), default=0) for j in self.test)

        greedy, met = [], self.split.seen.toarray()[self.user]
        left = sorted(np.flatnonzero(met == 0), key=lambda i: self.split.items.ids[i])
        for _ in range(min(self.k, len(left))):
            greedy.append(max((i for i in left if i not in greedy), key=lambda i: round(stands_for([*greedy, i]), 9)))
        return 1 - stands_for(self.slate) / stands_for(greedy)

    def slate_regret_features(self):
        return self.slate_regret(self.split.items.features.toarray().astype(float))

    def slate_regret_cooccurrence(self):
        return self.slate_regret(cooccurrence_vectors(self.split.train).astype(float))

    def out_of_bubble_recall(self):
        label = cluster_users(self.split.train, rng.derive_seed(self.split.seed, "judge"))
        values = []
        for taste_map in self.truth.audit_maps:
            mixes = user_mixes(self.split.train, taste_map.assignment)
            q = nearby_community_mixes(mixes, label)[self.user]
            region = {i: row.argmax() for i, row in enumerate(taste_map.assignment.toarray()) if row.any()}
            wanted = {i for i in self.test if i in region and mixes[self.user][region[i]] < q[region[i]]}
            values.append(len(wanted & set(self.slate)) / len(wanted) if wanted and self.train else math.nan)
        return values


def compute_catalogue_metric(name, evaluation, k):
    """The value of a catalogue-level metric."""
    split = evaluation.truth.split
    shown = [int(i) for row in evaluation.items[:, :k] for i in row if i >= 0]
    times, n = Counter(shown), split.train.shape[1]
    p = [times[i] / len(shown) for i in range(n)]
    known = [i for i in range(n) if split.train.toarray()[:, i].any()]
    owed = {i: len(shown) * split.train.toarray()[:, i].sum() / split.train.nnz for i in known}
    entropy = -sum(x * math.log2(x) for x in p if x)
    ascending = sorted(p)
    gini = sum((2 * j - n - 1) * x for j, x in enumerate(ascending, 1)) / n
    users = len(shown) / k
    near = compute_near_exposure(evaluation, k) if name.endswith("_near") else owed
    return {
        "coverage": len(times) / n,
        "never_shown": 1 - len(times) / n,
        "gini": gini,
        "evenness": 1 - gini,
        "shannon_entropy": entropy,
        "effective_catalogue": 2**entropy,
        "herfindahl": 1 - sum(x * x for x in p),
        "mean_inter_list": 1 - sum(c * (c - 1) for c in times.values()) / (k * users * (users - 1)),
        "under_exposure": np.mean([max(0.0, owed[i] - times[i]) / owed[i] for i in known]),
        "under_exposure_near": np.mean([max(0.0, e - times[i]) / e for i, e in near.items() if e > 0]),
        "over_exposure": np.mean([max(0.0, c - owed.get(i, 0)) / c for i, c in times.items()]),
        "over_exposure_near": np.mean([max(0.0, c - near.get(i, 0)) / c for i, c in times.items()]),
        "zero_exposure_share": np.mean([times[i] == 0 for i in known]),
    }[name]


def compute_near_exposure(evaluation, k, shelves_by_user=None):
    """How often each item would be shown if all slots went to what is on the shelves of near other communities."""
    split, maps = evaluation.truth.split, evaluation.truth.audit_maps
    label = cluster_users(split.train, rng.derive_seed(split.seed, "judge"))
    names, items = sorted(set(label)), range(split.train.shape[1])
    shelves = (
        [set(np.flatnonzero(row)) for row in split.train.toarray()] if shelves_by_user is None else shelves_by_user
    )
    consumed = {}
    for c in names:
        members = [shelves[v] for v in range(len(label)) if label[v] == c and shelves[v]]
        consumed[c] = [sum((i in s) / len(s) for s in members) / max(len(members), 1) for i in items]
    owed = Counter()
    for taste_map in maps:
        own = user_mixes(split.train, taste_map.assignment)
        centre = {c: own[label == c].mean(axis=0) for c in names}
        far = {(u, c): ((own[u] - centre[c]) ** 2).sum() for u in range(len(label)) for c in names if c != label[u]}
        for u in range(len(label)):
            near = {c: math.exp(-far[u, c] / np.median([*far.values()])) for c in names if c != label[u]}
            slots = sum(i >= 0 for i in evaluation.items[u, :k])
            for c, w in near.items():
                for i in items:
                    owed[i] += slots * w / sum(near.values()) * consumed[c][i] / len(maps)
    picks = sum(i >= 0 for row in evaluation.items[:, :k] for i in row)
    return {i: picks * e / sum(owed.values()) for i, e in owed.items()}


def has_reference_metric(name):
    """Return whether a metric is stated here."""
    bare = name.rpartition("_")[0] if name.endswith(("_own", "_content")) else name
    return hasattr(ReferenceMetrics, bare) or hasattr(ReferenceMetrics, name)


def compute_reference_metric(name, evaluation, k):
    bare, _, family = name.rpartition("_") if name.endswith(("_own", "_content")) else (name, "", "audit")
    bare = bare if hasattr(ReferenceMetrics, bare) else name
    family = {"own": "objective"}.get(family, family)
    arguments = (f"{family}_maps",) if bare in ("discovery", "unexplored_share", "exposure_deficit") else ()
    users = range(len(evaluation.items))
    return np.array([getattr(ReferenceMetrics(evaluation, user, k), bare)(*arguments) for user in users], dtype=float).T
