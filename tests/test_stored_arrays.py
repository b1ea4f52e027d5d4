"""What a damaged or foreign file of a store does: one line, or a miss; never a traceback, a hang or a wrong array."""

import json
import os
import random
import warnings
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from synthetic import make_maps, make_split, reseal_manifest

from recsys.data import read_frame
from recsys.data import stores as datasets
from recsys.experiments.comparisons import read_run_folder, write_scores
from recsys.models import ItemKNN
from recsys.models.stores import load_model, save_model
from recsys.rankers import Ranker
from recsys.reranking.slates import rerank
from recsys.retrieval.candidates import candidates
from recsys.scores import evaluate
from recsys.support.cache import Cache, CacheEntry
from recsys.support.stored_arrays import StoreError, hash_array, open_folder, read_json, read_npy_header, read_npz
from recsys.types import GroundTruth, RecsysError

ARRAYS = {
    "floats": np.arange(6, dtype=np.float32).reshape(2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "number": np.array(3),
    "none": np.zeros((0, 4), np.int32),
    "texts": np.array(["a", "bcd", "Ünïcode"]),
    "empty text": np.array(""),
    "bools": np.array([True, False]),
    "big": np.arange(2, dtype=">i8"),
    "bytes": np.frombuffer(b"{}", dtype=np.uint8),
}


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_arrays_come_back_as_they_were(tmp_path, write):
    write(tmp_path / "x.npz", allow_pickle=False, **ARRAYS)
    back = read_npz(tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as numpys:
        assert list(back) == numpys.files
        for name, array in numpys.items():
            assert back[name].dtype == array.dtype and back[name].shape == array.shape, name
            assert np.array_equal(back[name], array) and back[name].flags.writeable
            assert back[name].flags.f_contiguous == array.flags.f_contiguous
    large = np.random.default_rng(0).random((700, 700))  # more than one chunk
    write(tmp_path / "x.npz", large=large)
    assert np.array_equal(read_npz(tmp_path / "x.npz")["large"], large)


def refused(path, read=read_npz):
    with warnings.catch_warnings(), pytest.raises(StoreError) as error:
        warnings.simplefilter("error")
        read(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    return str(error.value)


SPECIAL = ["pipe", "folder", "zero", "socket", "link to zero", "nothing"]


@pytest.fixture(params=SPECIAL)
def special(request, tmp_path):
    """A path that is no regular file."""
    import socket

    path = tmp_path / "x.npy"
    if request.param == "pipe":
        os.mkfifo(path)
    elif request.param == "folder":
        path.mkdir()
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as bound:
            bound.bind(str(path))
    elif request.param == "link to zero":
        path.symlink_to("/dev/zero")
    elif request.param == "zero":
        path = Path("/dev/zero")
    return path


def test_what_is_no_regular_file_is_refused_at_once(special):
    assert "cannot be read" in refused(special)
    assert "cannot be read" in refused(special, read_json)


@pytest.mark.parametrize(
    "name", ["manifest.json", "item_ids.npy", "train.indices.npy", "models.0.factors.item_factors.npy"]
)
@pytest.mark.parametrize("what", SPECIAL)
def test_a_ranker_with_a_pipe_for_a_file_is_refused_at_once(ranker, tmp_path, name, what):
    folder = ranker.save(tmp_path / "r")
    (folder / name).unlink()
    if what == "pipe":
        os.mkfifo(folder / name)
    elif what == "folder":
        (folder / name).mkdir()
    elif "zero" in what:
        (folder / name).symlink_to("/dev/zero")
    with pytest.raises(RecsysError, match=r"cannot be read|is no saved ranker"):
        Ranker.load(folder)


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 250000000000, 0), }x",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        b"{'descr': '<U999999999', 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': '<f3', 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }",
        b"{'descr': '<f4', 'fortran_order': 1, 'shape': (1,), }",
        b"{'descr': '<f4', 'shape': (1,), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': 1L, }",
        b"(" * 5000,
        b"9" * 5000,
        b"",
        b"\xff\xfe",
    ],
)
def test_a_header_is_never_believed(tmp_path, header):
    padded = header + b" " * (-(len(header) + 11) % 64) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + b"\0" * 4
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", content)
    assert "is damaged" in refused(tmp_path / "x.npz")
    for version in (b"\x02\x00", b"\x03\x00", b"\x01\x01", b"\x00\x00"):
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("x.npy", b"\x93NUMPY" + version + content[8:])
        assert "is damaged" in refused(tmp_path / "x.npz")


def test_an_archive_that_inflates_to_more_than_deflate_can_make_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_LZMA) as archive:
        np.lib.format.write_array(archive.open("x.npy", "w"), np.zeros(10**6))
    assert "is said to be larger than the file" in refused(tmp_path / "x.npz")


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b"9" * 10_000, b"{", b"\xff", b"", b"\x00", b"{'a': 1}", b'{"a": 1}}']
)
def test_json_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "x.json").write_bytes(text)
    assert "is damaged" in refused(tmp_path / "x.json", read_json)


def test_headers_of_numpy_are_read(tmp_path):
    for name, array in ARRAYS.items():
        np.save(tmp_path / "x.npy", array)
        assert hash_array(array) == sha256((tmp_path / "x.npy").read_bytes()).hexdigest()
        size = (tmp_path / "x.npy").stat().st_size
        with (tmp_path / "x.npy").open("rb") as file:
            header = read_npy_header(file, size)
        assert (header.dtype, header.shape, header.file_size) == (array.dtype, array.shape, size), name


def test_a_folder_is_read_through_one_handle(tmp_path):
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.json").write_text(json.dumps(name))
    with open_folder(tmp_path / "old") as opened:
        assert not opened.is_replaced
        (tmp_path / "old").rename(tmp_path / "away")
        (tmp_path / "new").rename(tmp_path / "old")
        assert opened.is_replaced and not opened.may_be_mixed
        assert opened.read_json("x.json") == "old"
    with pytest.raises(FileNotFoundError), open_folder(tmp_path / "nowhere"):
        pass


# Damage: bits flipped and files cut, with a fixed seed.


def damaged(content: bytes, rounds: int, seed: int):
    """Yield `content` with one to three bits flipped, cut short, with bytes put in or taken out, or a part of zeros."""
    draws = random.Random(seed)
    ends = max(len(content) - 400, 0)  # headers of zip files stand at both ends
    for _ in range(rounds):
        changed = bytearray(content)
        for _ in range(draws.choice([1, 1, 1, 2, 3])):
            at = draws.choice(
                [
                    draws.randrange(len(changed)),
                    draws.randrange(min(200, len(changed))),
                    draws.randrange(ends, len(content)),
                ]
            )
            changed[min(at, len(changed) - 1)] ^= 1 << draws.randrange(8)
        kind, at = draws.randrange(12), draws.randrange(len(content))
        if kind == 0:
            changed = changed[:at]
        elif kind == 1:
            changed[at:at] = draws.randbytes(draws.randrange(1, 30))
        elif kind == 2:
            del changed[at : at + draws.randrange(1, 30)]
        elif kind == 3:
            changed[at : at + 30] = bytes(len(changed[at : at + 30]))
        if bytes(changed) != content:
            yield bytes(changed)


MANY = pytest.mark.parametrize("rounds", [150, pytest.param(750, marks=pytest.mark.slow)])


@MANY
@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_a_damaged_archive_is_refused_or_says_the_same(tmp_path, write, rounds):
    path = tmp_path / "x.npz"
    write(path, allow_pickle=False, **ARRAYS)
    whole = read_npz(path)
    for content in damaged(path.read_bytes(), rounds, 1):
        path.write_bytes(content)
        try:
            back = read_npz(path)
        except StoreError as error:
            assert "\n" not in str(error)
            continue
        assert set(back) <= {name.removesuffix(".npy") for name in whole}
        assert all(np.array_equal(back[name], whole[name]) for name in back)


@MANY
def test_a_damaged_cell_is_made_again_or_says_the_same(tmp_path, rounds):
    cache, arrays = Cache(tmp_path), {"x": np.arange(300), "names": np.array(["a", "b"])}
    cache.get_or_make("thing", 1, lambda: CacheEntry(arrays, 0.5))
    path = next(cache.list_entry_files())
    whole, made = path.read_bytes(), []

    def make():
        made.append(1)
        return CacheEntry(arrays, 0.5)

    for content in damaged(whole, rounds, 2):
        path.write_bytes(content)
        cell = cache.get_or_make("thing", 1, make)
        assert all(np.array_equal(cell.arrays[name], arrays[name]) for name in cell.arrays)
    assert len(made) > rounds / 2


@MANY
def test_a_damaged_dataset_is_made_again_or_says_the_same(tmp_path, rounds):
    log = {
        "user_id": ["a", "b", "b"],
        "item_id": ["1", "2", "3"],
        "weight": [1.0, 2.0, 3.0],
        "datetime": [1e9, 1.1e9, 1.2e9],
    }
    data = read_frame(log, items={"item_id": ["1", "2"], "title": ["One", "Two"], "features": ["A|B", "B"]})
    datasets.save_dataset(data, tmp_path / "x.npz")
    again = 0
    for content in damaged((tmp_path / "x.npz").read_bytes(), rounds, 3):
        (tmp_path / "x.npz").write_bytes(content)
        back = datasets.restore_dataset(tmp_path / "x.npz", {})
        again += back is None
        if back is not None:
            assert np.array_equal(back.interactions.user, data.interactions.user)
            assert np.array_equal(back.interactions.weight, data.interactions.weight)
            assert back.items.titles.tolist() == data.items.titles.tolist()
    assert again > rounds / 2


@pytest.mark.parametrize(
    "change",
    [
        {"user": [0, 1, 9]},
        {"user": [0, -1, 1]},
        {"item": [0, 1]},
        {"weight": [1.0]},
        {"years": [0]},
        {"user": [[0], [1], [1]]},
    ],
)
def test_a_dataset_of_codes_without_ids_is_made_again(tmp_path, change):
    data = read_frame({"user_id": ["a", "b", "b"], "item_id": ["1", "2", "3"]})
    datasets.save_dataset(data, tmp_path / "x.npz")
    assert datasets.restore_dataset(tmp_path / "x.npz", {}) is not None
    arrays = read_npz(tmp_path / "x.npz")
    arrays |= {name: np.array(values, arrays[name].dtype) for name, values in change.items()}
    np.savez(tmp_path / "x.npz", **arrays)
    assert datasets.restore_dataset(tmp_path / "x.npz", {}) is None


@pytest.fixture(scope="module")
def world():
    return make_split()


@pytest.fixture(scope="module")
def ranker(world):
    from recsys.models import ALS

    blend = {"relevance": 1.0, "mmr": 0.2, "negative_space": 0.2}
    return Ranker.fit(ALS(factors=4, iterations=2).fit(world.train), world, blend, maps=make_maps(world), n=20, k=5)


@pytest.mark.parametrize("rounds", [120, pytest.param(600, marks=pytest.mark.slow)])
def test_a_damaged_ranker_is_refused_or_answers_the_same(ranker, tmp_path, rounds):
    folder = ranker.save(tmp_path / "r")
    files, draws = sorted(folder.iterdir()), random.Random(4)
    right = ranker.rank(user="u1")
    for seed in range(rounds):
        path = draws.choice([*files, folder / "manifest.json"])
        whole = path.read_bytes()
        path.write_bytes(next(damaged(whole, 9, seed)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # versions of a damaged manifest
                back = Ranker.load(folder)
        except RecsysError as error:
            assert "\n" not in str(error)
        else:
            assert path.name == "manifest.json"
            assert back.name == ranker.name and back.rank(user="u1").items == right.items
        path.write_bytes(whole)


@pytest.mark.parametrize("rounds", [150, pytest.param(750, marks=pytest.mark.slow)])
def test_a_damaged_model_is_refused_or_scores_the_same(world, tmp_path, rounds):
    fitted = ItemKNN(k=3).fit(world.train)
    folder = save_model(fitted, tmp_path / "m")
    right, draws, files = fitted.score(np.arange(5)), random.Random(5), sorted(folder.iterdir())
    for seed in range(rounds):
        path = draws.choice(files)
        whole = path.read_bytes()
        path.write_bytes(next(damaged(whole, 9, seed)))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                back = load_model(folder, verify=False)
        except RecsysError as error:
            assert "\n" not in str(error)
        else:
            assert np.array_equal(back.score(np.arange(5)), right)
        path.write_bytes(whole)


def test_arrays_of_any_kind_and_shape_under_new_checksums_are_one_line(world, tmp_path):
    folder = save_model(ItemKNN(k=3).fit(world.train), tmp_path / "m")
    strange = [
        np.zeros(()),
        np.zeros((0,)),
        np.zeros((2, 2, 2)),
        np.array(["x"]),
        np.array([True]),
        np.full(3, np.nan),
        np.full(2, 2**40),
    ]
    for path in sorted(folder.glob("*.npy")):
        whole = path.read_bytes()
        for array in strange:
            np.save(path, array)
            reseal_manifest(folder)
            try:
                load_model(folder)
            except RecsysError as error:
                assert "\n" not in str(error)
        path.write_bytes(whole)
        reseal_manifest(folder)
    load_model(folder)


@pytest.fixture
def run(world, tmp_path):
    """A run folder, as far as `recsys compare` reads one."""
    pool = candidates(ItemKNN(k=3).fit(world.train), world, n=20)
    slates = {name: rerank(pool, blend, 5) for name, blend in [("base", {"relevance": 1.0}), ("noise", {"noise": 1.0})]}
    scores = evaluate(slates, GroundTruth(world, (), (), ()), ["ndcg@5", "coverage@5"], [5], n_bootstrap=100)
    write_scores(scores, tmp_path)
    (tmp_path / "environment.json").write_text(json.dumps({"data_fingerprint": "abc"}))
    (tmp_path / "config.toml").write_text('[data]\nname = "ml-100k"\n')
    return tmp_path


@pytest.mark.parametrize("rounds", [150, pytest.param(750, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["scores.npz", "environment.json", "config.toml"])
def test_a_damaged_run_folder_is_one_line_or_says_the_same(run, name, rounds):
    right = read_run_folder(str(run))
    for content in damaged((run / name).read_bytes(), rounds, 6):
        (run / name).write_bytes(content)
        try:
            back = read_run_folder(str(run))
        except RecsysError as error:
            assert "\n" not in str(error)
            continue
        if name == "scores.npz":
            assert [cell.value for cell in back.scores.cells] == [cell.value for cell in right.scores.cells]


def test_a_run_folder_with_a_pipe_or_a_device_in_it_is_one_line(run):
    for name in ("scores.npz", "environment.json"):
        whole = (run / name).read_bytes()
        (run / name).unlink()
        os.mkfifo(run / name)
        with pytest.raises(RecsysError, match=f"found no {name}"):
            read_run_folder(str(run))
        (run / name).unlink()
        (run / name).write_bytes(whole)
    for content in ("[]", "3", '{"data": 1}', "null", '"data_fingerprint"'):
        (run / "environment.json").write_text(content)
        with pytest.raises(RecsysError, match="names no data_fingerprint"):
            read_run_folder(str(run))
