"""pyversity's strategies beside our objectives, on the same pools: the rows of `benchmarks/agreement.py` about them."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from agreement_worlds import Row, World
from scipy import sparse

from recsys import rerank
from recsys.kernels import reference
from recsys.maths import embeddings
from recsys.objectives import derived_tables
from recsys.reranking.blends import make_weight_matrix, parse_blend
from recsys.types import Coverage, Pool, Spread
from recsys.types.arrays import Doubles, Floats, Ints
from recsys.types.pools import TableCache

LENGTH = 10
KNOB_SETTINGS = (0.1, 0.3, 0.5, 0.7, 0.9)  # settings of the knob
TOLERANCE = 1e-6  # of the blended gain by which two picks are apart: pyversity computes in single precision
EPS = float(np.finfo(np.float32).eps)  # theirs, on standard deviations
FACTORS = {"space": "factors"}
Blend = dict[str, Any]

PEER_SIDE = Path(__file__).parent / "peers" / "slates_of_pyversity.py"


class Case(NamedTuple):
    """A strategy with settings, and the blend that is the same or the nearest."""

    what: str
    vectors: str
    strategy: str
    blend: Callable[[Pool, float], Blend]  # of the knob: 0 is relevance alone, 1 is diversity alone
    same: bool
    note: str = ""
    settings: Blend = {}  # noqa: RUF012

    @property
    def knobs(self) -> tuple[float, ...]:
        """Settings of the knob: where both are the same, 0 too, which says where it turns to."""
        return (0.0, *KNOB_SETTINGS) if self.same else KNOB_SETTINGS


def clipped(pool: Pool, k: int) -> Spread:
    """Return 1 - the largest similarity to the slate, or to something that everybody is at right angles to."""
    table = derived_tables.get_item_vectors(pool.context, "factors", "slates")
    return Spread(table, np.maximum(pool.items, 0), start=np.zeros(pool.items.shape, np.float32))


def cover(pool: Pool, k: int) -> Coverage:
    """Return the gain in the sum over candidates of the root of their similarities, at least 0, to the slate."""
    table = derived_tables.get_item_vectors(pool.context, "factors", "slates")[pool.items]
    sims = np.clip(table @ table.transpose(0, 2, 1), 0.0, 1.0)
    users, n = pool.items.shape
    which = np.arange(users * n, dtype=np.int64).reshape(users, n)
    return Coverage(sparse.csr_array(sims.reshape(-1, n)), which, np.ones((users, n)), "sqrt")


def build_two_part_blend(name: str, **settings: object) -> Callable[[Pool, float], Blend]:
    """Return relevance and an objective that share a weight of 1."""
    return lambda pool, d: {"relevance": 1.0 - d, name: {"weight": d, **settings}}


def compute_score_deviations(pool: Pool) -> Doubles:
    return pool.scores.astype(np.float64).std(axis=1)


def build_dpp_blend(ridge: float) -> Callable[[Pool, float], Blend]:
    """Return log det of q K q, q = exp((1 - d) z), z the score in standard deviations from its mean."""

    def blend(pool: Pool, d: float) -> Blend:
        if d == 0:
            return {"relevance": 1.0}
        relevance = 2.0 * (1.0 - d) / (compute_score_deviations(pool) + EPS)
        return {"relevance": {"weight": relevance}, "dpp": {"weight": 1.0, "ridge": ridge, **FACTORS}}

    return blend


def build_ssd_blend(length: float) -> Callable[[Pool, float], Blend]:
    """Return scores in standard deviations, and the residual of vectors of this length."""

    def blend(pool: Pool, d: float) -> Blend:
        return {
            "relevance": {"weight": (1.0 - d) / compute_score_deviations(pool)},
            "ssd": {"weight": d * length, **FACTORS},
        }

    return blend


PLAIN = {"append_bias": False, "normalize_scores": False}
CASES = [
    Case("MMR, no cosine below 0 | mmr", "magnitudes", "mmr", build_two_part_blend("mmr", **FACTORS), True),
    Case(
        "MMR | mmr, with a start at 0",
        "factors",
        "mmr",
        build_two_part_blend(f"{__name__}:clipped"),
        True,
        "a maximum that begins at 0 is what they clip",
    ),
    Case(
        "MMR | mmr", "factors", "mmr", build_two_part_blend("mmr", **FACTORS), False, "they count a cosine below 0 as 0"
    ),
    Case("MSD | mmr, agg = sum", "factors", "msd", build_two_part_blend("mmr", agg="sum", **FACTORS), True),
    Case(
        "DPP | dpp, ridge = 0",
        "factors",
        "dpp",
        build_dpp_blend(0.0),
        True,
        "relevance weighs 2 (1 - diversity) / deviation of the user's scores; at 0 theirs is relevance alone",
    ),
    Case("DPP | dpp", "factors", "dpp", build_dpp_blend(0.01), False, "our kernel has a ridge of 0.01"),
    Case(
        "SSD, raw scores, no constant | ssd", "factors", "ssd", build_two_part_blend("ssd", **FACTORS), True, "", PLAIN
    ),
    Case(
        "SSD | ssd of vectors with a constant",
        "constant",
        "ssd",
        build_ssd_blend(2**0.5),
        True,
        "relevance weighs (1 - diversity) / deviation; a unit vector with a 1 has the length sqrt 2",
    ),
    Case("SSD | ssd", "factors", "ssd", build_ssd_blend(1.0), False, "they append a constant to every vector"),
    Case(
        "SSD, window = 3 | ssd, window = 3",
        "factors",
        "ssd",
        build_two_part_blend("ssd", window=3, **FACTORS),
        False,
        "they give back the oldest direction of an orthogonal basis, ours projects the last 3 picks anew",
        {**PLAIN, "window": 3},
    ),
    Case(
        "COVER | Coverage of all candidates, phi = sqrt",
        "factors",
        "cover",
        build_two_part_blend(f"{__name__}:cover"),
        True,
        "an objective of five lines in the script",
    ),
    Case(
        "COVER | facility_location",
        "factors",
        "cover",
        build_two_part_blend("facility_location", targets=100, **FACTORS),
        False,
        "theirs is a root of sums, ours a maximum, of squared cosines and weighed by the scores",
    ),
]


def compare_strategies(python: Path, version: str, worlds: Sequence[World]) -> Iterator[Row]:
    """Yield a row for each case."""
    theirs = [run_pyversity(python, world.pool) for world in worlds]
    for case in CASES:
        yield build_row(
            version,
            case,
            [(replace_item_vectors(w.pool, case.vectors), made) for w, made in zip(worlds, theirs, strict=True)],
        )


def run_pyversity(python: Path, pool: Pool) -> dict[tuple[str, float], Ints]:
    """Return the positions that pyversity picks, (U, k), by case and setting of the knob."""
    keys = [(case, d) for case in CASES for d in case.knobs]
    told = [{"vectors": c.vectors, "strategy": c.strategy, "diversity": d, **c.settings} for c, d in keys]
    given = {name: get_item_vectors(replace_item_vectors(pool, name)) for name in ("factors", "magnitudes")}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / "pools.npz", items=pool.items, scores=pool.scores, **given, constant=given["factors"])
        (folder / "cases.json").write_text(json.dumps(told), encoding="utf-8")
        subprocess.run([python, "-I", PEER_SIDE, folder, str(LENGTH)], check=True)
        with np.load(folder / "theirs.npz") as stored:
            return {(case.what, d): stored[str(number)] for number, (case, d) in enumerate(keys)}


def get_item_vectors(pool: Pool) -> Floats:
    return pool.context.need_factors("this").item_factors


def replace_item_vectors(pool: Pool, name: str) -> Pool:
    """Return the pool with other item factors: as they are, without signs, or unit vectors with a constant."""
    factors = pool.context.need_factors("this")
    vectors = factors.item_factors
    if name == "magnitudes":
        vectors = np.abs(vectors)
    if name == "constant":
        vectors = np.hstack([embeddings.normalize_rows(vectors), np.ones((len(vectors), 1), np.float32)])
    context = replace(pool.context, factors=replace(factors, item_factors=vectors), tables=TableCache())
    return replace(pool, context=context)


def build_row(version: str, case: Case, given: Sequence[tuple[Pool, Mapping[tuple[str, float], Ints]]]) -> Row:
    """Return what the slates of both sides, for each world and setting of the knob, say."""
    same, slots, gaps = [], [], [0.0]
    for pool, made in given:
        unit, far = embeddings.normalize_rows(get_item_vectors(pool)).astype(np.float64), []
        for d in case.knobs:
            blend, theirs = case.blend(pool, d), made[case.what, d]
            items = rerank(pool, blend, k=LENGTH, scale=None).items
            ours = (pool.items[:, None, :] == items[:, :, None]).argmax(axis=2)
            differ = ours != theirs
            same.append(~differ.any(axis=1))
            slots += (differ.argmax(axis=1) + 1)[differ.any(axis=1)].tolist()
            shown = (np.take_along_axis(pool.items, side, axis=1) for side in (ours, theirs))
            far.append([compute_list_distances(unit, slates).mean() for slates in shown])
            if case.same:
                gaps += compute_gain_gaps(pool, blend, ours, theirs)
    mine, their = np.mean(far, axis=0).tolist()
    agrees = ("yes" if max(gaps) <= TOLERANCE else "no") if case.same else ""
    return Row(
        "pyversity", version, case.what, mine, their, max(gaps) if case.same else None,
        float(np.mean(np.concatenate(same))), min(slots, default=None), sum(map(len, same)),
        "same" if case.same else "different", agrees, case.note,
    )  # fmt: skip


def compute_list_distances(unit: Doubles, slates: Ints) -> Doubles:
    """Return the mean of 1 - cosine over the pairs of each slate."""
    some, n = unit[slates], slates.shape[1]
    cosines = some @ some.transpose(0, 2, 1)
    return np.asarray(1.0 - (cosines.sum(axis=(1, 2)) - np.trace(cosines, axis1=1, axis2=2)) / (n * (n - 1)))


def compute_gain_gaps(pool: Pool, blend: Blend, ours: Ints, theirs: Ints) -> list[float]:
    """Return how much less their first other pick is worth than ours, by the slow reference, for users who differ."""
    parts = parse_blend(blend)
    weight = make_weight_matrix(parts, pool)
    users = np.flatnonzero((ours != theirs).any(axis=1)).tolist()
    terms = [part.make_term(pool, LENGTH) for part in parts] if users else []
    gaps = []
    for user in users:
        slot = int((ours[user] != theirs[user]).argmax())
        slate = ours[user, :slot].tolist()
        gains = [reference.compute_gains(term, user, slate, pool.items.shape[1]) for term in terms]
        worth = weight[user] @ np.array(gains)
        gaps.append(abs(float(worth[ours[user, slot]] - worth[theirs[user, slot]])))
    return gaps
