"""Where the files of a published table may stand, the same for every protocol, and what is said of them."""

import hashlib
import math
import os
import zipfile

import numpy as np
import pytest
from click.testing import CliRunner

from recsys import cli, data
from recsys.data.locations import locate_folder
from recsys.reproductions.published_settings import ReproductionConfig, list_reproductions, read_reproduction
from recsys.reproductions.run import MetricCheck, prepare_setup, reproduce
from recsys.types import RecsysError

LISTS = {"train.txt": "0 1 2\n1 2 3\n2 1 3 4\n", "test.txt": "0 3\n1 1\n2 2\n"}
RATINGS = {
    "tiny.train.rating": "0\t1\t5\t1\n0\t2\t5\t1\n1\t2\t4\t1\n1\t3\t4\t1\n2\t1\t4\t1\n2\t3\t4\t1\n",
    "tiny.test.rating": "0\t3\t5\t2\n1\t1\t5\t2\n2\t2\t5\t2\n",
    "tiny.test.negative": "(0,3)\t4\t5\n(1,1)\t4\t5\n(2,2)\t4\t5\n",
}


def movielens():
    """Return files of the form of MovieLens 1M; the counts are not those of its card."""
    rng = np.random.default_rng(0)
    pairs = sorted({(int(u), int(i)) for u, i in rng.integers(1, 40, (700, 2))})
    ratings = "".join(f"{u}::{i}::{1 + (u + i) % 5}::{1000 + n}\n" for n, (u, i) in enumerate(pairs))
    return {"ratings.dat": ratings, "movies.dat": "".join(f"{i}::Film {i} (1999)::Drama\n" for i in range(1, 40))}


PROTOCOLS = {
    "lists": ("as_published", "tiny", LISTS, "data/tiny"),
    "ratings": ("as_published", "tiny", RATINGS, "Data"),
    "last_item": ("last_item", "ml-1m", movielens(), "ml-1m"),
    "random_pairs": ("random_pairs", "ml-1m", movielens(), "ml-1m"),
    "held_out_users": ("held_out_users", "ml-1m", movielens(), "ml-1m"),
}


def recipe(which):
    kind, name, _, _ = PROTOCOLS[which]
    protocol = {"kind": kind}
    if which == "ratings":
        protocol["negatives"] = {"n": 2, "file": True}
    if kind == "held_out_users":
        protocol["held_out"] = 5
    metric = "sampled_hit_rate@2" if which == "ratings" else "recall@2"
    return ReproductionConfig.model_validate(
        {
            "title": "t",
            "source": "s",
            "data": {"format": which if which in ("lists", "ratings") else "card", "name": name},
            "protocol": protocol,
            "tolerance": {metric: 1.0},
            "models": {"pop": {"model": {"kind": "most_popular"}, "published": {metric: 0.5}}},
        }
    )


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def pack(path, files, below=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(f"{below}{name}", text)
    return path


LAYOUTS = {
    "files in the folder": lambda top, name, files, sub: write(top, files),
    "folder of its name": lambda top, name, files, sub: write(top / name, files).parent,
    "folder of its name, other case": lambda top, name, files, sub: write(top / name.upper(), files).parent,
    "folder of its name below itself": lambda top, name, files, sub: write(top / name / name, files).parent.parent,
    "sub-folder of where it is published": lambda top, name, files, sub: [write(top / sub, files), top][1],
    "a whole checkout": lambda top, name, files, sub: [write(top / "code-master" / sub, files), top][1],
    "folder of any name": lambda top, name, files, sub: write(top / "files", files).parent,
    "archive of the files": lambda top, name, files, sub: pack(top / "any.zip", files),
    "archive of the folder": lambda top, name, files, sub: pack(top / "any.zip", files, f"{name}/"),
    "archive of a checkout": lambda top, name, files, sub: pack(top / "any.zip", files, f"code-master/{sub}/"),
    "folder with the archive": lambda top, name, files, sub: pack(top / f"{name}.zip", files).parent,
    "folder with one archive": lambda top, name, files, sub: pack(top / "main.ZIP", files, f"{sub}/").parent,
    "archive in a folder of its name": lambda top, name, files, sub: pack(top / name / f"{name}.zip", files).parents[1],
}


def refuse(source, folder, quiet=False):
    raise RecsysError("no network")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr("recsys.data.datasets._check_counts", lambda *arguments: None)  # the files are made up
    monkeypatch.setattr("recsys.data.sources.download_archive", refuse)


def there(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", PROTOCOLS)
def test_every_protocol_takes_every_layout(which, layout, tmp_path):
    _, name, files, below = PROTOCOLS[which]
    place = LAYOUTS[layout](tmp_path / "given", name, files, below)
    before = there(tmp_path / "given")
    trial = prepare_setup(recipe(which), place, quiet=True)
    plain = prepare_setup(recipe(which), write(tmp_path / "plain", files), quiet=True)
    assert trial.split.user_ids.tolist() == plain.split.user_ids.tolist()
    for part in ("train", "test"):
        assert (getattr(trial.split, part) != getattr(plain.split, part)).nnz == 0
    assert (trial.fit_positives != plain.fit_positives).nnz == 0
    assert there(tmp_path / "given") == before  # nothing is written into it


@pytest.mark.parametrize("which", ["lists", "ratings"])
@pytest.mark.parametrize("layout", ["folder of its name", "folder with the archive", "archive in a folder of its name"])
def test_the_folder_of_datasets_takes_what_has_the_name(which, layout, tmp_path):
    _, name, files, below = PROTOCOLS[which]
    LAYOUTS[layout](tmp_path / "cache", name, files, below)
    write(tmp_path / "cache" / "other", files)  # of another dataset, with the same names
    assert prepare_setup(recipe(which)).split.shape[0] == 3


def test_the_folder_of_datasets_takes_nothing_of_another_name(tmp_path):
    write(tmp_path / "cache" / "other", LISTS)
    pack(tmp_path / "cache" / "other.zip", LISTS)
    with pytest.raises(RecsysError, match=r"tiny: no such folder, expected one with train.txt and test.txt; --data"):
        prepare_setup(recipe("lists"))


@pytest.mark.parametrize("which", PROTOCOLS)
@pytest.mark.parametrize(
    "make", ["nothing", "empty", "twice", "text", "broken", "empty archive", "half", "too deep", "pipe", "long"]
)
def test_what_cannot_be_used_is_one_line(which, make, tmp_path, monkeypatch):
    _, name, files, _ = PROTOCOLS[which]
    place = tmp_path / "given"
    if make == "twice":
        write(place / "a", files)
        write(place / "b", files)
    elif make == "half":
        write(place, dict([next(iter(files.items()))]))
    elif make == "too deep":
        write(place / "a" / "b" / "c" / "d", files)
    elif make == "empty":
        place.mkdir()
    elif make == "pipe":
        os.mkfifo(place)
    elif make == "long":
        place = tmp_path / ("a" * 300)
    elif make == "text":
        place.write_text("no archive", encoding="utf-8")
    elif make == "broken":
        place = pack(tmp_path / f"{name}.zip", files)
        place.write_bytes(place.read_bytes()[:100])
    elif make == "empty archive":
        place = pack(tmp_path / f"{name}.zip", {})
    with pytest.raises(RecsysError) as caught:
        prepare_setup(recipe(which), place, quiet=True)
    assert "\n" not in str(caught.value) and str(tmp_path) in str(caught.value)


def test_a_folder_of_the_name_is_taken_before_the_top_and_two_of_them_are_refused(tmp_path):
    write(tmp_path, {"train.txt": "0 9\n", "test.txt": "0 8\n"})
    write(tmp_path / "x" / "tiny", LISTS)
    found = locate_folder(tmp_path, "tiny", list(LISTS), tmp_path / "work")
    assert found == tmp_path / "x" / "tiny"
    write(tmp_path / "y" / "Tiny", LISTS)
    with pytest.raises(RecsysError, match=r"2 folders called tiny with train\.txt, test\.txt in it, expected one"):
        locate_folder(tmp_path, "tiny", list(LISTS), tmp_path / "work")


def test_links_to_folders_are_followed_and_a_circle_ends(tmp_path):
    write(tmp_path / "far", LISTS)
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "tiny").symlink_to(tmp_path / "far", target_is_directory=True)
    (tmp_path / "given" / "round").symlink_to(tmp_path / "given", target_is_directory=True)
    with pytest.raises(RecsysError, match="folders called tiny"):
        locate_folder(tmp_path / "given", "tiny", list(LISTS), tmp_path)
    (tmp_path / "given" / "round").unlink()
    assert locate_folder(tmp_path / "given", "tiny", list(LISTS), tmp_path) == tmp_path / "given" / "tiny"


# What is said of the files.


def with_source(which, **known):
    one = recipe(which)
    return one.model_copy(update={"data": type(one.data).model_validate({**one.data.model_dump(), **known})})


SIZE = {"users": 3, "items": 4, "pairs": 10}


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({}, "files: train.txt, test.txt: not checked, nothing is known to compare with"),
        ({"size": SIZE}, "checked by counts alone, nothing is known to compare bytes with"),
        ({"size": SIZE, "objects": {"train.txt": "0" * 40}}, "checked by counts alone, other bytes than published"),
        ({"size": {**SIZE, "items": 5}}, "files: train.txt, test.txt: not the published files: 4 items, expected 5"),
    ],
)
def test_it_is_said_what_was_checked(known, said, tmp_path):
    trial = prepare_setup(with_source("lists", **known), write(tmp_path / "given", LISTS))
    assert said in trial.split.notes[0]


def test_files_as_published_are_told_by_their_git_object_ids(tmp_path):
    objects = {
        name: hashlib.sha1(b"blob %d\0" % len(text) + text.encode(), usedforsecurity=False).hexdigest()
        for name, text in LISTS.items()
    }
    known = with_source("lists", size=SIZE, objects=objects)
    trial = prepare_setup(known, write(tmp_path / "given", LISTS))
    assert trial.split.notes[0] == "files: checked: train.txt, test.txt by git object id"
    write(tmp_path / "given", {"train.txt": LISTS["train.txt"] + "\n"})
    trial = prepare_setup(known, tmp_path / "given")
    assert trial.split.notes[0] == (
        "files: checked: test.txt by git object id; train.txt: checked by counts alone, other bytes than published"
    )


def test_of_a_dataset_it_is_said_what_was_checked(tmp_path):
    trial = prepare_setup(recipe("last_item"), write(tmp_path / "given", movielens()), quiet=True)
    (note,) = [note for note in trial.split.notes if note.startswith("files: ")]
    assert note.startswith(f"files: {tmp_path / 'given'}; not checked: the card has no sha256 of these files")


@pytest.mark.parametrize(("layout", "said"), [("files", "not checked"), ("archive", "not checked")])
def test_fetching_does_not_say_checked_of_what_nobody_compared(layout, said, tmp_path, capsys):
    files = movielens()
    given = write(tmp_path / "given", files) if layout == "files" else pack(tmp_path / "a.zip", files)
    data.fetch_dataset("ml-1m", path=given)
    assert f"from {given}, {said}: the card has no sha256 of these files" in capsys.readouterr().err


# What is printed.


def test_every_row_states_its_status(tmp_path):
    write(tmp_path / "given", LISTS)
    text = """
title = "t"
source = "s"
data = { format = "lists", name = "tiny" }
protocol = { kind = "as_published" }
[tolerance]
"recall@2" = 0.01
"ndcg@2" = 0.01
[models.pop]
model = { kind = "most_popular" }
tolerance = { "ndcg@2" = 1.0 }
published = { "recall@2" = 5.0, "ndcg@2" = 0.5 }
[models.random]
model = { kind = "random" }
values = "ratings"
published = { "recall@2" = 0.1 }
"""
    (tmp_path / "t.toml").write_text(text, encoding="utf-8")
    run = CliRunner().invoke(
        cli.cli, ["reproduce", str(tmp_path / "t.toml"), "--data", str(tmp_path / "given"), "--quiet"]
    )
    assert run.exit_code == 1
    assert [check.status for check in reproduce(tmp_path / "t.toml", tmp_path / "given", quiet=True).checks] == [
        "fail", "pass", "not run",
    ]  # fmt: skip
    assert "status" in run.output and "not run" in run.output
    assert "1 of 3 values within tolerance, 1 not run" in run.output
    assert "note: files: train.txt, test.txt: not checked" in run.output
    assert MetricCheck("m", "ndcg@10", 0.5, math.nan, math.nan, 9.0).status == "not run"


def test_a_tolerance_of_a_row_is_of_a_metric_that_it_has(tmp_path):
    text = list_reproductions()["ml-1m-ncf"].read_text(encoding="utf-8")
    old = 'tolerance = { "sampled_hit_rate@10" = 0.004'
    assert old in text
    (tmp_path / "t.toml").write_text(text.replace(old, old.replace("@10", "@1")), encoding="utf-8")
    with pytest.raises(RecsysError, match=r"tolerance: unknown metric 'sampled_hit_rate@1': did you mean"):
        read_reproduction(tmp_path / "t.toml")


def test_an_archive_can_be_given_to_the_command(tmp_path):
    path = pack(tmp_path / "checkout.zip", LISTS, "code/data/tiny/")
    (tmp_path / "t.toml").write_text(
        'title = "t"\nsource = "s"\ndata = { format = "lists", name = "tiny" }\nprotocol = { kind = "as_published" }\n'
        '[tolerance]\n"recall@2" = 1.0\n[models.pop]\nmodel = { kind = "most_popular" }\npublished = { "recall@2" = 0.5 }\n',
        encoding="utf-8",
    )
    run = CliRunner().invoke(cli.cli, ["reproduce", str(tmp_path / "t.toml"), "--data", str(path), "--quiet"])
    assert run.exit_code == 0, run.output
