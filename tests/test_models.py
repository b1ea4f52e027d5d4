"""What every model does beside the contract of `test_testing.py`, run over all of `models.__all__`."""

import os
import subprocess
import sys
import warnings
from dataclasses import FrozenInstanceError, fields

import numpy as np
import pytest
from scipy import sparse

from recsys import models
from recsys.models import (
    ALS,
    BPR,
    EASE,
    IALS,
    LMF,
    Ensemble,
    ItemKNN,
    MostPopular,
    P3alpha,
    PureSVD,
    Random,
    RP3beta,
    UserKNN,
)
from recsys.models.stores import load_model, save_model
from recsys.support.serialization import flatten_record, restore_record
from recsys.testing import make_communities
from recsys.types import RecsysError, RecsysWarning, SideInformation

SMALL = {
    "ALS": ALS(factors=8),
    "BPR": BPR(factors=8, iterations=60, learning_rate=0.05),
    "EASE": EASE(l2=20.0),
    "IALS": IALS(factors=8),
    "ItemKNN": ItemKNN(k=10, similarity="bm25", shrink=1.0),
    "LMF": LMF(factors=8, iterations=30, regularization=1.0),
    "Ensemble": Ensemble(["ease", {"kind": "als", "factors": 4}, MostPopular()]),
    "MostPopular": MostPopular(),
    "P3alpha": P3alpha(k=10),
    "PureSVD": PureSVD(factors=4),
    "RP3beta": RP3beta(k=10),
    "Random": Random(),
    "TifuKNN": models.TifuKNN(k=10),
    "UserKNN": UserKNN(k=10),
}
SMALL |= {name: getattr(models, name)() for name in models.__all__ if name not in SMALL}
SEEDED = [name for name, model in SMALL.items() if "seed" in model.__dataclass_fields__]
TRAINED = [name for name in models.__all__ if name not in ("MostPopular", "Random", "TopFrequency")]
EVERY = pytest.mark.parametrize("name", models.__all__)
USERS = np.arange(60, dtype=np.int32)


@pytest.fixture(scope="module")
def fitted():
    train = make_communities()
    return {name: model.fit(train, SideInformation()) for name, model in SMALL.items()}


@pytest.mark.parametrize("name", [n for n in SEEDED if n != "Ensemble"])
def test_another_seed_gives_other_numbers(name, fitted):
    settings = {field.name: getattr(SMALL[name], field.name) for field in fields(SMALL[name])}
    other = type(SMALL[name])(**{**settings, "seed": 1}).fit(make_communities())
    assert (other.score(USERS) != fitted[name].score(USERS)).any()


@pytest.mark.parametrize("name", [n for n in models.__all__ if n != "Random"])
def test_a_new_user_with_a_known_history_gets_the_known_scores(name, fitted):
    train = make_communities()
    np.testing.assert_allclose(fitted[name].fold(train), fitted[name].score(USERS), rtol=1e-5, atol=1e-5)
    unsorted = train[[20]]
    unsorted.indices, unsorted.has_sorted_indices = unsorted.indices[::-1].copy(), False
    np.testing.assert_allclose(fitted[name].fold(unsorted), fitted[name].score(USERS[[20]]), rtol=1e-4, atol=1e-5)


def test_random_scores_of_a_new_user_depend_on_the_history_alone(fitted):
    train = make_communities()
    folded = fitted["Random"].fold(train)
    assert (folded[10] == folded[11]).all()
    assert (folded[12] != folded[13]).any()
    assert (fitted["Random"].fold(train[[12]])[0] == folded[12]).all()


@EVERY
def test_who_has_nothing_gets_what_users_like_on_the_whole(name, fitted):
    train = make_communities()
    known, new = fitted[name].score(np.array([7]))[0], fitted[name].fold(train[[7]])[0]
    assert known.any()
    assert new.any()
    if name != "Random":
        np.testing.assert_allclose(known, new, rtol=1e-5, atol=1e-6)
    if name == "MostPopular" or is_personal(name, fitted):
        popularity = np.asarray(train.sum(axis=0)).ravel()
        liked = popularity > 0
        assert np.corrcoef(known[liked], popularity[liked])[0, 1] > 0.5


def is_personal(name, fitted):
    """Return whether a model gives users scores that its training decides."""
    scores = fitted[name].score(USERS)
    return name != "Random" and (scores != scores[0]).any()


@pytest.mark.parametrize("name", TRAINED)
def test_trained_models_tell_two_communities_apart(name, fitted):
    scores = fitted[name].score(USERS)
    if not is_personal(name, fitted):
        pytest.skip("scores all users the same")
    known = [u for u in range(30) if u not in (7, 8)]
    own = np.median(scores[:30, :20][known], axis=1), np.median(scores[:30, 20:][known], axis=1)
    assert (own[0] > own[1]).mean() > 0.9


@pytest.mark.parametrize("name", [n for n in TRAINED if n != "ALS"])
def test_an_item_that_nobody_has_is_not_put_before_what_most_have(name, fitted):
    scores = fitted[name].score(np.arange(20, 25))
    assert (scores[:, 3] < np.median(scores[:, :20], axis=1)).all()


TINY = {
    "a usual one": [[1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0]],
    "a user with all items": [[1, 1, 1, 1], [0, 1, 1, 0], [1, 0, 0, 0]],
    "a user without any": [[0, 0, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0]],
    "one positive": [[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]],
    "everything": [[1, 1, 1, 1], [1, 1, 1, 1], [1, 1, 1, 1]],
}


@pytest.mark.parametrize("world", TINY)
@EVERY
def test_tiny_data(name, world):
    train = sparse.csr_array(np.array(TINY[world], dtype=np.float32))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        scorer = SMALL[name].fit(train)
    scores, folded = scorer.score(np.arange(3)), scorer.fold(train)
    assert scores.shape == folded.shape == (3, 4)
    assert np.isfinite(scores).all()
    assert np.isfinite(folded).all()
    if name != "Random":
        np.testing.assert_allclose(folded, scores, rtol=1e-4, atol=1e-5)
    liked = np.diff(train.indptr) > 0
    flat = not (np.ptp(scores[liked], axis=1) > 1e-6 * np.abs(scores[liked]).max(axis=1)).any()
    if world == "everything":  # no item is better than another
        assert flat == any("have no spread" in str(one.message) for one in said)
    assert {one.category for one in said} <= {RecsysWarning}
    assert scores.any(axis=1).all() or flat


@EVERY
def test_data_without_positives_are_refused(name):
    with pytest.raises(RecsysError, match="found no positives among 4 users") as error:
        SMALL[name].fit(sparse.csr_array((4, 3), dtype=np.float32))
    assert "\n" not in str(error.value)


@EVERY
def test_saved_and_loaded_it_is_the_same_model(name, fitted, tmp_path):
    folder = save_model(fitted[name], tmp_path / "model", SMALL[name])
    back = load_model(folder)
    assert type(back) is type(fitted[name])
    assert (back.score(USERS) == fitted[name].score(USERS)).all()
    assert (back.fold(make_communities(1)) == fitted[name].fold(make_communities(1))).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]


@EVERY
def test_a_fitted_model_survives_the_cache(name, fitted, tmp_path):
    np.savez(tmp_path / "cell.npz", allow_pickle=False, **flatten_record(fitted[name]))
    with np.load(tmp_path / "cell.npz", allow_pickle=False) as kept:
        back = restore_record(
            models.registry.find_fitted_classes()[type(fitted[name]).__name__],
            dict(kept),
            kinds=models.registry.find_fitted_classes(),
        )
    assert (back.score(USERS) == fitted[name].score(USERS)).all()
    assert (back.fold(make_communities(1)) == fitted[name].fold(make_communities(1))).all()


def test_the_losses_of_a_factor_model_survive_too(fitted, tmp_path):
    losses = fitted["IALS"].losses
    assert len(losses) == SMALL["IALS"].iterations
    assert (load_model(save_model(fitted["IALS"], tmp_path / "model")).losses == losses).all()
    assert load_model(save_model(fitted["PureSVD"], tmp_path / "other")).losses is None


@EVERY
def test_settings_and_fitted_models_are_frozen(name, fitted):
    for record in (SMALL[name], fitted[name]):
        for field in fields(record):
            with pytest.raises(FrozenInstanceError):
                setattr(record, field.name, 1)


FACTOR_MODELS = ("ALS", "IALS", "PureSVD")


@EVERY
def test_factors_are_there_where_a_least_squares_stands_behind_them(name, fitted):
    factors = fitted[name].factors
    assert (factors is not None) == (name in FACTOR_MODELS)
    if factors is not None:
        assert factors.user_factors.dtype == factors.item_factors.dtype == factors.mean_user_factor.dtype == np.float32
        assert factors.user_factors.flags.c_contiguous
        assert factors.item_factors.flags.c_contiguous
        liked = np.diff(make_communities().indptr) > 0
        np.testing.assert_allclose(
            factors.mean_user_factor, factors.user_factors[liked].mean(axis=0), rtol=1e-4, atol=1e-6
        )
        assert (factors.user_factors[7] == factors.mean_user_factor).all()


BYTES = {"ALS": "8 factors of 60 users and 40 items", "BPR": "9 factors", "EASE": "40 items", "IALS": "8 factors",
         "ItemKNN": "10 links of 40 items", "LMF": "10 factors", "P3alpha": "10 links", "PureSVD": "4 factors",
         "RP3beta": "10 links", "UserKNN": "positives", "Ensemble": "3 models"}  # fmt: skip


@pytest.mark.parametrize("name", BYTES)
def test_a_model_too_large_for_the_memory_says_so_before_it_starts(name, monkeypatch):
    monkeypatch.setattr(models.checks, "read_available_memory", lambda: 100)
    with pytest.raises(RecsysError) as error:
        SMALL[name].fit(make_communities())
    said = str(error.value)
    assert BYTES[name] in said
    assert "bytes of memory, and 100 are available" in said
    assert "\n" not in said


def test_ease_counts_the_bytes(monkeypatch):
    monkeypatch.setattr(
        models.checks, "read_available_memory", lambda: EASE().estimate_memory(make_communities()).peak - 1
    )
    with pytest.raises(RecsysError, match=r"ease: 40 items need .* bytes of memory, and .* are available"):
        EASE().fit(make_communities())
    monkeypatch.setattr(models.checks, "read_available_memory", lambda: EASE().estimate_memory(make_communities()).peak)
    assert EASE().fit(make_communities()).weights.shape == (40, 40)
    monkeypatch.setattr(models.checks, "read_available_memory", lambda: None)
    assert EASE().fit(make_communities()).weights.shape == (40, 40)
    monkeypatch.undo()
    with pytest.raises(RecsysError, match="bytes of memory"):
        EASE().fit(sparse.csr_array(([1.0], ([2], [7])), shape=(3, 10**9)))


def test_a_mean_counts_each_part_beside_what_those_before_keep(monkeypatch):
    train, both = make_communities(), Ensemble([EASE(), ALS(factors=40)])
    ease, als = 4 * 40**2, 4 * 40 * (60 + 40)  # what they keep
    assert both.estimate_memory(train)[:2] == (ease + 6 * als, ease + als)
    assert (
        Ensemble([ALS(factors=2), EASE()]).estimate_memory(train).peak
        == 4 * 2 * (60 + 40) + EASE().estimate_memory(train).peak
    )
    assert Ensemble([MostPopular(), both, both]).estimate_memory(train)[:2] == (2 * ease + 7 * als, 2 * ease + 2 * als)
    assert Ensemble([MostPopular()]).estimate_memory(train)[:2] == (0, 0)
    monkeypatch.setattr(models.checks, "read_available_memory", lambda: ease + 6 * als - 1)
    monkeypatch.setattr(EASE, "fit", None)  # nothing is fitted
    with pytest.raises(
        RecsysError, match=r"ensemble: 2 models need 102,400 bytes of memory, and 102,399 are available"
    ):
        both.fit(train)


@pytest.mark.parametrize(
    "name", [n for n in models.__all__ if n != "Ensemble" and hasattr(SMALL[n], "estimate_memory")]
)
def test_all_large_arrays_are_counted_as_kept(name, fitted):
    arrays = {n: array for n, array in flatten_record(fitted[name]).items() if not n.startswith(("train.", "losses"))}
    large = sum(array.nbytes for n, array in arrays.items() if array.ndim == 2 or n.endswith(".data"))
    assert 0 < large <= SMALL[name].estimate_memory(make_communities()).kept


PRINT_BITS = """
import hashlib, numpy as np
from scipy import sparse
from recsys.models import ALS, BPR, EASE, LMF, PureSVD
dense = np.random.default_rng(0).random((200, 300)) < np.linspace(0.3, 0.02, 300)
train = sparse.csr_array(dense.astype(np.float32))
factors = ALS(factors=32).fit(train).factors
print(hashlib.sha256(factors.user_factors.tobytes() + factors.item_factors.tobytes()).hexdigest())
print(hashlib.sha256(EASE().fit(train).weights.tobytes()).hexdigest())
print(hashlib.sha256(PureSVD().fit(train).factors.item_factors.tobytes()).hexdigest())
for model in (BPR(iterations=5), LMF(factors=8, iterations=5)):
    fitted = model.fit(train)
    print(hashlib.sha256(fitted.user_factors.tobytes() + fitted.item_factors.tobytes()).hexdigest())
"""


def test_threads_do_not_change_a_bit():
    printed = []
    for threads in ("1", "3"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        command = [sys.executable, "-W", "error", "-c", PRINT_BITS]
        printed.append(subprocess.check_output(command, text=True, env={**os.environ, **limits}))
    assert printed[0] == printed[1]
    assert len(set(printed[0].split())) == 5


@pytest.mark.parametrize(
    ("model", "setting", "message"),
    [(ALS, {"factors": 0}, "als: factors is 0"), (ALS, {"factors": 1.5}, "als: factors is 1.5"),
     (ALS, {"iterations": True}, "als: iterations is True"), (ALS, {"alpha": -1.0}, "als: alpha is -1.0"),
     (ALS, {"regularization": 0}, "als: regularization is 0"), (EASE, {"l2": float("nan")}, "ease: l2 is nan"),
     (EASE, {"l2": "many"}, "ease: l2 is 'many'"), (BPR, {"learning_rate": 0}, "bpr: learning_rate is 0"),
     (LMF, {"negatives": 0}, "lmf: negatives is 0"), (PureSVD, {"factors": -1}, "pure_svd: factors is -1"),
     (ItemKNN, {"shrink": -1}, "item_knn: shrink is -1"), (UserKNN, {"k": 0}, "user_knn: k is 0"),
     (ItemKNN, {"similarity": "bm52"}, "item_knn: unknown similarity 'bm52': did you mean 'bm25'?"),
     (UserKNN, {"similarity": 3}, "user_knn: unknown similarity '3'"), (P3alpha, {"alpha": -1}, "p3alpha: alpha is -1"),
     (RP3beta, {"beta": "x"}, "rp3beta: beta is 'x'"), (RP3beta, {"normalize": 1}, "rp3beta: normalize is 1"),
     (MostPopular, {"half_life": 0}, "most_popular: half_life is 0"), (Ensemble, {}, "ensemble: models: found ()"),
     (Ensemble, {"models": "als"}, "ensemble: models: found 'als'"), (Ensemble, {"models": [3]}, "ensemble: models: found 3"),
     (Ensemble, {"models": ["alz"]}, "ensemble: unknown model 'alz': did you mean 'als'?"),
     (Ensemble, {"models": [{"factors": 3}]}, "ensemble: models: found {'factors': 3}"),
     (Ensemble, {"models": [{"kind": "als", "factor": 3}]}, "ensemble: als: unknown setting 'factor': did you mean 'factors'?")],
)  # fmt: skip
def test_settings_that_cannot_be_meant_are_refused(model, setting, message):
    with pytest.raises(RecsysError) as error:
        model(**setting)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


NOT_A_NUMBER = ("2", None, True, float("nan"), float("inf"), [1])


@pytest.mark.parametrize("name", models.__all__)
def test_no_setting_takes_what_is_no_number_of_its_kind(name):
    model = type(SMALL[name])
    needed = {"models": ["ease"]} if name == "Ensemble" else {}
    for field in fields(model):
        kind = type(field.default)
        if field.name == "models" or kind in (str, bool):
            continue
        wrong = [one for one in NOT_A_NUMBER if one is not None or field.default is not None]
        wrong += [1.5] if kind is int else [-1.0]
        wrong += [] if field.name == "seed" else [-1]
        for found in wrong:
            with pytest.raises(RecsysError) as error:
                model(**needed, **{field.name: found})
            assert f": {field.name} is {found!r}, expected a" in str(error.value)
            assert "\n" not in str(error.value)


def test_names_in_configs():
    kinds = {"als": ALS, "bpr": BPR, "ease": EASE, "ials": IALS, "item_knn": ItemKNN, "lmf": LMF, "ensemble": Ensemble,
             "most_popular": MostPopular, "p3alpha": P3alpha, "pure_svd": PureSVD, "random": Random, "rp3beta": RP3beta,
             "user_knn": UserKNN}  # fmt: skip
    assert {kind: models.registry.find_model(kind) for kind in kinds} == kinds
    assert {model.__name__ for model in kinds.values()} <= set(models.__all__)
    assert {model.__name__ for model in models.registry.list_models().values()} == set(models.__all__)
    with pytest.raises(RecsysError, match="unknown model 'mostpopular': did you mean 'most_popular'"):
        models.registry.find_model("mostpopular")
    for hidden in ("ALS", "re", "__all__", "unknown", "stores"):
        with pytest.raises(RecsysError):
            models.registry.find_model(hidden)
