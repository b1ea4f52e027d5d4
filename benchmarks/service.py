"""How long requests over HTTP take, and whether a swap drops some: `python benchmarks/service.py`.

The service of docs/service, on four workers and the loopback interface, with a ranker of 20,000 items and 128 factors.
Clients keep their connection and ask one request after the other, on this same machine: the figures are those of
service and clients together. In the middle the artefact is swapped. Needs the extra [dev].
Writes `benchmarks/results/service.csv`.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
from serving import SMALL, D, build_synthetic_ranker
from speeds import Row, print_row, write_speed_rows

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "service.csv"
SERVICE = HERE.parent / "docs" / "service"
WORKERS, CLIENTS, REQUESTS, USERS = 4, 4, 20_000, 5_000


class Client:
    """One connection, and what became of its requests."""

    def __init__(self, port: int, number: int) -> None:
        self.connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self.random = np.random.default_rng(number)
        self.seconds: list[float] = []
        self.policies: set[str] = set()
        self.failed = 0

    def ask(self) -> None:
        """Ask for a slate of a random user, and keep how long the answer took."""
        body = json.dumps({"user": str(self.random.integers(USERS)), "seed": int(self.random.integers(1 << 30))})
        start = time.perf_counter()
        try:
            self.connection.request("POST", "/rank", body, {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            told = json.loads(answer.read())
        except OSError:
            self.failed += 1
            return
        self.seconds.append(time.perf_counter() - start)
        self.failed += answer.status != 200
        self.policies.add(told.get("policy", ""))


def start_service(pointer: Path, port: int) -> subprocess.Popen[bytes]:
    """Start the workers, and wait until the service answers."""
    command = [sys.executable, "-m", "uvicorn", "app:app", "--workers", str(WORKERS), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--log-level", "warning", "--no-access-log"]
    server = subprocess.Popen(command, cwd=SERVICE, env={**os.environ, "RECSYS_ARTEFACT": str(pointer)})
    while True:
        try:
            health = HTTPConnection("127.0.0.1", port, timeout=5)
            health.request("GET", "/healthz")
            if health.getresponse().status == 200:
                return server
        except OSError:
            if server.poll() is not None:
                raise SystemExit("the service has ended before it answered") from None
            time.sleep(0.2)


def measure(port: int, pointer: Path, requests: int) -> list[Client]:
    """Return the clients after all requests, in the middle of which the artefact is swapped."""
    clients = [Client(port, number) for number in range(CLIENTS)]

    def work(client: Client) -> None:
        for number in range(requests // CLIENTS):
            if client is clients[0] and number == requests // CLIENTS // 2:
                pointer.with_suffix(".new").write_text("second", encoding="utf-8")
                pointer.with_suffix(".new").replace(pointer)
            client.ask()

    with ThreadPoolExecutor(CLIENTS) as threads:
        list(threads.map(work, clients))
    return clients


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for name, weight in (("first", 0.2), ("second", 0.4)):
            blend = {"relevance": 1.0, "mmr": weight, "negative_space": 0.2}
            build_synthetic_ranker(SMALL, USERS, D, blend).save(Path(place) / name)
        pointer = Path(place) / "artefact.txt"
        pointer.write_text("first", encoding="utf-8")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = start_service(pointer, port)
        try:
            start = time.perf_counter()
            clients = measure(port, pointer, settings.requests)
            seconds = time.perf_counter() - start
        finally:
            server.terminate()
            server.wait()
    took = 1e3 * np.concatenate([client.seconds for client in clients])
    middle, high = (float(np.percentile(took, share)) for share in (50, 99))
    failed, policies = sum(client.failed for client in clients), len(set.union(*(one.policies for one in clients)))
    each = f"rank over HTTP, known user, {SMALL:,} items x {D}, {WORKERS} workers, {CLIENTS} clients"
    rate = len(took) / seconds
    rows = [
        Row(f"{each}: median", middle, None, "ms", middle, None, "max"),
        Row(f"{each}: 99th percentile; theirs is the median", high, middle, "ms", high / middle, None, "max"),
        Row(f"{each}: requests a second", rate, None, "1/s", rate, None, "min"),
        Row(
            f"{each}: failed of {settings.requests:,}, one swap among them", failed, None, "requests", failed, 0, "max"
        ),
        Row(f"{each}: policies that answered", policies, None, "policies", policies, 2, "min"),
    ]
    write_speed_rows([print_row(row) for row in rows], settings.out)


if __name__ == "__main__":
    main()
