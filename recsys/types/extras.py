"""The packages of the extras `bench` and `spark`, and one line that names the extra where one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from recsys.types.errors import RecsysError

EXTRA_MODULES = {
    "altair", "click", "implicit", "optuna", "pandas", "platformdirs", "pooch", "pyarrow", "pydantic",
    "rich", "sklearn", "statsmodels", "tomli_w", "vl_convert",
}  # fmt: skip
SPARK_MODULES = {"pyspark"}


@contextmanager
def needs_extra(what: str, extra: str = "bench") -> Iterator[None]:
    """Name the extra to install where `what` does not find one of its modules; a context manager or a decorator.

    Raises:
        RecsysError: in the place of the ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_MODULES | SPARK_MODULES:
            raise
        raise RecsysError(f'{what} needs {module}: pip install "recsys-negspace[{extra}]"') from None
