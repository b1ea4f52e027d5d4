import json
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import sparse

from recsys.models import ALS, EASE, ItemKNN, Mean, MostPopular
from recsys.models.stores import FORMAT, load, save
from recsys.types import RecsysError


@pytest.fixture
def train():
    return sparse.csr_array((np.random.default_rng(0).random((20, 9)) < 0.4).astype(np.float32))


@pytest.fixture
def folder(train, tmp_path):
    return save(ItemKNN(k=3).fit(train), tmp_path / "model", ItemKNN(k=3))


def refused(folder, **options):
    with pytest.raises(RecsysError) as error:
        load(folder, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def rewrite(folder, **changes):
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))


def test_the_manifest_says_what_it_is(folder):
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["format"] == FORMAT
    assert manifest["kind"] == "ByLinks"
    assert manifest["settings"] == {"kind": "ItemKNN", "k": 3, "similarity": "tfidf", "shrink": 10.0}
    assert {"recsys", "numpy", "python"} <= set(manifest["versions"])
    assert manifest["arrays"]["lengths"]["shape"] == [9]
    assert {p.name for p in folder.iterdir()} == {"manifest.json", *(f"{name}.npy" for name in manifest["arrays"])}


def test_settings_of_a_mean_are_those_of_its_parts(train, tmp_path):
    mean = Mean(["ease", {"kind": "als", "factors": 2}])
    kept = json.loads((save(mean.fit(train), tmp_path / "m", mean) / "manifest.json").read_text())["settings"]
    assert [part["kind"] for part in kept["models"]] == ["EASE", "ALS"]
    assert kept["models"][1]["factors"] == 2


def test_arrays_are_mapped_and_read_only(train, tmp_path):
    back = load(save(EASE().fit(train), tmp_path / "m"))
    assert isinstance(back.weights, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        back.weights[0, 0] = 1
    factors = load(save(ALS(factors=3).fit(train), tmp_path / "f")).factors
    assert isinstance(factors.item_factors, np.memmap)


def test_an_older_model_is_replaced_and_nothing_else(train, folder, tmp_path):
    save(MostPopular().fit(train), folder)
    assert type(load(folder)).__name__ == "ByCounts"
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
    other = tmp_path / "letters"
    other.mkdir()
    (other / "letter.txt").write_text("keep me")
    with pytest.raises(RecsysError, match="there already and no saved model"):
        save(MostPopular().fit(train), other)
    assert (other / "letter.txt").read_text() == "keep me"
    with pytest.raises(RecsysError, match="cannot"):
        save(MostPopular().fit(train), other / "letter.txt" / "model")


def test_a_failed_save_leaves_the_older_model(train, folder, monkeypatch, tmp_path):
    before = load(folder).score(np.arange(20))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(RecsysError, match="No space left on device"):
        save(MostPopular().fit(train), folder)
    assert (load(folder).score(np.arange(20)) == before).all()
    assert [p.name for p in tmp_path.iterdir()] == ["model"]


def test_a_flipped_bit_is_found_unless_not_looked_for(folder):
    path = folder / "links.data.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "links.data.npy: is damaged: its sha256" in refused(folder)
    assert load(folder, verify=False).score(np.arange(3)).shape == (3, 9)


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
    np.save(folder / "lengths.npy", np.zeros(4))
    assert "lengths.npy: found [[4], '<f8'], expected [[9], '<f8']" in refused(folder, verify=False)


def test_a_pickle_is_not_opened(folder):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    np.save(folder / "lengths.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    assert "lengths.npy: is damaged" in refused(folder, verify=False)


def test_a_newer_format_is_refused(folder):
    rewrite(folder, format=FORMAT + 1)
    assert (
        refused(folder) == f"{folder}: format {FORMAT + 1}, expected at most {FORMAT}: it was saved by a newer version"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"kind": "ByLink"}, "unknown fitted model 'ByLink': did you mean 'ByLinks'?"), ({"kind": 3}, "unknown fitted model '3'"),
     ({"format": "one"}, "manifest.json is not one of a saved model"), ({"arrays": [1]}, "manifest.json is not one of a saved"),
     ({"arrays": None}, "manifest.json is not one of a saved model"), ({"arrays": {"links": 3}}, "is not one of a saved model"),
     ({"arrays": {}}, "is missing"), ({"arrays": {"../../secret": {}}}, "names an array '../../secret'"),
     ({"kind": "ByFactors"}, "'factors.user_factors' is missing"), ({"kind": "Popen"}, "unknown fitted model 'Popen'")],
)  # fmt: skip
def test_a_foreign_manifest_is_refused(folder, changes, message):
    rewrite(folder, **changes)
    assert message in refused(folder)


def test_a_folder_that_is_no_model_is_refused(tmp_path, folder):
    assert "is no saved model: manifest.json: No such file" in refused(tmp_path)
    assert "is no saved model" in refused(tmp_path / "nowhere")
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
        assert f"the entries of '{name.split('.')[0]}' are not those of a matrix" in refused(copy, verify=False)


def test_parts_of_a_mean_are_fitted_models_and_nothing_else(train, tmp_path):
    made = save(Mean(["ease", "most_popular"]).fit(train), tmp_path / "m")
    np.save(made / "parts.1.__class__.npy", np.asarray("ByWhoever"))
    rewritten = json.loads((made / "manifest.json").read_text())["arrays"]
    rewritten["parts.1.__class__"]["dtype"] = "<U9"
    rewrite(made, arrays=rewritten)
    assert "'ByWhoever'" in refused(made, verify=False)


def test_a_model_of_ones_own_is_not_saved(tmp_path):
    @dataclass(frozen=True)
    class Mine:
        number: int = 3

    with pytest.raises(RecsysError, match="unknown fitted model 'Mine'"):
        save(Mine(), tmp_path / "mine")
    assert not list(tmp_path.iterdir())
