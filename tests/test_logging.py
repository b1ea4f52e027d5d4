"""What the library logs: compilation and cells of the cache, under its own name, and on a terminal when it is asked."""

import gc
import logging
import subprocess
import sys

import numpy as np
from numba import njit
from numba.core import event

from recsys.cli import main, options
from recsys.kernels import compiled as listened_to  # noqa: F401
from recsys.support.cache import Cache, CacheEntry
from recsys.support.progress import show_progress


def test_cells_that_are_made_and_found_are_logged_with_their_size(tmp_path, caplog):
    cells = Cache(tmp_path)
    with caplog.at_level(logging.INFO, "recsys"):
        for _ in range(2):
            cells.get_or_make("pool", [1], lambda: CacheEntry({"a": np.zeros(250_000)}, 1.5))
    made, found = (record.getMessage() for record in caplog.records)
    assert made.startswith("pool: made in 1.5 s, pool-")
    assert made.endswith("(2.00 MB)")
    assert found.startswith("pool: from the cache, pool-")


def test_what_is_compiled_is_logged_once_by_its_name(caplog):
    def add_one(x):
        return x + 1

    compiled = njit(add_one)  # without a place for compiled code, from which a second run would take it
    with caplog.at_level(logging.INFO, "recsys"):
        assert (compiled(1), compiled(2)) == (2, 3)
    said = [record.getMessage().partition(" in ")[0] for record in caplog.records]
    assert said == ["compiling add_one", "compiled add_one"]


def test_what_is_compiled_stands_on_the_terminal_while_it_takes_place():
    def call(function):
        with show_progress() as bars:
            added = []
            add, bars.add_task = (
                bars.add_task,
                lambda what, total: (added.append((what, total)), add(what, total=total))[1],
            )
            function(1)
            assert not bars.tasks
        return added

    compiled = njit(lambda x: x + 2)
    assert [call(compiled), call(compiled)] == [[("compiling <lambda>", None)], []]


def test_no_garbage_is_collected_while_something_is_compiled():
    seen = []

    class Steps(event.Listener):
        def on_start(self, event):
            seen.append(gc.isenabled())

        def on_end(self, event):
            seen.append(gc.isenabled())

    with event.install_listener("numba:run_pass", Steps()):
        assert njit(lambda x: x + 3)(1) == 4
    assert set(seen) == {False}
    assert gc.isenabled()


def test_the_library_is_silent_until_it_is_asked():
    said = 'import logging, recsys; logging.getLogger("recsys").error("x")'
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_verbose_prints_lines_with_hidden_characters_written_out(capsys):
    log = logging.getLogger("recsys")
    before, level = [*log.handlers], log.level
    try:
        main(["-v", "cite"])
        options.print_log()  # once is enough
        log.info("two\nlines")
    finally:
        log.handlers[:] = before
        log.setLevel(level)
    assert capsys.readouterr().err.count("recsys: two\\nlines") == 1
