import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse
from synthetic import reseal_manifest

from recsys.models import ALS, EASE, Ensemble, ItemKNN, MostPopular, stores
from recsys.models.stores import FORMAT, load_model, save_model
from recsys.types import RecsysError


@pytest.fixture
def train():
    return sparse.csr_array((np.random.default_rng(0).random((20, 9)) < 0.4).astype(np.float32))


@pytest.fixture
def folder(train, tmp_path):
    return save_model(ItemKNN(k=3).fit(train), tmp_path / "model", ItemKNN(k=3))


def refused(folder, **options):
    with pytest.raises(RecsysError) as error:
        load_model(folder, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_the_manifest_says_what_it_is(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == FORMAT
    assert manifest["kind"] == "FittedItemSimilarity"
    assert manifest["settings"] == {"kind": "ItemKNN", "k": 3, "similarity": "tfidf", "shrink": ItemKNN().shrink}
    assert {"recsys", "numpy", "python"} <= set(manifest["versions"])
    assert manifest["arrays"]["relative_lengths"]["shape"] == [9]
    assert {p.name for p in folder.iterdir()} == {"manifest.json", *(f"{name}.npy" for name in manifest["arrays"])}


def test_settings_of_a_mean_are_those_of_its_parts(train, tmp_path):
    mean = Ensemble(["ease", {"kind": "als", "factors": 2}])
    kept = json.loads((save_model(mean.fit(train), tmp_path / "m", mean) / "manifest.json").read_text())["settings"]
    assert [part["kind"] for part in kept["models"]] == ["EASE", "ALS"]
    assert kept["models"][1]["factors"] == 2


def test_arrays_are_mapped_and_read_only(train, tmp_path):
    back = load_model(save_model(EASE().fit(train), tmp_path / "m"))
    assert isinstance(back.weights, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        back.weights[0, 0] = 1
    factors = load_model(save_model(ALS(factors=3).fit(train), tmp_path / "f")).factors
    assert isinstance(factors.item_factors, np.memmap)


def test_an_older_model_is_replaced_and_nothing_else(train, folder, tmp_path):
    save_model(MostPopular().fit(train), folder)
    assert type(load_model(folder)).__name__ == "FittedPopularity"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    other = tmp_path / "letters"
    other.mkdir()
    (other / "letter.txt").write_text("keep me")
    with pytest.raises(RecsysError, match="there already and no saved model"):
        save_model(MostPopular().fit(train), other)
    assert (other / "letter.txt").read_text() == "keep me"
    with pytest.raises(RecsysError, match="cannot"):
        save_model(MostPopular().fit(train), other / "letter.txt" / "model")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("manifest.json", '{"name": "a page of the web", "icons": []}', "there already and no saved model"),
        ("manifest.json", '{"kind": "Ranker", "arrays": {}}', "there already and no saved model"),
        ("notes.txt", "keep me", "it holds notes.txt, which is no part of a saved model, expected a new folder"),
        ("mine.npy", "keep me", "it holds mine.npy, which is no part of a saved model"),
        ("slates/part-00000.parquet", "keep me", "it holds slates, which is no part of a saved model"),
    ],
)
def test_what_no_save_wrote_is_not_replaced(train, folder, name, content, said):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(content)
    with pytest.raises(RecsysError, match=f"cannot save to .*{said}"):
        save_model(MostPopular().fit(train), folder)
    assert (folder / name).read_text() == content


def test_a_damaged_model_is_replaced(train, folder):
    (folder / "manifest.json").write_text("{")
    assert load_model(save_model(MostPopular().fit(train), folder)).counts.sum() == train.sum()


def test_a_folder_that_is_not_there_has_the_nearest_name(folder):
    assert f"did you mean '{folder}'?" in refused(folder.with_name("modle"))
    assert "did you mean" not in refused(folder.with_name("else"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "model: No space left on device"),
        (OSError("14304 requested and 5088 written"), "14304 requested and 5088 written: is the disk full?"),  # NumPy's
    ],
)
def test_a_failed_save_leaves_the_older_model(train, folder, monkeypatch, tmp_path, error, said):
    before = load_model(folder).score(np.arange(20))

    def full(*_, **__):
        raise error

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(RecsysError, match=re.escape(said)):
        save_model(MostPopular().fit(train), folder)
    assert (load_model(folder).score(np.arange(20)) == before).all()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def flip(path, at=-1):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("verify", [True, False])
def test_a_flipped_bit_is_found(folder, verify):
    flip(folder / "links.data.npy")
    assert "links.data.npy: is damaged: its sha256" in refused(folder, verify=verify)


def test_only_large_arrays_of_floats_are_not_read_unless_asked_for(train, tmp_path, monkeypatch):
    folder = save_model(EASE().fit(train), tmp_path / "m")
    monkeypatch.setattr("recsys.models.stores.ALWAYS_VERIFIED_BYTES", 300)
    flip(folder / "weights.npy")  # 9 x 9 floats: 324 bytes
    assert load_model(folder, verify=False).score(np.arange(3)).shape == (3, 9)
    assert "weights.npy: is damaged: its sha256" in refused(folder)
    links = save_model(ItemKNN(k=3).fit(train), tmp_path / "links")
    monkeypatch.setattr("recsys.models.stores.ALWAYS_VERIFIED_BYTES", 0)
    flip(links / "links.indices.npy")
    assert "links.indices.npy: is damaged: its sha256" in refused(links, verify=False)


def test_settings_and_descriptions_of_arrays_are_held_against_the_digest(folder):
    path = folder / "manifest.json"
    told = json.loads(path.read_text())
    arrays = {**told["arrays"], "relative_lengths": {**told["arrays"]["relative_lengths"], "sha256": "0" * 64}}
    changes = [
        {"settings": {**told["settings"], "k": 4}},
        {"settings": None},
        {"arrays": arrays},
        {"digest": None},
        {"digest": 3},
    ]
    for change in changes:
        path.write_text(json.dumps({**told, **change}))
        assert "manifest.json is damaged: its settings or arrays are not those of its digest" in refused(
            folder, verify=False
        )
    path.write_text(json.dumps({name: told[name] for name in told if name != "digest"}))
    assert "manifest.json is damaged" in refused(folder, verify=False)
    path.write_text(json.dumps({**told, "created": "whenever", "git_commit": "f00", "mine": [1]}))
    assert load_model(folder).score(np.arange(3)).shape == (3, 9)


def test_a_folder_of_a_newer_recsys_is_refused(folder):
    path = folder / "manifest.json"
    told = json.loads(path.read_text())
    for found in ("9.9", "0.99.1", "1.0.0rc1"):
        path.write_text(json.dumps({**told, "versions": {**told["versions"], "recsys": found}}))
        assert f"recsys {found} saved it, expected at most {told['versions']['recsys']}" in refused(
            folder, verify=False
        )
    for versions in (None, {}, [], {"recsys": 3}, {"recsys": "new"}):
        path.write_text(json.dumps({**told, "versions": versions}))
        assert "names no version of recsys" in refused(folder)


@pytest.mark.parametrize(
    ("name", "found"),
    [("recsys", "0.0.9"), ("numpy", "1.26.4"), ("numba", None), ("scipy", "99.0"), ("python", "3.9.1")],
)
def test_other_releases_are_told_in_one_line(folder, name, found):
    path = folder / "manifest.json"
    told = json.loads(path.read_text())
    assert {"recsys", "numpy", "scipy", "numba", "python"} <= set(told["versions"])
    here = told["versions"][name]
    path.write_text(json.dumps({**told, "versions": {**told["versions"], name: found}}))
    with pytest.warns(UserWarning, match=re.escape(f"saved with {name} {found} (here {here}): ")) as told_so:
        load_model(folder)
    assert len(told_so) == 1 and "\n" not in str(told_so[0].message)


def test_other_patches_of_a_release_and_other_implicits_are_the_same(folder):
    path = folder / "manifest.json"
    told = json.loads(path.read_text())
    versions = {name: ".".join([*found.split(".")[:2], "999"]) for name, found in told["versions"].items()}
    path.write_text(json.dumps({**told, "versions": {**versions, "implicit": "0.1"}}))
    load_model(folder)


@pytest.mark.parametrize("verify", [True, False])
def test_a_truncated_or_missing_file_is_refused(folder, verify):
    path = folder / "links.data.npy"
    content = path.read_bytes()
    for size in (len(content) - 4, 100, 10, 0):
        path.write_bytes(content[:size])
        assert "links.data.npy: is damaged" in refused(folder, verify=verify)
    path.unlink()
    assert "links.data.npy: cannot be read: No such file" in refused(folder, verify=verify)


def test_another_array_of_another_shape_is_refused(folder):
    np.save(folder / "relative_lengths.npy", np.zeros(4))
    assert "relative_lengths.npy: found [[4], '<f8'], expected [[9], '<f8']" in refused(folder, verify=False)


def test_a_pickle_is_not_opened(folder):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    np.save(folder / "relative_lengths.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    assert "relative_lengths.npy: is damaged" in refused(folder, verify=False)


def test_a_newer_format_is_refused(folder):
    reseal_manifest(folder, format=FORMAT + 1)
    assert refused(folder) == f"{folder}: format {FORMAT + 1}, expected {FORMAT}: it was saved by a newer version"
    reseal_manifest(folder, format=1)
    assert refused(folder) == f"{folder}: format 1, expected {FORMAT}: an older version saved it, save it anew"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"kind": "FittedItemSimilarit"}, "unknown fitted model 'FittedItemSimilarit': did you mean 'FittedItemSimilarity'?"), ({"kind": 3}, "unknown fitted model '3'"),
     ({"format": "one"}, "manifest.json is not one of a saved model"), ({"arrays": [1]}, "manifest.json is not one of a saved"),
     ({"arrays": None}, "manifest.json is not one of a saved model"), ({"arrays": {"links": 3}}, "is not one of a saved model"),
     ({"arrays": {}}, "is missing"), ({"arrays": {"../../secret": {}}}, "names an array '../../secret'"),
     ({"kind": "FittedFactors"}, "'factors.user_factors' is missing"), ({"kind": "Popen"}, "unknown fitted model 'Popen'")],
)  # fmt: skip
def test_a_foreign_manifest_is_refused(folder, changes, message):
    reseal_manifest(folder, **changes)
    assert message in refused(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path, folder):
    assert "is no saved model: manifest.json: No such file" in refused(tmp_path)
    for path in (tmp_path / "nowhere", folder / "manifest.json"):
        assert "is no saved model" in refused(path)
    for content in ("{", "[]", "7", "{}", "\x00"):
        (folder / "manifest.json").write_text(content)
        assert "manifest.json" in refused(folder)
    (folder / "manifest.json").write_bytes(b"\xff\xfe")
    assert "it is not JSON" in refused(folder)


def test_entries_outside_a_matrix_are_refused(folder):
    for name, at, value in [("links.indices", 0, 99), ("links.indices", 0, -1), ("train.indptr", 3, 10**6)]:
        copy = folder.with_name("copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        array = np.load(copy / f"{name}.npy")
        array[at] = value
        np.save(copy / f"{name}.npy", array)
        reseal_manifest(copy)
        assert f"the entries of '{name.split('.')[0]}' are not those of a matrix" in refused(copy, verify=False)


def test_parts_of_a_mean_are_fitted_models_and_nothing_else(train, tmp_path):
    made = save_model(Ensemble(["ease", "most_popular"]).fit(train), tmp_path / "m")
    np.save(made / "parts.1.__class__.npy", np.asarray("ByWhoever"))
    reseal_manifest(made)
    assert "'ByWhoever'" in refused(made, verify=False)


def test_a_model_of_ones_own_is_not_saved(tmp_path):
    @dataclass(frozen=True)
    class Mine:
        number: int = 3

    with pytest.raises(RecsysError, match="unknown fitted model 'Mine'"):
        save_model(Mine(), tmp_path / "mine")
    assert not list(tmp_path.iterdir())


WRITER = """
import sys
from pathlib import Path
import numpy as np
from recsys.models import stores
from recsys.support import atomic_files
if sys.argv[2] == "renamed twice":
    atomic_files._find_exchange_call = lambda: (None, 0)
for number in range(10**9):
    arrays = {f"a{i}": np.full(8, number, np.float32) for i in range(8)}
    stores.write_store(Path(sys.argv[1]), "Thing", {"number": number}, arrays, "thing")
"""


@pytest.mark.parametrize("loads", [300, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", ["exchanged", "renamed twice"])
def test_a_folder_that_is_replaced_while_it_is_read_is_one_of_both(tmp_path, monkeypatch, way, loads):
    monkeypatch.setattr(stores, "ALWAYS_VERIFIED_BYTES", 0)  # checksums would tell a mix, too
    target, seen = tmp_path / "t", set()
    stores.write_store(target, "Thing", {"number": 0}, {f"a{i}": np.zeros(8, np.float32) for i in range(8)}, "thing")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(target), way]) as writer:
        try:
            while len(seen) < 2:  # it has begun
                seen.add(stores.read_store(target, ["Thing"], "thing", False).settings["number"])
            for _ in range(loads):
                back = stores.read_store(target, ["Thing"], "thing", False)
                assert {float(value) for array in back.arrays.values() for value in array} == {
                    float(back.settings["number"])
                }
                seen.add(back.settings["number"])
        finally:
            writer.kill()
    assert len(seen) > 10
    stores.write_store(target, "Thing", {}, {}, "thing")
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
