"""What a fit says of its rounds, and to whom."""

import io
import sys
from types import SimpleNamespace

import pytest
from test_models import SMALL

from recsys.configs import ModelSection, parse_config
from recsys.experiments.pipeline import Preparation, fit_or_load_model
from recsys.models import IALS, MostPopular
from recsys.support.cache import Cache
from recsys.support.progress import show_progress, track_rounds
from recsys.testing import make_communities
from recsys.types import RecsysError

ROUNDS = {"ALS": ("als", 15), "BPR": ("bpr", 60), "IALS": ("ials", 16), "LMF": ("lmf", 30), "Ensemble": ("als", 15)}


def terminal(monkeypatch, isatty: bool) -> io.StringIO:
    made = io.StringIO()
    made.isatty = lambda: isatty
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", made)
    return made


def watch(bars, monkeypatch):
    """Return what is said to `bars`, in order."""
    said, add, advance, remove = [], bars.add_task, bars.advance, bars.remove_task

    def adding(what, total):
        said.append((what, total))
        return add(what, total=total)

    monkeypatch.setattr(bars, "add_task", adding)
    monkeypatch.setattr(bars, "advance", lambda task: (said.append("one"), advance(task)))
    monkeypatch.setattr(bars, "remove_task", lambda task: (said.append("end"), remove(task)))
    return said


@pytest.mark.parametrize("name", ROUNDS)
def test_a_fit_counts_its_rounds(name, monkeypatch):
    with show_progress() as bars:
        said = watch(bars, monkeypatch)
        SMALL[name].fit(make_communities())
        assert said == [ROUNDS[name], *["one"] * ROUNDS[name][1], "end"]
        assert not bars.tasks


def test_a_fit_that_ends_early_or_fails_leaves_no_bar(monkeypatch):
    with show_progress() as bars:
        said = watch(bars, monkeypatch)
        IALS(factors=4, iterations=9, patience=2).fit(make_communities(), validate=lambda fitted: 0.0)
        with pytest.raises(RecsysError, match="validate"):
            IALS(factors=4).fit(make_communities(), validate=lambda fitted: float("nan"))
        assert said == [("ials", 9), *["one"] * 3, "end", ("ials", 16), "one", "end"]
        assert not bars.tasks


def test_the_display_around_is_the_innermost_and_ends_with_it(monkeypatch):
    with show_progress() as outer:
        said = watch(outer, monkeypatch)
        with show_progress() as inner:
            within = watch(inner, monkeypatch)
            with track_rounds("deep", 2) as done:
                done()
        with track_rounds("flat", 1) as done:
            done()
    with track_rounds("nowhere", 1) as done:
        done()
    assert within == [("deep", 2), "one", "end"]
    assert said == [("flat", 1), "one", "end"]


def test_a_terminal_shows_the_rounds(monkeypatch):
    shown = terminal(monkeypatch, True)
    with show_progress() as bars, track_rounds("als", 3) as done:
        done()
        bars.refresh()
    assert "als" in shown.getvalue()
    assert "1/3" in shown.getvalue()


@pytest.mark.parametrize("quiet", [True, False])
def test_nothing_is_shown_when_quiet_or_without_a_terminal(quiet, monkeypatch):
    shown = terminal(monkeypatch, quiet)
    with show_progress(quiet):
        IALS(factors=4).fit(make_communities())
        MostPopular().fit(make_communities())
    assert shown.getvalue() == ""


@pytest.mark.parametrize("quiet", [True, False])
def test_a_benchmark_shows_the_rounds_of_its_fits_beside_its_runs(quiet, tmp_path, monkeypatch):
    shown = terminal(monkeypatch, True)
    parts = {
        "side_information": None,
        "time_decay": None,
        "one_offs": None,
        "guest_runs": None,
        "fingerprint": "made up",
    }
    split = SimpleNamespace(train=make_communities(), **parts)
    config = parse_config({"data": {"name": "ml-100k"}})
    preparation = Preparation(config, None, split, Cache(tmp_path), (), (), (), quiet)
    with show_progress(quiet) as bars:
        bars.add_task("runs", total=2)
        fit_or_load_model(preparation, ModelSection(kind="ials", factors=4))
    assert ("runs" in shown.getvalue()) == ("ials" in shown.getvalue()) == (not quiet)
