"""Hostile moments: writers that are killed, folders that are replaced while they are read, and command lines."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import tomli_w
from robustness_kernels import build_small_ranker
from robustness_worlds import NUMBERS, WORDS, Difference, Generator, mutate_bytes, pick_one, write_world

import recsys as rs
from recsys.types import RecsysError

# Writes the rankers in two folders to a third, in turns, until it is killed or has done so many times.
WRITER = """
import sys
import recsys as rs
rankers = [rs.Ranker.load(folder) for folder in sys.argv[1:3]]
print("ready", flush=True)
for turn in range(int(sys.argv[4])):
    rankers[turn % 2].save(sys.argv[3])
"""
BENCH = """
[data]
path = "ratings.csv"
[model]
kind = "als"
factors = 4
iterations = 2
[pool]
n = 20
[slate]
k = [5]
[evaluation]
metrics = ["ndcg", "coverage"]
n_bootstrap = 100
[blends.wider]
relevance = 1.0
novelty = 0.1
"""


class _Writers:
    def __init__(self, folder: Path) -> None:
        self.folder, self.target = folder / "rankers", folder / "rankers" / "target"
        split, ranker = build_small_ranker(folder)
        other = rs.Ranker.fit(ranker.model, split, {"relevance": 1.0, "novelty": 0.3}, n=20, k=5)
        self.sources = [ranker.save(folder / "first"), other.save(folder / "second")]
        self.right = {self.list_answers(rs.Ranker.load(source)) for source in self.sources}

    def list_answers(self, ranker: rs.Ranker) -> tuple[object, ...]:
        return ranker.name, *(ranker.rank(user=user).items for user in ("u1", "u30", "u7"))

    def start_writer(self, times: int) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", WRITER, *map(str, self.sources), str(self.target), str(times)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdout.readline()
        return process

    def reset_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()


class KilledWriters(_Writers):
    """a writer of rankers is killed at a random moment: the old or the new one is there, and the next run clears up"""

    share = 1.5

    def run(self, rng: Generator) -> None:
        self.reset_folder()
        rs.Ranker.load(self.sources[0]).save(self.target)
        process = self.start_writer(10**6)
        time.sleep(float(rng.random()) * 0.1)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        if self.list_answers(rs.Ranker.load(self.target, verify=True)) not in self.right:
            raise Difference("after a kill, the folder holds neither the old ranker nor the new one")
        rs.Ranker.load(self.sources[0]).save(self.target)
        left = [path.name for path in self.folder.iterdir() if path != self.target and not path.name.endswith(".lock")]
        if left:
            raise Difference(f"after the next save, {left} of the killed one are still there")


class LoadsDuringWrites(_Writers):
    """a ranker is loaded while another process replaces it: one of the two, whole"""

    share = 1.0

    def run(self, rng: Generator) -> None:
        self.reset_folder()
        rs.Ranker.load(self.sources[0]).save(self.target)
        process = self.start_writer(10**6)
        try:
            for _ in range(20):
                if self.list_answers(rs.Ranker.load(self.target)) not in self.right:
                    raise Difference("the ranker that was loaded is neither of the two that were written")
        except RecsysError as error:
            raise Difference(f"a load beside a writer failed: {error}") from None
        finally:
            process.kill()
            process.communicate()


class HostileCommandLines:
    """command lines with mutated files, unknown names and hostile values: exit code 0, or 2 and one line"""

    share = 2.0
    CHANGES = (
        ("", ""),
        ("0.1", "{number}"),
        ('"als"', '"bpr"'),
        ("factors = 4", "factors = {number}"),
        ("n = 20", "n = {number}"),
        ("blends.wider", "blends.{word}"),
        ("[5]", "[5, {number}]"),
        ("coverage", "coverag"),
        ("ratings.csv", "rating.csv"),
    )
    COMMANDS = (
        ("bench", "bench.toml", "--quiet"),
        ("bench", "bench.toml", "--quiet"),
        ("bench", "bench.toml"),
        ("evaluate", "list.csv", "--config", "bench.toml"),
        ("recommend", "bench.toml", "--out", "{word:.20}.csv"),
        ("recommend", "bench.toml", "--out", "out.csv", "--users", "{word}"),
        ("sweep", "bench.toml"),
        ("{word}",),
        ("export", "bench.toml", "--out", "exported"),
        ("data", "describe", "ratings.csv"),
        ("data", "fetch", "{word}"),
        ("warmup", "ranker/kept"),
        ("compare", "{word}", "runs"),
        ("bench", "{word}"),
        ("bench", "bench.toml", "{word}"),
    )

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = write_world(folder).read_bytes()
        (folder / "ranker").mkdir()
        build_small_ranker(folder)[1].save(folder / "ranker" / "kept")
        (folder / "list.csv").write_text("user_id,item_id,rank\nu1,i3,1\nu1,i4,2\nu2,i30,1\n", encoding="utf-8")

    def run(self, rng: Generator) -> None:
        word = str(pick_one(rng, [one for one in WORDS if "\x00" not in one]))
        number = str(pick_one(rng, NUMBERS)).lower()
        old, new = pick_one(rng, self.CHANGES)
        quoted = tomli_w.dumps({word: 1}).removesuffix(" = 1\n")
        config = BENCH.replace(old, new.format(number=number, word=quoted))
        (self.folder / "bench.toml").write_text(config, encoding="utf-8")
        (self.folder / "ratings.csv").write_bytes(mutate_bytes(self.log, rng) if rng.random() < 0.3 else self.log)
        command = [part.format(word=word) for part in pick_one(rng, self.COMMANDS)]
        result = subprocess.run(
            [sys.executable, "-m", "recsys", *command], cwd=self.folder, capture_output=True, timeout=50, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        errors = result.stderr.decode(errors="replace")
        told = f"{command}: exit code {result.returncode}: {errors[-300:]!r}"
        if result.returncode not in (0, 2) or "Traceback" in errors:
            raise AssertionError(told)
        if result.returncode == 2:
            last = errors.strip().splitlines()[-1] if errors.strip() else ""
            if not last.startswith("recsys: "):
                raise AssertionError(told)
            raise RecsysError("exit code 2")
        if b"\x1b]" in result.stdout or b"\x1b[31mred" in result.stdout:
            raise Difference(f"{command}: foreign control characters reach the terminal")
