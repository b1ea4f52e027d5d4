"""The one error: one line, advice in the words of the caller, and the nearest names of a long list."""

import pickle
from types import SimpleNamespace

import pytest
from interrupted import interrupt_and_fail

from recsys.cli import main
from recsys.experiments import rerankings
from recsys.support.jobs import run_beside
from recsys.sweeps.summaries import run_search
from recsys.types import RecsysError, make_unknown_name_error
from recsys.types.errors import Setting, SettingError, rephrase_setting_errors, restore_interrupts


@pytest.mark.parametrize(
    ("setting", "python", "config", "command"),
    [
        (
            Setting("columns", 'a "b"', "user_id"),
            'columns={"user_id": "a \\"b\\""}',
            '[data.columns] user_id = "a \\"b\\""',
            "--column user_id='a \"b\"'",
        ),
        (
            Setting("columns", 0, "user_id"),
            'columns={"user_id": 0}',
            "[data.columns] user_id = 0",
            "--column user_id=0",
        ),
        (
            Setting("item_columns", "x", "title"),
            'item_columns={"title": "x"}',
            '[data.item_columns] title = "x"',
            "--item-column title=x",
        ),
        (Setting("header", False), "header=False", "[data] header = false", "--no-header"),
        (Setting("lists", True), "lists=True", "[data] lists = true", "--lists"),
        (Setting("delimiter", "\t"), 'delimiter="\\t"', '[data] delimiter = "\\t"', "--delimiter tab"),
        (Setting("delimiter", ";"), 'delimiter=";"', '[data] delimiter = ";"', "--delimiter ';'"),
        (Setting("time_unit", "ms"), 'time_unit="ms"', '[data] time_unit = "ms"', "--time-unit ms"),
    ],
)
def test_settings_in_every_idiom(setting: Setting, python: str, config: str, command: str) -> None:
    assert str(SettingError("x: ", setting, after=" decides")) == f"x: {python} decides"
    for idiom, text in (("python", python), ("config", config), ("command", command)):
        with pytest.raises(RecsysError) as error, rephrase_setting_errors(idiom):  # type: ignore[arg-type]
            raise SettingError("x: ", setting, after=" decides")
        assert str(error.value) == f"x: {text} decides"


def test_the_innermost_door_is_the_one_that_is_named() -> None:
    with (
        pytest.raises(RecsysError, match=r'^x: \[shown\.columns\] user_id = "who"$'),
        rephrase_setting_errors("command"),
        rephrase_setting_errors("config", "shown"),
    ):
        raise SettingError("x: ", Setting("columns", "who", "user_id"))


def test_what_a_command_has_no_option_for_is_a_change_of_the_table() -> None:
    told = SettingError("x: ", Setting("header", True), Setting("header", False), after=" decides")
    assert str(told.rephrase_for("command", options=["--column"])) == "x: give Parquet"
    times = SettingError("x: ", Setting("time_unit", "s"), Setting("time_unit", "ms"), after=" decides")
    assert str(times.rephrase_for("command", options=[])) == "x: write times in ISO 8601"
    column = SettingError("x: name it, for instance ", Setting("columns", "who", "user_id"), after=" (columns: who)")
    assert str(column.rephrase_for("command", options=["--column"])).endswith("--column user_id=who (columns: who)")
    assert str(column.rephrase_for("command", options=[])).endswith(
        "'user_id' instead of 'who' in the table (columns: who)"
    )
    both = SettingError("x: ", Setting("settings"), Setting("config"))
    assert str(both.rephrase_for("command", options=["--config"])) == "x: settings= in Python or --config"


def test_other_errors_pass() -> None:
    with pytest.raises(RecsysError, match=r"^plain$"), rephrase_setting_errors("config"):
        raise RecsysError("plain")


def test_an_error_is_one_line_and_survives_a_process() -> None:
    error = RecsysError("a: found 'x\r\ny\u2028z', expected a number")
    assert str(error) == "a: found 'x y\\u2028z', expected a number"
    told = SettingError("x: ", Setting("header", True))
    for one in (error, told):
        assert str(pickle.loads(pickle.dumps(one))) == str(one)


def test_short_lists_are_whole_and_long_ones_cut_to_the_nearest() -> None:
    assert str(make_unknown_name_error("model", "asl", ["als", "ease"])).endswith(
        "did you mean 'als'? (known: als, ease)"
    )
    names = [f"objective{n:02}" for n in range(60)] + ["novelty"]
    line = str(make_unknown_name_error("objective", "noveltie", names))
    assert "did you mean 'novelty'? (known nearest to it, of 61: novelty, objective" in line
    assert line.count(",") == 5
    assert len(line) < 200


def test_an_error_that_comes_up_on_the_way_of_an_interrupt_is_that_interrupt():
    with pytest.raises(KeyboardInterrupt) as stop, restore_interrupts():
        try:
            interrupt_and_fail()
        except OSError as error:
            raise RecsysError("x: cannot be written") from error
    assert str(stop.value.__cause__) == "x: cannot be written"
    with pytest.raises(OSError, match="alone"), restore_interrupts():
        raise OSError("alone")
    with pytest.raises(KeyboardInterrupt), restore_interrupts():
        raise KeyboardInterrupt


def test_an_error_of_work_that_an_interrupt_asked_for_stays_one():
    """Somebody saves what there is when a notebook is interrupted, and that fails by itself."""
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.raises(RecsysError, match="full"), restore_interrupts():
            raise RecsysError("the disk is full") from None


def test_the_command_line_ends_as_interrupted(monkeypatch, capsys):
    monkeypatch.setattr("recsys.support.citation.format_bibtex", interrupt_and_fail)
    with pytest.raises(SystemExit) as stop:
        main(["cite"])
    assert (stop.value.code, capsys.readouterr().err) == (130, "recsys: stopped\n")


def test_a_job_that_is_interrupted_so_says_that(monkeypatch):
    with run_beside(1, interrupt_and_fail) as (job,):
        assert job.wait() == "it was interrupted"


def test_a_run_that_is_interrupted_so_is_not_left_out_as_one_that_cannot_be_made(monkeypatch):
    for name in ("build_or_load_pool", "TermCache"):
        monkeypatch.setattr(rerankings, name, lambda *given: (None, 0.0))
    monkeypatch.setattr(rerankings, "_build_or_load_slates", interrupt_and_fail)
    config = SimpleNamespace(slate_lengths=[5], headline_k=5, model=None, pool=None)
    spec, refused = SimpleNamespace(name="a", kind="blend", time=None), {}
    with pytest.raises(KeyboardInterrupt):
        rerankings.build_run_slates(SimpleNamespace(config=config), [spec], True, print, refused)
    assert not refused


def test_a_search_that_is_interrupted_so_is_not_told_as_failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_search(interrupt_and_fail, "search", None, "cat > told.json")
    assert not [*tmp_path.iterdir()]
