"""Fetching and loading: sources in turn, checked, whole or not at all. The only network is this machine's own."""

import errno
import hashlib
import http.server
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pooch
import pytest

from recsys import data
from recsys.data import downloads, sources
from recsys.support import resources
from recsys.types import RecsysError

RATINGS = "userId,movieId,rating,timestamp\n1,50,4.0,100\n2,50,3.0,101\n2,7,1.0,101\n"
MOVIES = "movieId,title,genres\n7,Seven (1995),Crime|Thriller\n50,Fifty,(no genres listed)\n99,Unseen (2001),Drama\n"


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def archive(path: Path, folder: str = "tiny/", **changes: str) -> bytes:
    contents = {"ratings.csv": RATINGS, "movies.csv": MOVIES, "README.txt": "Tiny."} | changes
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in contents.items():
            file.writestr(zipfile.ZipInfo(folder + name), text)
    return path.read_bytes()


TAGS = "userId,movieId,tag,timestamp\n1,50, Slow  Burn,1\n2,50,slow burn,2\n2,7,SLOW burn,3\n2,7,drama,4\n9,99,slow,5\n"
TAGGED = """
    [layouts.official.tags]
    file = "tiny/tags.csv"
    columns = { item_id = "movieId", features = "tag" }
    """


class World:
    """A folder of cards, a data folder, and a server on this machine."""

    def __init__(self, folder: Path, url: str, answers: dict[str, Any]) -> None:
        self.folder, self.url, self.answers = folder, url, answers
        self.data = folder / "data"
        self.content = archive(folder / "made.zip")

    def card(self, *sources: str, users: int = 2, extra: str = "") -> None:
        text = f"""
            name = "tiny"
            title = "Tiny"
            about = "Made up."
            licence = "MIT"
            terms = "None."
            citation = "@misc{{tiny}}"
            {extra}
            [expected]
            users = {users}
            items = 2
            interactions = 3
            [layouts.official.interactions]
            file = "tiny/ratings.csv"
            sha256 = "{sha(RATINGS.encode())}"
            columns = {{ user_id = "userId", item_id = "movieId", weight = "rating", datetime = "timestamp" }}
            [layouts.official.items]
            file = "tiny/movies.csv"
            columns = {{ item_id = "movieId", title = "title", features = "genres" }}
            """
        (self.folder / "cards").mkdir(exist_ok=True)
        (self.folder / "cards" / "tiny.toml").write_text(text + "\n".join(sources))

    def archive(self, path: str, checksum: str | None = None) -> str:
        checksum = checksum or sha(self.content)
        where = f'kind = "archive"\nlayout = "official"\nurl = "{self.url}{path}"'
        return f'\n[[sources]]\n{where}\nsha256 = "{checksum}"\nbytes = {len(self.content)}\n'

    @staticmethod
    def local() -> str:
        return '\n[[sources]]\nkind = "local"\nlayout = "official"\nfiles = ["tiny.zip", "tiny"]\n'

    @staticmethod
    def package(checksum: str) -> str:
        where = '\n[[sources]]\nkind = "package"\nlayout = "official"\nname = "tinybole"\nversion = "1.0"\n'
        return f'{where}sha256 = "{checksum}"\n'

    def fetch(self, **arguments: Any) -> Path:
        return data.fetch_dataset("tiny", self.data, **arguments)

    def load(self) -> Any:
        return data.load_dataset("tiny", self.data)

    def left_over(self) -> list[str]:
        return sorted(str(one.relative_to(self.data)) for one in self.data.rglob("*") if one.is_file())


WHOLE = ["tiny/movies.csv", "tiny/ratings.csv", "tiny/source.json"]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    answers: dict[str, Callable[[http.server.BaseHTTPRequestHandler], None]] = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers[self.path](self)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    made = World(tmp_path, f"http://127.0.0.1:{server.server_port}/", answers)
    monkeypatch.setattr(resources, "find_shipped_folder", lambda name: tmp_path / "cards")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    answers["/tiny.zip"] = lambda handler: send(handler, made.content)
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


def send(handler: http.server.BaseHTTPRequestHandler, content: bytes, said: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content) if said is None else said))
    handler.end_headers()
    handler.wfile.write(content)


# Over HTTP


def test_an_archive_is_fetched_and_loaded(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.card(world.archive("tiny.zip"))
    assert world.fetch() == world.data / "tiny"
    assert world.left_over() == WHOLE
    assert f"tiny: from {world.url}tiny.zip, checked" in capsys.readouterr().err
    loaded = world.load()
    assert loaded.interactions.user_ids.tolist() == ["1", "2"]
    assert loaded.items.titles.tolist() == ["Seven", "Fifty"]
    assert loaded.items.years.tolist() == [1995, 0]
    assert loaded.items.feature_names == ("Crime", "Thriller")
    assert loaded.notes == ("1 items of the catalogue have no interactions: left out",)
    assert loaded.card["source"] == f"{world.url}tiny.zip"
    assert loaded.card["licence"] == "MIT"


def test_tags_are_features_from_any_kind_of_source(world: World, tmp_path: Path) -> None:
    world.card(world.archive("tiny.zip"))
    plain = world.load()
    world.content = archive(world.folder / "tagged.zip", **{"tags.csv": TAGS})
    world.card(world.archive("tiny.zip"), TAGGED)
    tagged = world.load()  # what was there lacks a file: fetched again
    assert "tiny/tags.csv" in world.left_over()
    assert tagged.items.feature_names == ("Crime", "Thriller", "drama", "slow burn")
    assert tagged.items.features.toarray().tolist() == [[1, 1, 1, 1], [0, 0, 0, 1]]
    assert tagged.items.titles.tolist() == plain.items.titles.tolist()
    assert tagged.items.years.tolist() == plain.items.years.tolist()
    assert tagged.notes == plain.notes
    assert tagged.fingerprint != plain.fingerprint
    assert set(tagged.card["checksums"]) == {"ratings.csv", "movies.csv", "tags.csv"}
    with zipfile.ZipFile(world.folder / "tagged.zip") as file:
        file.extractall(world.folder)
    for path in ("tagged.zip", "tiny"):
        data.fetch_dataset("tiny", tmp_path / "copies" / path, path=world.folder / path)
        assert data.load_dataset("tiny", tmp_path / "copies" / path).fingerprint == tagged.fingerprint


def test_a_rule_of_tags_is_counted_and_is_part_of_the_copy(world: World) -> None:
    world.content = archive(world.folder / "tagged.zip", **{"tags.csv": TAGS})
    world.card(world.archive("tiny.zip"), TAGGED)
    both = world.load()
    world.card(world.archive("tiny.zip"), TAGGED, extra="rules = { tags = { min_items = 2 } }")
    one = world.load()
    assert one.items.feature_names == ("Crime", "Thriller", "slow burn")
    assert one.notes == (*both.notes, "1 tags that fewer than 2 items have or 1 users gave: left out")
    assert world.load().notes == one.notes
    assert one.fingerprint != both.fingerprint


def test_an_archive_without_its_tags_is_refused(world: World) -> None:
    world.card(world.archive("tiny.zip"), TAGGED)
    with pytest.raises(RecsysError, match=r"no members called tags\.csv in it"):
        world.load()


def test_what_is_there_is_not_fetched_again(world: World) -> None:
    world.card(world.archive("tiny.zip"))
    world.fetch()
    world.answers.clear()
    assert world.fetch() == world.data / "tiny"


def test_quiet(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.card(world.archive("none.zip"), world.archive("tiny.zip"))
    world.answers["/none.zip"] = lambda handler: handler.send_error(404)
    world.fetch(quiet=True)
    assert capsys.readouterr() == ("", "")


def test_a_source_that_fails_says_why_and_the_next_is_tried(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    get, ended = pooch.HTTPDownloader.__call__, threading.Event()

    def get_in_haste(self: pooch.HTTPDownloader, url: str, *given: Any) -> None:
        if url.endswith("slow.zip"):
            self.kwargs["timeout"] = 0.3
        get(self, url, *given)

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", get_in_haste)
    world.answers |= {
        "/gone.zip": lambda handler: handler.send_error(404),
        "/cut.zip": lambda handler: send(handler, world.content[:100], said=len(world.content)),
        "/slow.zip": lambda handler: ended.wait(),
        "/long.zip": lambda handler: send(handler, bytes(3_000_000)),
        "/page.zip": lambda handler: send(handler, b"<html>Log in</html>"),
    }
    closed = 'http://127.0.0.1:9/tiny.zip"'
    refused = world.archive("tiny.zip").replace(f'{world.url}tiny.zip"', closed)
    wrong = [world.archive(name) for name in ("gone.zip", "cut.zip", "slow.zip", "long.zip", "page.zip")]
    world.card(refused, *wrong, world.archive("tiny.zip", checksum="0" * 64), world.archive("tiny.zip"))
    world.fetch()
    ended.set()
    said = capsys.readouterr().err.splitlines()
    expected = [
        ": no connection",
        "gone.zip: HTTP 404 Not Found",
        "cut.zip: the connection broke off",
        "slow.zip: no answer within",
        "long.zip: longer than the",
        "page.zip: page.zip: wrong checksum",
        f"tiny.zip: tiny.zip: wrong checksum: sha256 is {sha(world.content)[:12]}..., expected 000000000000...",
        "tiny.zip, checked",
    ]
    assert len(said) == len(expected)
    for line, part in zip(said, expected, strict=True):
        assert part in line
    assert world.left_over() == WHOLE


def test_all_sources_fail_in_one_line(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.card(world.archive("gone.zip"), world.local())
    world.answers["/gone.zip"] = lambda handler: handler.send_error(500)
    with pytest.raises(RecsysError) as error:
        world.fetch()
    text = str(error.value)
    assert text.startswith(f"cannot fetch tiny: {world.url}gone.zip: HTTP 500")
    assert text.endswith(f"tiny.zip or tiny: not in {world.data}")
    assert "\n" not in text
    assert capsys.readouterr() == ("", "")  # the error has all reasons: none is said twice
    assert not world.data.exists()


def test_an_empty_data_folder_of_ones_own_stays(world: World) -> None:
    world.card(world.archive("gone.zip"))
    world.answers["/gone.zip"] = lambda handler: handler.send_error(404)
    world.data.mkdir()
    with pytest.raises(RecsysError, match="HTTP 404"):
        world.fetch()
    assert world.left_over() == []
    assert world.data.is_dir()


def test_an_archive_without_the_files(world: World) -> None:
    world.content = archive(world.folder / "other.zip", "other/", **{"ratings.csv": "changed"})
    world.card(world.archive("tiny.zip"))
    with pytest.raises(RecsysError, match=r"ratings\.csv: wrong checksum"):
        world.fetch()


# The package index


def installed(monkeypatch: pytest.MonkeyPatch, wheel: bytes | None, error: str = "") -> list[list[str]]:
    calls: list[list[str]] = []

    def run(command: list[str], cwd: Path, **arguments: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        if wheel is not None:
            (Path(command[command.index("--dest") + 1]) / "tinybole-1.0-py3-none-any.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, 1 if error else 0, "", error)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_a_package_is_unzipped_not_installed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = archive(world.folder / "wheel.whl")
    world.card(world.package(sha(wheel)))
    calls = installed(monkeypatch, wheel)
    world.fetch()
    assert calls[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "tinybole==1.0"} <= set(calls[0])
    assert world.left_over() == WHOLE
    assert "tinybole" not in sys.modules
    assert world.load().card["source"] == "the package tinybole==1.0"


def test_without_pip_uv_is_asked(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = archive(world.folder / "wheel.whl")
    world.card(world.package(sha(wheel)))
    calls = installed(monkeypatch, wheel)
    monkeypatch.setattr(downloads, "find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: f"/bin/{name}")
    world.fetch()
    assert calls[0][:5] == ["/bin/uv", "tool", "run", "pip", "download"]


def test_without_pip_and_uv_it_says_what_to_install(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.card(world.package("0" * 64))
    monkeypatch.setattr(downloads, "find_spec", lambda name: None)
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(RecsysError, match=r"tinybole==1.0: needs pip: run '.* -m ensurepip', or install uv"):
        world.fetch()


@pytest.mark.parametrize(
    ("wheel", "error", "message"),
    [
        (b"other", "", "wrong checksum"),
        (None, "", "expected one wheel, found 0"),
        (None, "WARNING: a\nERROR: No matching distribution found for tinybole\nNotice\n", "No matching distribution"),
        (None, "Killed", "Killed"),
        (
            None,
            "ERROR: Exception:\nTraceback:\n  x\nOSError: [Errno 28] No space left on device: 'a'\n",
            "OSError: .* No space left",
        ),
    ],
)
def test_packages_that_cannot_be_had(
    world: World, monkeypatch: pytest.MonkeyPatch, wheel: bytes | None, error: str, message: str
) -> None:
    world.card(world.package("0" * 64))
    installed(monkeypatch, wheel, error)
    with pytest.raises(RecsysError, match=f"^cannot fetch tiny: the package tinybole==1.0: .*{message}[^\n]*$"):
        world.fetch()
    assert world.left_over() == []
    assert not world.data.exists()


def test_an_installer_without_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **arguments: Any) -> None:
        raise subprocess.TimeoutExpired(command, arguments["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    world.card(world.package("0" * 64))
    with pytest.raises(RecsysError, match="no end after 300 seconds"):
        world.fetch()


# What a user has


@pytest.mark.parametrize("place", ["tiny.zip", "tiny/tiny.zip"])
def test_an_archive_put_into_the_data_folder_comes_first(world: World, place: str) -> None:
    world.card(world.archive("never.zip"), world.local())
    (world.data / "tiny").mkdir(parents=True)
    archive(world.data / place, folder="")
    world.fetch()
    assert world.load().card["source"] == str(world.data / place)


def test_an_unpacked_folder_put_into_the_data_folder(world: World) -> None:
    world.card(world.archive("never.zip"), world.local())
    (world.data / "tiny").mkdir(parents=True)
    (world.data / "tiny" / "ratings.csv").write_text(RATINGS)
    (world.data / "tiny" / "movies.csv").write_text(MOVIES)
    assert len(world.load().interactions) == 3


def test_a_bad_archive_in_the_data_folder_is_passed_over(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.card(world.archive("tiny.zip"), world.local())
    world.data.mkdir()
    (world.data / "tiny.zip").write_bytes(world.content[:50])
    world.fetch()
    assert "tiny.zip: not a zip archive, or a damaged one" in capsys.readouterr().err
    assert (world.data / "tiny.zip").read_bytes() == world.content[:50]


@pytest.mark.parametrize("kind", ["archive", "folder"])
def test_from(world: World, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    world.card(world.archive("never.zip"))
    path = world.folder / "made.zip"
    if kind == "folder":
        with zipfile.ZipFile(path) as file:
            file.extractall(world.folder)
        path = world.folder / "tiny"
    world.fetch(path=path)
    assert world.left_over() == WHOLE
    assert path.exists()


def test_from_replaces_what_is_there_only_by_what_is_right(world: World) -> None:
    world.card(world.archive("tiny.zip"))
    world.fetch()
    archive(world.folder / "other.zip", **{"ratings.csv": "changed"})
    with pytest.raises(RecsysError, match=r"^cannot fetch tiny: .*other\.zip: ratings\.csv: wrong checksum"):
        world.fetch(path=world.folder / "other.zip")
    assert (world.data / "tiny" / "ratings.csv").read_text() == RATINGS
    world.load()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.zip", None, "none.zip: no such file"),
        ("a.zip", b"PK", "not a zip archive, or a damaged one"),
        ("a.csv", b"1,2", "expected an archive or a folder with ratings.csv, movies.csv"),
    ],
)
def test_from_something_else(world: World, name: str, content: bytes | None, message: str) -> None:
    world.card(world.archive("never.zip"))
    if content is not None:
        (world.folder / name).write_bytes(content)
    with pytest.raises(RecsysError, match=message):
        world.fetch(path=world.folder / name)


def test_from_an_empty_folder(world: World) -> None:
    world.card(world.archive("never.zip"))
    (world.folder / "empty").mkdir()
    with pytest.raises(RecsysError, match=r"not all of ratings\.csv, movies\.csv in it"):
        world.fetch(path=world.folder / "empty")


def test_from_an_archive_with_two_members_of_the_name(world: World) -> None:
    world.card(world.archive("never.zip"))
    with zipfile.ZipFile(world.folder / "two.zip", "w") as file:
        for name in ("a/ratings.csv", "b/ratings.csv", "b/movies.csv"):
            file.writestr(name, "")
    with pytest.raises(RecsysError, match=r"2 members called ratings\.csv in it, expected one"):
        world.fetch(path=world.folder / "two.zip")


# The folder


def test_the_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, world: World) -> None:
    from recsys.data.locations import resolve_data_folder

    monkeypatch.delenv("RECSYS_DATA", raising=False)
    assert resolve_data_folder().name == "data"
    assert "recsys" in resolve_data_folder().parts
    monkeypatch.setenv("RECSYS_DATA", str(tmp_path / "mine"))
    assert resolve_data_folder() == tmp_path / "mine"
    assert resolve_data_folder(tmp_path / "other") == tmp_path / "other"
    world.card(world.archive("tiny.zip"))
    assert data.fetch_dataset("tiny") == tmp_path / "mine" / "tiny"


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written(world: World, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    world.card(world.archive("tiny.zip"))

    def refuse(*arguments: Any, **more: Any) -> None:
        raise OSError(number, "Read-only file system")

    monkeypatch.setattr(sources, "make_temporary_folder", refuse)
    with pytest.raises(RecsysError, match=f"^cannot write in {world.data}: Read-only file system$"):
        world.fetch()


def test_a_data_folder_that_is_a_file(world: World) -> None:
    world.card(world.archive("tiny.zip"))
    world.data.write_text("mine")
    with pytest.raises(RecsysError, match=f"^cannot write in {world.data}: "):
        world.fetch()
    assert world.data.read_text() == "mine"


def test_a_full_disk_while_downloading(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.card(world.archive("tiny.zip"), world.archive("tiny.zip"))

    def full(*arguments: Any, **more: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads._DownloadBar, "update", full)
    with pytest.raises(RecsysError, match=f"^cannot write in {world.data}: No space left on device$"):
        world.fetch()
    assert world.left_over() == []


def test_a_full_disk_while_landing_leaves_what_was_there(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.card(world.archive("tiny.zip"))
    world.fetch()

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(RecsysError, match=r"^cannot write .*: No space left on device$"):
        world.fetch(path=world.folder / "made.zip")
    monkeypatch.undo()
    monkeypatch.setattr(resources, "find_shipped_folder", lambda name: world.folder / "cards")
    assert world.left_over() == WHOLE
    assert len(world.load().interactions) == 3


def test_many_at_once(world: World) -> None:
    world.card(world.archive("tiny.zip"))
    with ThreadPoolExecutor(8) as threads:
        prints = {one.fingerprint for one in threads.map(lambda _: world.load(), range(8))}
    assert len(prints) == 1
    assert [name for name in world.left_over() if "validated" not in name] == WHOLE


def test_an_unfinished_folder_does_not_count(world: World) -> None:
    world.card(world.archive("tiny.zip"))
    world.fetch()
    (world.data / "tiny" / "movies.csv").unlink()
    world.fetch()
    assert world.left_over() == WHOLE
    (world.data / "tiny" / "source.json").write_text('{"source": 1}')
    world.fetch()
    assert len(world.load().interactions) == 3


def test_files_that_a_newer_card_refuses_are_fetched_again(world: World) -> None:
    world.card(world.archive("tiny.zip"))
    world.fetch()
    path = world.folder / "cards" / "tiny.toml"
    path.write_text(path.read_text().replace(sha(RATINGS.encode()), "0" * 64))
    with pytest.raises(RecsysError, match=r"ratings\.csv: wrong checksum: .* expected 000000000000\.\.\.$"):
        world.fetch()


# Loading


def test_files_are_parsed_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.card(world.archive("tiny.zip"))
    first = world.load()
    kept = [one for one in world.left_over() if one.endswith(".npz")]
    assert len(kept) == 1
    monkeypatch.setattr("recsys.data.datasets.read_layout_tables", None)
    again = world.load()
    assert again.fingerprint == first.fingerprint
    assert again.notes == first.notes
    assert dict(again.card) == dict(first.card)
    for field in ("user", "item", "weight", "datetime", "user_ids", "item_ids"):
        assert getattr(again.interactions, field).tolist() == getattr(first.interactions, field).tolist()
        assert getattr(again.interactions, field).dtype == getattr(first.interactions, field).dtype
    assert again.items.features.toarray().tolist() == first.items.features.toarray().tolist()
    assert again.items.titles.tolist() == first.items.titles.tolist()
    assert again.items.feature_names == first.items.feature_names


@pytest.mark.parametrize("name", ["ratings.csv", "movies.csv"])
def test_a_file_that_changed_since_it_was_fetched_is_refused(world: World, name: str) -> None:
    world.card(world.archive("tiny.zip"))
    path = world.fetch() / name
    path.write_text(path.read_text().replace("4.0", "5.0").replace("Fifty", "Fifth"))
    with pytest.raises(RecsysError, match=rf"tiny: {name}: wrong checksum: .*: changed since it was fetched, remove"):
        world.load()


def test_a_damaged_copy_is_made_again(world: World) -> None:
    world.card(world.archive("tiny.zip"))
    first = world.load()
    (kept,) = (world.data / "tiny").glob("*.npz")
    for content in (b"", b"nonsense", kept.read_bytes()[:200]):
        kept.write_bytes(content)
        assert world.load().fingerprint == first.fingerprint
    assert len(kept.read_bytes()) > 200


def test_a_changed_card_is_not_answered_from_the_old_copy(world: World) -> None:
    world.card(world.archive("tiny.zip"))
    world.load()
    world.card(world.archive("tiny.zip"), extra='rules = { without_title = ["Fifty"] }')
    assert world.load().items.titles.tolist() == ["Seven", ""]


def test_a_copy_that_cannot_be_written_costs_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.card(world.archive("tiny.zip"))
    world.fetch()

    def refuse(*arguments: Any) -> None:
        raise RecsysError("cannot write")

    monkeypatch.setattr("recsys.data.datasets.save_dataset", refuse)
    assert len(world.load().interactions) == 3


def test_counts_are_checked(world: World) -> None:
    world.card(world.archive("tiny.zip"), users=3)
    with pytest.raises(
        RecsysError, match=r"tiny: 2 users, expected 3: not the files of tiny, .*, or correct \[expected\]"
    ):
        world.load()


def test_columns_are_checked(world: World) -> None:
    world.card(world.archive("tiny.zip"))
    (world.folder / "tiny").mkdir()
    (world.folder / "tiny" / "ratings.csv").write_text(RATINGS)
    (world.folder / "tiny" / "movies.csv").write_text("id,title\n1,a\n")
    world.fetch(path=world.folder / "tiny")
    with pytest.raises(RecsysError, match=r"movies\.csv: unknown column 'movieId'"):
        world.load()


@pytest.mark.slow
def test_the_default_dataset_is_the_published_one() -> None:
    try:
        loaded = data.load_dataset("ml-100k")
    except RecsysError as error:
        if str(error).startswith("cannot fetch"):
            pytest.skip(f"no source answers: {error}")
        raise
    log, items = loaded.interactions, loaded.items
    assert (len(log.user_ids), len(log.item_ids), len(log)) == (943, 1682, 100_000)
    first = (log.user == 195) & (log.item == 241)  # user 196 and item 242: the first line of the published file
    assert log.datetime is not None
    assert (log.weight[first].tolist(), log.datetime[first].tolist()) == ([3.0], [881250949])
    assert (items.titles[0], items.years[0], len(items.feature_names)) == ("Toy Story", 1995, 18)
    assert loaded.fingerprint.startswith("141d68993799")
    assert data.describe_dataset(loaded).times is not None
