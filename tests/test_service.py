"""The service of docs/operate.md: requests over HTTP to several workers, while its artefact is swapped."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from threading import Event

import pytest

from recsys.rankers.warmups import build_synthetic_ranker

for needed in ("fastapi", "prometheus_client", "uvicorn"):
    pytest.importorskip(needed)

pytestmark = pytest.mark.slow
SERVICE = Path(__file__).parents[1] / "docs" / "service"
WORKERS = 2


class Client:
    """Asks the service, by a new connection each time, so that any worker may answer."""

    def __init__(self, port):
        self.port = port

    def ask(self, method, path, body=None):
        """Return the status and the text of an answer."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=600)
        try:
            headers = {"Connection": "close", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def rank(self, **asked):
        status, text = self.ask("POST", "/rank", asked)
        return status, json.loads(text)

    def health(self):
        return json.loads(self.ask("GET", "/healthz")[1])


def await_that(what, seconds=600):
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def has_workers(folder, policy):
    """Return whether as many workers as there are have kept numbers of a policy."""
    return len(list((folder / "workers").glob(f"*-{policy}.json"))) >= WORKERS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("artefacts")
    for name, weight in (("first", 0.1), ("second", 0.7)):
        ranker = build_synthetic_ranker({"relevance": 1.0, "unexplored": weight})
        ranker.save(made / name)
        (made / f"{name}.txt").write_text(ranker.name, encoding="utf-8")
    (made / "artefact.txt").write_text("first\n", encoding="utf-8")
    return made


def swap(folder, name):
    (folder / "new.txt").write_text(name, encoding="utf-8")
    (folder / "new.txt").replace(folder / "artefact.txt")


@pytest.fixture(scope="module")
def client(folder):
    """The service, started as in its Containerfile, with fewer workers and on a free port."""
    (command,) = re.findall(r"^CMD (\[.*\])$", (SERVICE / "Containerfile").read_text(encoding="utf-8"), re.MULTILINE)
    program, app, *more = json.loads(command)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    around = {**os.environ, "RECSYS_ARTEFACT": str(folder / "artefact.txt"), "RECSYS_POLL": "0.05"}
    more += ["--workers", str(WORKERS), "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]
    server = subprocess.Popen([sys.executable, "-m", program, app, *more], cwd=SERVICE, env=around)
    try:
        await_that(lambda: has_workers(folder, (folder / "first.txt").read_text(encoding="utf-8")))
        yield Client(port)
    finally:
        server.terminate()
        server.wait()


def test_a_swap_drops_no_request_and_each_answer_says_its_policy(client, folder):
    old, new = ((folder / f"{name}.txt").read_text(encoding="utf-8") for name in ("first", "second"))
    told, done = client.health(), Event()
    assert (told["live"], told["ready"], told["policy"], told["fault"]) == (True, True, old, "")

    found = [[], [], []]

    def hammer(user):
        while not done.is_set():
            found[user].append(client.rank(user=str(user), k=2))

    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(hammer, user) for user in range(3)]
        try:
            await_that(lambda: all(found))
            swap(folder, "second")
            await_that(lambda: has_workers(folder, new))
            told = [len(one) for one in found]  # a request may have been on its way then, the next one was not
            await_that(lambda: all(len(one) > n + 2 for one, n in zip(found, told, strict=True)))
        finally:
            done.set()
    assert [one.result() for one in asked] == [None] * 3
    answers = [answer for one in found for answer in one]
    assert {status for status, _ in answers} == {200}
    assert {answer["policy"] for _, answer in answers} == {old, new}
    assert {one[-1][1]["policy"] for one in found} == {new}

    swap(folder, "nowhere")
    await_that(lambda: "nowhere" in client.health()["fault"])
    status, answer = client.rank(user="1")
    assert (status, answer["policy"]) == (200, new)  # the old one goes on
    swap(folder, "second")
    await_that(lambda: not client.health()["fault"])

    def read_counts():
        numbers = client.ask("GET", "/metrics")[1]
        line = r'^recsys_request_seconds_count\{policy="(\w+)",worker="(\d+)"\} (\d+)'
        return re.findall(line, numbers, re.MULTILINE)

    # each worker keeps its own again and again
    await_that(lambda: sum(int(count) for *_, count in read_counts()) > len(answers) / 2)
    counted = read_counts()
    assert len({worker for _, worker, _ in counted}) >= WORKERS and {policy for policy, *_ in counted} == {old, new}


def test_a_mistake_of_the_caller_is_the_line_of_the_library(client):
    status, answer = client.rank(user="nobody")
    assert status == 422 and re.fullmatch(r"ranker: user 'nobody' is none of .*", answer["detail"])
    for asked, line in (
        ({"usr": "1"}, "request: unknown field 'usr': did you mean 'user'?"),
        ({"\ud800": "1"}, "request: "),
        ({"k": float("nan")}, "request: k: "),
        ({"k": True}, "request: k: "),
        ({"history": ["1", 7]}, "request: history.1: "),
        ({"weights": {"unexplored": float("nan")}}, "ranker: weights: the factor of 'unexplored' is nan"),
    ):
        status, answer = client.rank(**asked)
        assert status == 422 and answer["detail"].startswith(line) and "\n" not in answer["detail"]
    assert client.ask("POST", "/rank", [])[0] == 422
