"""The kinds of hostile input that `robustness.py` tries, and the process that runs them.

A kind is prepared once in an empty folder. `run(rng)` draws and runs one case: it returns if the result is right,
raises `RecsysError` if the input is refused, and raises `Difference` if a result is not what it must be.
"""

import json
import os
import sys
import traceback
import warnings
from pathlib import Path

from robustness_files import MutatedStores, MutatedTables, MutatedTexts
from robustness_kernels import CorruptedRankers, HostilePools, HostileRequests
from robustness_kernels import RandomSlates as KernelSlates
from robustness_processes import HostileCommandLines, KilledWriters, LoadsDuringWrites
from robustness_worlds import Difference

from recsys.support import rng
from recsys.types import RecsysError

KINDS = {
    "texts": MutatedTexts,
    "tables": MutatedTables,
    "stores": MutatedStores,
    "rankers": CorruptedRankers,
    "pools": HostilePools,
    "kernel": KernelSlates,
    "requests": HostileRequests,
    "kills": KilledWriters,
    "races": LoadsDuringWrites,
    "command-lines": HostileCommandLines,
}


def classify_case(kind: object, seed: int, name: str, case: int) -> dict[str, str]:
    """Run one case and say how it ended."""
    try:
        kind.run(rng.make_generator(seed, "robustness", name, case))
    except RecsysError as error:
        text = str(error)
        lines = len(text.splitlines())
        if lines != 1 or len(text) > 1000 or any(ord(mark) < 32 for mark in text):
            return {"end": "traceback", "text": f"refused, but not in one line of text: {text[:200]!r}"}
        return {"end": "refused", "text": text}
    except Difference as error:
        return {"end": "difference", "text": str(error)}
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return {"end": "traceback", "text": f"{type(error).__name__} at {place}: {' '.join(str(error).split())[:200]}"}
    return {"end": "right", "text": ""}


def main() -> None:
    """Answer each case number on standard input with one line of JSON."""
    name, seed, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a case prints is no answer
    warnings.simplefilter("ignore")
    kind = KINDS[name](folder)
    print(json.dumps({"end": "ready"}), file=answers)
    for line in sys.stdin:
        print(json.dumps(classify_case(kind, seed, name, int(line))), file=answers)


if __name__ == "__main__":
    main()
