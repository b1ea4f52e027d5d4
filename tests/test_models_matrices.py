"""Equal cells in any container are one and the same training data for every model; what is none is refused."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse

from recsys import models
from recsys.models import ALS, BPR, EASE, IALS, LMF, Ensemble, MostPopular
from recsys.models.matrices import canonicalize_histories, canonicalize_positives
from recsys.types import RecsysError, SideInformation

EVERY = pytest.mark.parametrize("name", models.__all__)
USERS = np.arange(30, dtype=np.int32)
SHORT = {
    "ALS": ALS(factors=4, iterations=2),
    "BPR": BPR(factors=4, iterations=3),
    "IALS": IALS(factors=4, iterations=2),
    "LMF": LMF(factors=4, iterations=3),
    "Ensemble": Ensemble(["ease", {"kind": "als", "factors": 4}, MostPopular()]),
}


def make(name):
    return SHORT.get(name) or getattr(models, name)()


def likes(seed: int = 0, weighted: bool = False) -> sparse.csr_array:
    """30 users and 24 items in two communities; user 7 and item 3 have nothing."""
    rng = np.random.default_rng(seed)
    same = (np.arange(30)[:, None] < 15) == (np.arange(24) < 12)
    dense = (rng.random((30, 24)) < np.where(same, 0.5, 0.1)).astype(np.float32)
    dense[7], dense[:, 3] = 0, 0
    return sparse.csr_array(dense * rng.integers(1, 6, dense.shape) if weighted else dense, dtype=np.float32)


def unsorted(train):
    made = train.copy()
    for row in range(made.shape[0]):
        part = slice(made.indptr[row], made.indptr[row + 1])
        made.indices[part], made.data[part] = made.indices[part][::-1].copy(), made.data[part][::-1].copy()
    made.has_sorted_indices = True  # a flag that lies
    return made


def with_zeros(train):
    cells = train.tocoo()
    free = np.argwhere(train.toarray() == 0)[::5]
    rows, columns = np.concatenate([cells.row, free[:, 0]]), np.concatenate([cells.col, free[:, 1]])
    made = sparse.csr_array(train.shape, dtype=np.float32)
    order = np.lexsort((columns, rows))
    made.data = np.concatenate([cells.data, np.zeros(len(free), np.float32)])[order]
    made.indices = columns[order].astype(np.int32)
    made.indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=train.shape[0]))]).astype(np.int32)
    return made


def repeated(train):
    """Every positive twice, the second time with a weight that is no larger."""
    made = sparse.csr_array(train.shape, dtype=np.float32)
    made.data = np.repeat(train.data, 2)
    made.data[1::2] *= np.tile([1.0, 0.5], len(made.data))[: train.nnz].astype(np.float32)
    made.indices, made.indptr = np.repeat(train.indices, 2), 2 * train.indptr
    return made


def wide(train):
    return sparse.csr_array((train.data, train.indices.astype(np.int64), train.indptr.astype(np.int64)), train.shape)


def slack(train):
    made = train.copy()
    made.data = np.concatenate([made.data, [9.0, np.nan]]).astype(np.float32)
    made.indices = np.concatenate([made.indices, [1, 2]]).astype(np.int32)
    return made


def coo_repeated(train):
    cells = train.tocoo()
    return sparse.coo_array((np.tile(cells.data, 2), (np.tile(cells.row, 2), np.tile(cells.col, 2))), train.shape)


CONTAINERS = {
    "csr matrix": sparse.csr_matrix,
    "csc array": sparse.csc_array,
    "csc matrix": sparse.csc_matrix,
    "coo array": sparse.coo_array,
    "coo matrix": sparse.coo_matrix,
    "lil array": sparse.lil_array,
    "lil matrix": sparse.lil_matrix,
    "dok array": sparse.dok_array,
    "bsr array": lambda train: sparse.bsr_array(train, blocksize=(3, 4)),
    "dia array": sparse.dia_array,
    "dense": lambda train: train.toarray(),
    "dense of doubles": lambda train: train.toarray().astype(np.float64),
    "dense by columns": lambda train: np.asfortranarray(train.toarray()),
    "dense view": lambda train: np.repeat(train.toarray(), 2, axis=1)[:, ::2],
    "np.matrix": lambda train: np.asmatrix(train.toarray()),
    "uint8": lambda train: train.astype(np.uint8),
    "int64": lambda train: train.astype(np.int64),
    "float64": lambda train: train.astype(np.float64),
    "float16 dense": lambda train: train.toarray().astype(np.float16),
    "long double": lambda train: train.toarray().astype(np.longdouble),
    "int64 columns": wide,
    "columns out of order": unsorted,
    "stored zeros": with_zeros,
    "stored twice": repeated,
    "coo stored twice": coo_repeated,
    "room at the end": slack,
    "read-only": lambda train: read_only(train.copy()),
}


def read_only(train):
    for array in (train.data, train.indices, train.indptr):
        array.flags.writeable = False
    return train


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")  # what it is converted from
@pytest.mark.parametrize("weighted", [False, True])
@EVERY
def test_equal_cells_in_any_container_give_the_same_bits(name, weighted):
    train, model = likes(weighted=weighted), make(name)
    wanted = model.fit(train)
    scores, folded = wanted.score(USERS), wanted.fold(train[:9])
    for container, convert in CONTAINERS.items():
        given = convert(train)
        fitted = model.fit(given)
        assert (fitted.score(USERS) == scores).all(), container
        assert (fitted.fold(convert(train[:9]) if container != "bsr array" else train[:9]) == folded).all(), container


@EVERY
def test_booleans_are_positives(name):
    train, model = likes(), make(name)
    assert (model.fit(train.astype(bool)).score(USERS) == model.fit(train).score(USERS)).all()
    assert (model.fit(train.toarray() > 0).score(USERS) == model.fit(train).score(USERS)).all()


@EVERY
def test_dislikes_and_times_in_any_container_give_the_same_bits(name):
    train = likes()
    dislikes = sparse.csr_array((likes(3).toarray() > train.toarray()).astype(np.float32) * 2)
    times = sparse.csr_array(train.astype(np.float64) * np.arange(1, 25) * 1e5)
    model = make(name)
    for field in ({"disliked": 3.0}, {"half_life": 2.0}):
        if next(iter(field)) in model.__dataclass_fields__ and name != "TopFrequency":  # whose times are of purchases
            model = replace(model, **field)
    wanted = model.fit(train, SideInformation(dislikes, times)).score(USERS)
    for convert in (sparse.csc_matrix, sparse.coo_array, sparse.lil_array, lambda m: m.toarray(), unsorted, wide):
        assert (model.fit(train, SideInformation(convert(dislikes), convert(times))).score(USERS) == wanted).all()


def test_a_rating_of_0_is_a_dislike_all_the_same():
    train, dislikes = likes(), sparse.csr_array((likes(3).toarray() > likes().toarray()).astype(np.float32))
    low = dislikes.copy()
    low.data[:] = 0.0
    for model in (ALS(factors=4, disliked=3.0), IALS(factors=4, disliked=3.0)):
        scores = [model.fit(train, SideInformation(side)).score(USERS) for side in (None, dislikes, low)]
        assert (scores[1] == scores[2]).all()
        assert (scores[0] != scores[1]).any()


def changed(**parts):
    """Return a CSR some of whose arrays were replaced without a look at them."""
    made = likes().copy()
    for name, value in parts.items():
        setattr(made, name, value)
    return made


def one(value, dtype=np.float64):
    dense = likes().toarray().astype(dtype)
    dense[2, 5] = value
    return dense


BAD = {
    "a negative weight": (one(-1.0), "found -1.0 in row 2, column 5, expected finite numbers"),
    "NaN": (one(np.nan), "found nan in row 2, column 5"),
    "infinity": (sparse.csr_array(one(np.inf)), "found inf in row 2, column 5"),
    "minus infinity": (sparse.csc_array(one(-np.inf)), "found -inf in row 2, column 5"),
    "no float32": (one(1e39), r"found 1e\+39 in row 2, column 5, expected finite numbers that a float32 can hold"),
    "0 as a float32": (one(1e-60), "found 1e-60 in row 2, column 5"),
    "a negative whole number": (one(-3, np.int64), "found -3 in row 2"),
    "complex": (likes().astype(np.complex128), "found numbers of type complex128"),
    "objects": (likes().toarray().astype(object), "found numbers of type object"),
    "text": (np.full((3, 3), "x"), "found numbers of type <U1"),
    "times": (np.full((3, 3), np.datetime64("2020-01-01")), "found numbers of type datetime64"),
    "fields": (np.zeros((3, 3), dtype=[("a", float)]), "found numbers of type"),
    "one dimension": (np.ones(4), "found 1 dimensions"),
    "one sparse dimension": (sparse.coo_array(np.ones(4)), "found 1 dimensions"),
    "three dimensions": (np.ones((2, 3, 4)), "found 3 dimensions"),
    "no dimension": (np.array(1.0), "found 0 dimensions"),
    "masked": (np.ma.masked_equal(likes().toarray(), 0), "found a numpy.ma.MaskedArray, expected a SciPy sparse"),
    "a list": ([[0, 1], [1, 0]], "found a list, expected a SciPy sparse matrix or a NumPy array of users and items"),
    "nothing": (None, "found a NoneType"),
    "no users": (np.ones((0, 24)), "found 0 users and 24 items"),
    "no items": (sparse.csr_array((30, 0)), "found 30 users and 0 items"),
    "nobody has anything": (np.zeros((5, 4)), "found no positives among 5 users"),
    "zeros that are stored": (changed(data=np.zeros(likes().nnz, np.float32)), "found no positives among 30 users"),
    "a column too far": (changed(indices=likes().indices + 1), "entries outside of its 30 x 24 cells"),
    "a column below 0": (changed(indices=likes().indices - 1), "entries outside of its 30 x 24 cells"),
    "pointers that fall": (changed(indptr=likes().indptr[[0, *range(29, 0, -1), 30]]), "entries outside of its"),
    "pointers beyond": (changed(indptr=likes().indptr * 3), "damaged matrix|entries outside of its"),
    "numbers missing": (changed(data=np.ones(3, np.float32)), "damaged matrix|entries outside of its"),
}


@pytest.mark.parametrize("case", BAD)
@EVERY
def test_what_is_no_matrix_of_positives_is_refused_in_one_line(name, case):
    given, message = BAD[case]
    with pytest.raises(RecsysError, match=message) as error:
        make(name).fit(given)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_a_table_of_events_is_no_matrix():
    pandas = pytest.importorskip("pandas")
    with pytest.raises(RecsysError, match=r"als: train: found a pandas\.\S*DataFrame, expected a SciPy sparse matrix"):
        ALS().fit(pandas.DataFrame({"user": [0, 1], "item": [3, 4]}))


@pytest.mark.parametrize(
    ("side", "message"),
    [(SideInformation(dislikes=sparse.csr_array((30, 23))), "side.dislikes: found 30 x 23 users and items, expected 30 x 24"),
     (SideInformation(times=sparse.csr_array((1, 24))), "side.times: found 1 x 24 users and items, expected 30 x 24"),
     (SideInformation(dislikes=one(np.nan)), "side.dislikes: found nan in row 2, column 5"),
     (SideInformation(times=one(np.inf)), "side.times: found inf in row 2, column 5"),
     (SideInformation(dislikes=[[1]]), "side.dislikes: found a list"), (likes(), "side: found a scipy.sparse")],
)  # fmt: skip
@EVERY
def test_what_goes_beside_the_positives_has_their_shape(name, side, message):
    with pytest.raises(RecsysError, match=message) as error:
        make(name).fit(likes(), side)
    assert "\n" not in str(error.value)


@EVERY
def test_histories_are_looked_at_as_well(name):
    fitted = make(name).fit(likes())
    with pytest.raises(RecsysError, match=r"fold: found histories of 23 items, expected the 24 of the model"):
        fitted.fold(likes()[:, :23])
    with pytest.raises(RecsysError, match=r"fold: histories: found -1\.0 in row 2, column 5"):
        fitted.fold(one(-1.0))
    assert (fitted.fold(with_zeros(likes())[:9]) == fitted.fold(likes()[:9])).all()


def test_what_is_canonical_is_not_copied():
    for train in (likes(), sparse.csr_matrix(likes())):
        for made in (canonicalize_positives("als", train), canonicalize_histories(train, 24)):
            assert type(made) is sparse.csr_array
            for part in ("data", "indices", "indptr"):
                assert np.shares_memory(getattr(made, part), getattr(train, part))


def test_a_cell_that_is_stored_several_times_has_its_largest_weight():
    train = sparse.csr_array(([2.0, 3.0, 1.0, 0.0], [1, 1, 0, 1], [0, 4]), shape=(1, 3))
    made = canonicalize_positives("als", train)
    assert made.toarray().tolist() == [[1.0, 3.0, 0.0]]
    assert made.has_canonical_format
    assert EASE().fit(train).train.nnz == 2
