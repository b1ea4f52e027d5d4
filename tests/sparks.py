"""What tests of Spark share: the mark of those that start it, and a session for tables of a few rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from recsys import spark
from recsys.spark import sessions
from recsys.types.arrays import Csr


def find_missing():
    """Return what Spark needs and this machine does not have."""
    if find_spec("pyspark") is None:
        return "the extra [spark] is not installed"
    found = sessions.find_java_version()
    return "" if found is not None and found >= sessions.OLDEST_JAVA else "no Java 17 or newer is found"


MISSING = find_missing()


def on_spark(test):
    for mark in (
        pytest.mark.slow,
        pytest.mark.skipif(bool(MISSING), reason=MISSING),
        pytest.mark.filterwarnings("ignore::ResourceWarning"),
        pytest.mark.filterwarnings("ignore:PySpark does not yet fully support pandas:FutureWarning"),
    ):
        test = mark(test)
    return test


@contextmanager
def open_small_session(master: str) -> Iterator[Any]:
    with spark.open_session(master, quiet=True) as made:
        made.conf.set("spark.sql.shuffle.partitions", "2")
        made.conf.set("spark.sql.codegen.wholeStage", "false")  # tables are tiny: compiling takes most of the time
        yield made


def make_row(history, items):
    return Csr((np.ones(len(history), np.float32), np.asarray(history, np.int32), [0, len(history)]), shape=(1, items))
