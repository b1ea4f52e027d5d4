"""The cache, files that are whole or not there, records without pickles, seeds."""

import errno
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse

from recsys.support import rng
from recsys.support.atomic_files import replace_file, write_text
from recsys.support.cache import Cache, CacheEntry, describe_environment
from recsys.support.serialization import flatten_record, restore_record
from recsys.types import Factors, RecsysError
from recsys.types.arrays import Csr, Floats


def made(calls):
    calls.append(1)
    return CacheEntry({"x": np.arange(3)}, 0.5)


def test_a_cell_is_computed_once_and_again_for_another_key(tmp_path):
    cache, calls = Cache(tmp_path), []
    for key in ({"a": 1}, {"a": 1}, {"a": 2}):
        cell = cache.get_or_make("thing", key, lambda: made(calls))
        assert cell.arrays["x"].tolist() == [0, 1, 2]
        assert cell.seconds == 0.5
    assert len(calls) == 2
    assert cache.clear() == 2
    assert list(cache.list_entry_files()) == []


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 torn"])
def test_a_damaged_cell_is_made_again(tmp_path, damage):
    cache, calls = Cache(tmp_path), []
    cache.get_or_make("thing", 1, lambda: made(calls))
    next(cache.list_entry_files()).write_bytes(damage)
    assert cache.get_or_make("thing", 1, lambda: made(calls)).arrays["x"].tolist() == [0, 1, 2]
    assert len(calls) == 2


def test_a_cell_with_a_pickle_in_it_is_not_opened(tmp_path):
    cache, calls = Cache(tmp_path), []
    cache.get_or_make("thing", 1, lambda: made(calls))
    np.savez(next(cache.list_entry_files()), x=np.array([{"evil": 1}], dtype=object), _seconds=np.array(0.0))
    assert cache.get_or_make("thing", 1, lambda: made(calls)).arrays["x"].tolist() == [0, 1, 2]


def test_files_of_somebody_else_in_the_folder_stay(tmp_path):
    cache = Cache(tmp_path)
    cache.get_or_make("thing", 1, lambda: made([]))
    for name in ("thesis.npz", "model-backup.npz", "slates-2024.npz"):
        (tmp_path / name).write_bytes(b"mine")
    assert cache.clear() == 1
    assert len(list(tmp_path.iterdir())) == 3


def test_changed_source_does_not_meet_old_cells(tmp_path, monkeypatch):
    cache, calls = Cache(tmp_path), []
    cache.get_or_make("thing", 1, lambda: made(calls))
    monkeypatch.setattr("recsys.support.cache.hash_source", lambda: "other")
    cache.get_or_make("thing", 1, lambda: made(calls))
    assert len(calls) == 2


def test_a_cache_that_cannot_be_written_still_answers_and_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    cache = Cache(tmp_path / "file")
    cell = cache.get_or_make("thing", 1, lambda: made([]))
    assert cell.arrays["x"].tolist() == [0, 1, 2]
    assert "cannot write" in cache.write_errors[0]


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, "old")
    with pytest.raises(KeyError), replace_file(path) as temporary:
        temporary.write_text("half", encoding="utf-8")
        raise KeyError
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "table.csv"
    write_text(path, "old")
    with pytest.raises(RecsysError, match=r"cannot write .*table.csv: No space left on device"), replace_file(path):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert path.read_text(encoding="utf-8") == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


@dataclass(frozen=True, eq=False)
class Record:
    factors: Factors
    matrix: Csr
    names: np.ndarray
    number: float
    nothing: Floats | None = None


def test_records_come_back_from_arrays(tmp_path):
    factors = Factors(
        np.ones((2, 3), np.float32), np.zeros((4, 3), np.float32), np.ones(3, np.float32), 1.0, 2.0, 3.0, 0.0, 4.0, 0.0
    )
    record = Record(factors, sparse.csr_array(np.eye(3, dtype=np.float32)), np.array(["a", "bc"]), 0.25)
    np.savez(tmp_path / "r.npz", allow_pickle=False, **flatten_record(record))
    with np.load(tmp_path / "r.npz") as stored:
        back = restore_record(Record, dict(stored))
    assert back.factors.observed_weight == 2.0
    assert (back.factors.user_factors == factors.user_factors).all()
    assert (back.matrix.toarray() == np.eye(3)).all()
    assert back.names.tolist() == ["a", "bc"]
    assert back.number == 0.25
    assert back.nothing is None


def test_the_environment_names_versions_seed_and_data():
    around = describe_environment(7, "abc")
    assert around["seed"] == 7
    assert around["data_fingerprint"] == "abc"
    assert around["packages"]["numpy"] == np.__version__


def test_uniforms_are_uniform_independent_and_keyed():
    draws = rng.draw_uniforms(3, "test", np.arange(400)[:, None], np.arange(250))
    assert draws.min() > 0
    assert draws.max() < 1
    counts = np.histogram(draws, 50, (0, 1))[0]
    assert ((counts - 2000) ** 2 / 2000).sum() < 100  # the 99.99 % point of chi squared with 49 degrees is 98
    for a, b in ((draws[:-1], draws[1:]), (draws[:, :-1], draws[:, 1:])):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.015
    assert (draws != rng.draw_uniforms(4, "test", np.arange(400)[:, None], np.arange(250))).all()
    assert (draws != rng.draw_uniforms(3, "other", np.arange(400)[:, None], np.arange(250))).all()
    assert (draws[17, 5:9] == rng.draw_uniforms(3, "test", 17, np.arange(5, 9))).all()


def test_normals_are_normal():
    draws = rng.draw_normals(3, "test", np.arange(100_000))
    assert abs(draws.mean()) < 0.015
    assert abs(draws.std() - 1) < 0.01


def test_a_folder_that_several_look_at_at_once_is_writable_for_all(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from recsys.support.cache import require_disk_space

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: require_disk_space(tmp_path / "runs", 0), range(400)))
    assert list((tmp_path / "runs").iterdir()) == []
