"""A fork goes on alone: threads of OpenMP that only the parent had are not waited for."""

import os
import subprocess
import sys

import pytest

from recsys.support import forks

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

FITS = """
import hashlib, os, sys, warnings
import numpy as np
from scipy import sparse
warnings.simplefilter("ignore")
{before}
def everything():
    from recsys import maps, models
    from recsys.support import forks
    train = sparse.csr_array((np.random.default_rng(0).random((150, 90)) < 0.2).astype(np.float32))
    digest = hashlib.sha256()
    for model in (models.ALS(factors=16, iterations=2), models.IALS(factors=8, iterations=2), models.PureSVD(4),
                  models.BPR(factors=8, iterations=2), models.LMF(factors=8, iterations=2), models.EASE()):
        digest.update(model.fit(train).score(np.arange(150, dtype=np.int32)).tobytes())
    for made in maps.audit_maps(train):
        digest.update(made.assignment.toarray().tobytes())
    return f"{{digest.hexdigest()}} {{forks.is_forked()}}"
print("parent", {parent}, flush=True)
child = os.fork()
if not child:
    print("child", everything(), flush=True)
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
OWN = FITS.format(before="", parent="everything()")
# The parent never loads this library: a fit of its own starts the threads that the child does not have.
FOREIGN = FITS.format(
    before="from implicit.als import AlternatingLeastSquares",
    parent="AlternatingLeastSquares(8, use_gpu=False).fit(sparse.eye(50, format='csr'), show_progress=False) or ''",
)


def printed(program, threads):
    limits = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", program]
    lines = subprocess.check_output(command, text=True, timeout=900, env={**os.environ, **limits}).splitlines()
    return {line.split()[0]: line.split()[1:] for line in lines}


def test_every_fit_ends_in_a_fork_with_the_bits_of_its_parent():
    told = printed(OWN, "2")
    assert told["parent"][1:] == ["False"]
    assert told["child"] == [told["parent"][0], "True"]
    alone = printed(OWN, "1")
    assert alone["parent"] == told["parent"]
    if sys.platform == "linux":
        assert printed(FOREIGN, "2")["child"] == told["child"]


def test_a_process_that_was_started_anew_is_no_fork():
    assert not forks.is_forked()
    assert forks.get_openmp_thread_limit() == 0
    command = [sys.executable, "-c", "from recsys.support import forks; print(forks.is_forked())"]
    assert subprocess.check_output(command, text=True).split() == ["False"]


@pytest.mark.skipif(sys.platform != "linux", reason="the flag is Linux's")
def test_a_fork_from_before_the_module_was_loaded_is_seen():
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, b"1" if forks._has_forked_flag() else b"0")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1) == b"1"
    assert not forks._has_forked_flag()
