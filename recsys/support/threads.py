"""The number of threads of linear algebra."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limit_to_one_blas_thread() -> Iterator[None]:
    """Run a block, or a decorated function, on one BLAS thread.

    How a sum is shared among threads changes its last bits, so numbers would depend on how many cores there are; and
    small products on several threads wait for each other more than they compute.
    """
    import scipy.linalg  # noqa: F401  it has a BLAS of its own, which can only be limited once it is loaded
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield
