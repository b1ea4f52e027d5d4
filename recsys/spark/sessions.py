"""Sessions of Spark: what they need, and one line that says what is missing."""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.types import RecsysError
from recsys.types.extras import needs_extra

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OLDEST_JAVA = 17
_LOOPBACK = "127.0.0.1"


@contextmanager
def open_session(master: str, *, quiet: bool = False) -> Iterator["SparkSession"]:
    """Yield a session of Spark at `master` ("local[4]", "spark://host:7077", "yarn"), and stop it at the end.

    Workers run the interpreter of this process, or the one that `PYSPARK_PYTHON` names. Where all of them are on this
    machine, nothing listens but on 127.0.0.1. All other settings are those of `spark-defaults.conf`.

    Raises:
        RecsysError: for a master that Spark does not know, without Java 17 or newer, without pyspark, while another
            session is open, or where Spark cannot be started.
    """
    check_master(master)
    check_java()
    pyspark = import_pyspark()
    if pyspark.SparkContext._active_spark_context is not None:
        raise RecsysError("spark: a session is open in this process, expected none: it would be stopped at the end")
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    if is_local(master):
        os.environ.setdefault("SPARK_LOCAL_IP", _LOOPBACK)
    builder = pyspark.sql.SparkSession.builder.master(master).appName("recsys")
    for name, value in list_settings(master, quiet).items():
        builder = builder.config(name, value)
    try:
        with ignore_pandas_warnings():
            session = builder.getOrCreate()
    except Exception as error:  # Java's, of many kinds
        raise RecsysError(f"spark: cannot be started at '{master}': {describe_java_error(error)}") from None
    try:
        yield session
    finally:
        session.stop()


def import_pyspark() -> Any:
    """Return pyspark, whose sessions are imported too.

    Raises:
        RecsysError: if it is not installed.
    """
    with needs_extra("spark", "spark"), ignore_pandas_warnings():
        import pyspark
        import pyspark.sql

    return pyspark


def check_master(master: str) -> None:
    """Refuse a text that names no cluster: Spark would say so in a trace of Java.

    >>> check_master("yarn")
    >>> check_master("four")
    Traceback (most recent call last):
    recsys.types.errors.RecsysError: spark: master is 'four', expected such as local[4], spark://host:7077 or yarn
    """
    if not (is_local(master) or master == "yarn" or master.startswith(("spark://", "k8s://"))):
        raise RecsysError(f"spark: master is '{master}', expected such as local[4], spark://host:7077 or yarn")


def is_local(master: str) -> bool:
    """Return whether all workers are on this machine.

    >>> is_local("local-cluster[2,1,1024]"), is_local("spark://localhost:7077")
    (True, False)
    """
    return re.match(r"local(-cluster)?(\[|$)", master) is not None


@contextmanager
def ignore_pandas_warnings() -> Iterator[None]:
    """Run a block without what pyspark says of pandas 3 as often as it looks for it: no frame of pandas is made."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        yield


def list_settings(master: str, quiet: bool) -> dict[str, Any]:
    """Return the settings of a session.

    >>> sorted(list_settings("yarn", quiet=True))
    ['spark.log.level', 'spark.ui.showConsoleProgress']
    >>> list_settings("local[2]", quiet=True)["spark.driver.bindAddress"]
    '127.0.0.1'
    """
    said = {"spark.log.level": "ERROR", "spark.ui.showConsoleProgress": not quiet}
    if not is_local(master):
        return said
    own = {"spark.driver.bindAddress": _LOOPBACK, "spark.driver.host": _LOOPBACK, "spark.ui.enabled": False}
    return said | own


def check_java() -> None:
    """Refuse a machine without Java 17 or newer.

    Raises:
        RecsysError: naming what is there.
    """
    found = find_java_version()
    if found is None or found < OLDEST_JAVA:
        there = "none" if found is None else f"Java {found}"
        raise RecsysError(
            f"spark: needs Java {OLDEST_JAVA} or newer, found {there}: install one (Debian: openjdk-17-jre-headless), "
            "or name its folder by JAVA_HOME"
        )


def find_java_version() -> int | None:
    """Return the version of the Java that Spark would run, None where there is none."""
    home = os.environ.get("JAVA_HOME")
    try:
        told = subprocess.run(
            [str(Path(home, "bin", "java")) if home else "java", "-version"], capture_output=True, text=True
        )
    except OSError:
        return None
    return parse_java_version(told.stderr)


def parse_java_version(said: str) -> int | None:
    """Return the version that `java -version` says.

    >>> parse_java_version('openjdk version "17.0.15" 2025-04-15'), parse_java_version('java version "1.8.0_45"')
    (17, 8)
    >>> parse_java_version("java: no such thing")
    """
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    return int(found[1]) if found else None


def describe_java_error(error: Exception) -> str:
    """Return the first line that says what is wrong, of an error with the traces of two languages."""
    raised = getattr(error, "java_exception", None)
    said = str(error if raised is None else raised.getMessage()).strip()
    return said.splitlines()[0] if said else type(error).__name__
