"""Where searches are kept: journals that were cut, changed bytes, processes that start at once, passwords."""

import json
import os
import random
import shutil
import sys
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from forked import fork, wait_for
from optuna.exceptions import StorageInternalError
from optuna.storages import InMemoryStorage
from searches import CONFIG, SWEEP
from sqlalchemy.exc import DBAPIError
from synthetic import write_tables

from recsys.cli import main
from recsys.sweeps import storages, studies
from recsys.sweeps.plans import read_sweep
from recsys.sweeps.studies import open_studies, run_trials
from recsys.sweeps.trials import TrialValues, list_results
from recsys.types import RecsysError
from recsys.types.secrets import mask_url_secrets

BASE = TrialValues({"ndcg@5": 0.5, "stratified_recall@5": 0.25, "self_information@5": 2.0})


def judge(settings):
    novelty = settings["blends.novel.novelty"]
    return TrialValues(
        {
            "ndcg@5": 1.0 - novelty,
            "stratified_recall@5": 0.5 - novelty / 2,
            "self_information@5": 1.0 + novelty + settings["blends.novel.mmr.weight"],
        }
    )


def go_on(where, trials, notes=None):
    """Search until there are `trials` trials; return them without their seconds."""
    plan = read_sweep("search.toml", trials=trials)
    with open_studies(str(where), plan, "data", (notes if notes is not None else []).append) as studies:
        (study,), (method,) = studies.values(), plan.methods
        run_trials(study, plan, method, judge, BASE, lambda completed: None)
        return [(one.number, dict(one.settings), dict(one.values)) for one in list_results(study)]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    folder = tmp_path_factory.mktemp("storages")
    write_tables(folder)
    (folder / "small.toml").write_text(CONFIG, encoding="utf-8")
    (folder / "search.toml").write_text(SWEEP, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("study.journal", "study.db"):
            (folder / f"{name}.json").write_text(json.dumps(go_on(name, 4)))
    return folder


@pytest.fixture
def home(template, monkeypatch):
    """The folder itself: a search is named for the paths of its data. Tests change copies of its storages."""
    monkeypatch.chdir(template)
    kept = {"ratings.csv", "items.csv", "small.toml", "search.toml", "study.journal", "study.db"}
    yield template
    for path in template.iterdir():
        if path.name not in kept and path.suffix != ".json":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def trials_of(home, name):
    return [(number, settings, values) for number, settings, values in json.loads((home / f"{name}.json").read_text())]


def test_a_journal_cut_anywhere_is_repaired_and_gives_the_same_trials(home, monkeypatch):
    monkeypatch.setattr(studies, "_is_process_alive", lambda process: False)  # the process that wrote it is this one
    whole = (home / "study.journal").read_bytes()
    plain = [trial[1:] for trial in trials_of(home, "study.journal")]
    places = {*random.Random(0).sample(range(len(whole)), 30), len(whole) - 1, 1}
    for size in places:
        (home / "cut.journal").write_bytes(whole[:size])
        notes = []
        assert [trial[1:] for trial in go_on("cut.journal", 4, notes)] == plain
        assert ["was cut and is dropped" in note for note in notes] == [True] * (whole[size - 1 : size] != b"\n")
        assert [trial[1:] for trial in go_on("cut.journal", 4, notes)] == plain
        assert len(notes) <= 1  # once repaired, it is whole
        assert not (home / "cut.journal.lock").is_symlink()


@pytest.mark.parametrize(
    "tail",
    [b"garbage\n", b"garbage", b"\0" * 4096, b"\xff\xfe\n", b'{"op_code":', '{"op_code": 5, "ä'.encode()[:-1], b"[]\n",
     b"\n", b"[" * 100_000 + b"\n", b'{"op_code":6,"trial_id":0}\n', b'{"op_code":4,"worker_id":"a","trial_id":0}\n', b'{"op_code":99,"worker_id":"a"}\n'],
)  # fmt: skip
def test_what_stands_after_the_last_record_is_dropped_or_refused_in_one_line(home, tail):
    (home / "longer.journal").write_bytes((home / "study.journal").read_bytes() + tail)
    notes = []
    try:
        assert go_on("longer.journal", 4, notes) == trials_of(home, "study.journal")
    except RecsysError as error:
        assert str(error).startswith(("study.journal: line ", "storage longer.journal: "))
        assert "\n" not in str(error)
    else:
        assert notes or not tail.startswith(b"g")


def test_a_journal_that_optuna_wrote_alone_is_gone_on_with_and_covered_from_then_on(home):
    lines = [json.loads(line) for line in (home / "study.journal").read_text().splitlines()]
    old = [
        json.dumps({key: value for key, value in line.items() if key != "crc"}, separators=(",", ":")) for line in lines
    ]
    (home / "old.journal").write_text("\n".join(old) + "\n")
    assert go_on("old.journal", 5)[:4] == trials_of(home, "study.journal")
    whole = (home / "old.journal").read_bytes()
    (home / "old.journal").write_bytes(whole.replace(b'"state":1', b'"state":3', 1))
    with pytest.raises(RecsysError, match="was changed, or a line before it"):
        go_on("old.journal", 5)


def test_a_full_disk_is_one_line_and_the_search_goes_on_later(home, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    shutil.copy("study.journal", "full.journal")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(RecsysError, match=r"storage full.journal: No space left on device"):
            go_on("full.journal", 5)
    assert len(go_on("full.journal", 5)) == 5


def test_optuna_reads_the_journal(home):
    import optuna

    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend("study.journal"))
    (study,) = optuna.get_all_study_summaries(storage)
    assert study.n_trials == 4


@pytest.mark.parametrize(("name", "times"), [("study.journal", 60), ("study.db", 25)])
def test_a_changed_bit_is_never_another_result(home, name, times):
    flip(home, name, times, seed=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["study.journal", "study.db"])
def test_100_changed_bits_are_never_another_result(home, name):
    flip(home, name, 100, seed=2)


def flip(home, name, times, seed):
    """Change a bit at random, `times` times: either the search goes on from the same trials, or one line refuses."""
    whole, plain, rng, refused = (home / name).read_bytes(), trials_of(home, name), random.Random(seed), 0
    written = [place for place, byte in enumerate(whole) if byte]  # pages of a database are mostly empty
    for _ in range(times):
        changed, place = bytearray(whole), rng.choice(written)
        changed[place] ^= 1 << rng.randrange(8)
        for path in home.glob(f"flipped{name[5:]}*"):
            path.unlink()
        copy = home / f"flipped{name[5:]}"
        copy.write_bytes(changed)
        notes = []
        try:
            trials = go_on(copy.name, 5, notes)
        except RecsysError as error:
            refused += 1
            assert "\n" not in str(error)
            assert copy.name in str(error)
        else:
            assert trials[:4] == plain or notes, place
    assert refused


@pytest.mark.parametrize("name", ["study.journal", "study.db"])
def test_damage_ends_the_command_in_one_line(home, capsys, name):
    whole = (home / name).read_bytes()
    (home / f"damaged-{name}").write_bytes(whole[:40] + b"\xff" * 40 + whole[80:])
    (home / "damaged.toml").write_text(SWEEP.replace("trials = 6", f'trials = 6\nstorage = "damaged-{name}"'))
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "damaged.toml", "--out", "runs", "--quiet"])
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.count("\n") == 1
    assert name in said


def test_a_value_that_was_changed_in_a_database_is_noticed(home):
    import sqlite3
    from contextlib import closing

    for change in (
        "UPDATE trial_params SET param_value = param_value + 1e-9 WHERE param_id = 1",
        "UPDATE trial_values SET value = value + 1e-9 WHERE trial_value_id = 1",
        "UPDATE trial_user_attributes SET value_json = replace(value_json, '0.5', '0.6')",
        "DELETE FROM trials WHERE trial_id = 2",
        "DELETE FROM trial_user_attributes WHERE key = 'found'",
        "UPDATE trials SET state = 'DONE' WHERE trial_id = 2",
        "UPDATE trial_params SET distribution_json = '{' WHERE param_id = 1",
        """UPDATE trial_params SET distribution_json = replace(distribution_json, '"max"', '"maz"')""",
    ):
        shutil.copy("study.db", "changed.db")
        with closing(sqlite3.connect("changed.db")) as file, file:
            file.execute(change)
        with pytest.raises(RecsysError, match=r"storage changed.db: ") as caught:
            pytest.fail(f"{change}: {go_on('changed.db', 4)}")
        assert "\n" not in str(caught.value)


def test_tables_that_another_process_is_making_are_waited_for(home, monkeypatch):
    import optuna
    from sqlalchemy.exc import IntegrityError, OperationalError

    make, raised = optuna.storages.RDBStorage.__init__, []
    errors = [
        OperationalError("CREATE", {}, Exception("table studies already exists")),
        IntegrityError("INSERT", {}, Exception("UNIQUE constraint failed: alembic_version.version_num")),
        AssertionError(),
        OperationalError("INSERT", {}, Exception("database is locked")),
    ]

    def late(*given, **named):
        if len(raised) < len(errors):
            raised.append(1)
            raise errors[len(raised) - 1]
        make(*given, **named)

    monkeypatch.setattr(optuna.storages.RDBStorage, "__init__", late)
    monkeypatch.setattr(storages, "RETRY_PAUSES", (0.0,) * 6)
    assert len(go_on("late.db", 2)) == 2
    assert len(raised) == len(errors)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_searches_that_start_at_once_on_a_new_database_all_open_it(home):
    plan = read_sweep("search.toml")

    def start(number):
        Path(f"ready-{number}").touch()
        while len(list(Path().glob("ready-*"))) < 4:
            time.sleep(0.001)
        with open_studies("new.db", plan, "data") as opened:
            assert len(opened) == 1

    several = [fork(partial(start, number)) for number in range(4)]
    assert [wait_for(one) for one in several] == [0] * 4
    assert len(go_on("new.db", 2)) == 2


URLS = [
    "postgresql://me:s3cret@host/studies",
    "postgresql://me:s3c@r/et?#s3@host/studies",
    "mysql+pymysql://me:s3 c ret@host:3306/studies",
    "redis://:s3cret@host:6379/0",
    "postgresql://me:s3%40cret@host/studies",
    "postgresql://host/studies?user=me&password=s3cret&sslmode=require",
    "postgresql://host/studies?PASSWORD='s3 cret'",
    "https://s3cret@host/studies",
    "https://host/studies?access_token=s3cret#x",
    "https://host/studies?x=1&sig=s3cret",
    "snowflake://me:s3cret@account/db?private_key_passphrase=s3cret",
    "postgresql://me:12345@host/studies",
    "POSTGRESQL://ME:S3CRET@HOST/studies",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("around", ["{}", "cannot open '{}': no route", 'storage = "{}", twice {}', '["recsys", "{}"]'])
def test_no_secret_of_a_url_is_in_a_message(url, around):
    said = str(RecsysError(around.format(url, url)))
    assert not any(part in said.lower() for part in ("s3", "12345", "c ret"))
    assert "***" in said
    assert said.count("host") == around.format(url, url).count("host")


def test_a_message_of_one_long_word_or_of_spaces_takes_no_second():
    start = time.process_time()
    said = str(RecsysError("a" * 20_000 + " " * 20_000 + "my.token=s3cret"))
    assert time.process_time() - start < 1.0
    assert said.endswith(" my.token=***")


@pytest.mark.parametrize(
    "text",
    ["ndcg@10 >= 98 % of base", "http://localhost:8080/items?metric=ndcg@10", "https://x.org: metric ndcg@10",
     "sqlite:////tmp/a b@c.db", "found 3 tokens, expected a pass", "C:\\data@home"],
)  # fmt: skip
def test_what_is_no_secret_stays(text):
    assert mask_url_secrets(text) == text


@pytest.mark.parametrize(
    "url", ["postgresql+nodriver://me:s3cret@host/x", "sqlite:////no/such/folder/x.db?password=s3cret", "mysql://me:s3cret@[::1/x", "://me:s3cret@host"]
)  # fmt: skip
def test_a_url_that_cannot_be_opened_is_one_line_without_its_password(home, capsys, url):
    (home / "url.toml").write_text(SWEEP.replace("trials = 6", f'trials = 6\nstorage = "{url}"'))
    assert "s3cret" not in repr(read_sweep("url.toml"))
    with pytest.raises(SystemExit) as stop:
        main(["sweep", "url.toml", "--out", "runs", "--quiet"])
    out, said = capsys.readouterr()
    assert stop.value.code == 2
    assert said.count("\n") == 1
    assert "s3cret" not in out + said
    assert not [path for path in home.rglob("runs/**/*") if path.is_file() and b"s3cret" in path.read_bytes()]


class RedisError(Exception):
    """Of Redis's client, which is not among the dependencies."""


LOST = type("ConnectionError", (RedisError,), {})


def raise_lost_database():
    try:
        raise DBAPIError(
            "INSERT", {}, Exception("server closed the connection\nunexpectedly"), connection_invalidated=True
        )
    except DBAPIError as error:
        raise StorageInternalError("This typically happens due to invalid data") from error


def raise_lost_redis():
    raise LOST("Connection reset by peer")


@pytest.mark.parametrize(
    ("url", "lose", "said"),
    [
        ("postgresql://me@host/db", raise_lost_database, "server closed the connection"),
        ("redis://host:6379/0", raise_lost_redis, "Connection reset by peer"),
    ],
)
def test_a_server_that_is_lost_is_one_line(monkeypatch, url, lose, said):
    for name in ("redis", "redis.exceptions"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(RedisError=RedisError))
    monkeypatch.setattr(storages, "_connect_storage", lambda where, log_line: InMemoryStorage())
    with (
        pytest.raises(
            RecsysError,
            match=rf"^storage {url}: {said}: the server does not answer, expected one that does; trials that ended are kept",
        ),
        storages.open_storage(url, print),
    ):
        lose()


def test_a_storage_of_the_wrong_kind_does_not_show_a_password(home):
    (home / "url.toml").write_text(
        SWEEP.replace("trials = 6", 'trials = 6\nstorage = ["postgresql://me:s3cret@host/x"]')
    )
    with pytest.raises(RecsysError) as caught:
        read_sweep("url.toml")
    assert "s3cret" not in str(caught.value)


def test_a_pipe_is_no_storage(home):
    os.mkfifo("pipe.journal")
    with pytest.raises(RecsysError, match=r"storage pipe.journal: is no file"):
        go_on("pipe.journal", 1)
