"""A ranker behind HTTP, on several workers: `RECSYS_ARTEFACT=artefact.txt uvicorn app:app --workers 4`.

RECSYS_ARTEFACT is the folder of a ranker, or a file with the path of one. Each worker looks once a second whether the
folder was replaced or the file names another: it loads the new ranker beside the old one, and requests go to the old
one until it is there. What cannot be loaded is told by /healthz, and the old ranker goes on.

RECSYS_WORKERS is a folder in which each worker keeps its numbers (default: workers, beside the artefact), so that
/metrics tells those of all, whichever worker is asked. RECSYS_POLL is how many seconds lie between two looks.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import accumulate
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, ConfigDict

import recsys as rs
from recsys.types import make_unknown_name_error

ARTEFACT = Path(os.environ["RECSYS_ARTEFACT"])
WORKERS = Path(os.environ.get("RECSYS_WORKERS", ARTEFACT.parent / "workers"))
POLL = float(os.environ.get("RECSYS_POLL", "1"))
WORKER = str(os.getpid())
COUNTERS = {
    "errors": "requests that were refused",
    "unknown_ids": "items and regions that the ranker does not know",
    "short_slates": "slates of fewer than k items",
    "unmet_guards": "guards that could not be met",
}
Version = tuple[Path, int, int]


class Service:
    """The ranker that answers: one assignment replaces it between two requests."""

    def __init__(self) -> None:
        """Load the ranker that is there."""
        self.version = self.tried = find_version()
        self.ranker, self.fault = load(self.version), ""

    async def follow(self) -> None:
        """Load what is new, as long as the worker lives."""
        while True:
            await asyncio.sleep(POLL)
            await self.update()
            self.write_numbers()

    async def update(self) -> None:
        """Take over a new ranker, or say what is wrong with it."""
        try:
            found = find_version()
            if found == self.version:
                self.tried, self.fault = found, ""
            elif found != self.tried:  # what could not be loaded is not tried again
                self.tried = found
                loaded = await asyncio.to_thread(load, found)
                self.write_numbers()  # the last ones of the ranker that goes
                self.ranker, self.version, self.fault = loaded, found, ""
        except (OSError, rs.RecsysError) as error:
            self.fault = str(error)

    def write_numbers(self) -> None:
        """Keep the numbers of the ranker in a file of this worker and this policy."""
        told = {"worker": WORKER, **self.ranker.metrics().to_dict()}
        path = WORKERS / f"{WORKER}-{self.ranker.name}.json"
        path.with_suffix(".new").write_text(json.dumps(told), encoding="utf-8")
        path.with_suffix(".new").replace(path)


def find_version() -> Version:
    """Return the folder of the ranker, and what changes where it is replaced."""
    folder = ARTEFACT if ARTEFACT.is_dir() else ARTEFACT.parent / ARTEFACT.read_text(encoding="utf-8").strip()
    manifest = (folder / "manifest.json").stat()
    return folder, manifest.st_ino, manifest.st_mtime_ns


def load(version: Version) -> rs.Ranker:
    """Return the ranker of a folder, every file compared with its checksum, once it has answered a request."""
    ranker = rs.Ranker.load(version[0], verify=True)
    if len(ranker.rank(history=[], k=1).items) != 1:
        raise rs.RecsysError(f"{version[0]}: has nothing to show to a user without history")
    return ranker


class Numbers(Collector):
    """The numbers of all workers, as Prometheus reads them."""

    def collect(self) -> Iterator[Metric]:
        """Yield each number of each worker and policy."""
        labels = ("worker", "policy")
        told = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(WORKERS.glob("*.json"))]
        for name, what in COUNTERS.items():
            counter = CounterMetricFamily(f"recsys_{name}", what, labels=labels)
            for one in told:
                counter.add_metric([one[label] for label in labels], one[name])
            yield counter
        latencies = HistogramMetricFamily("recsys_request_seconds", "what requests took", labels=labels)
        for one in told:
            bounds = [*map(str, one["bounds"]), "+Inf"]
            buckets = list(zip(bounds, accumulate(one["latencies"]), strict=True))
            latencies.add_metric([one[label] for label in labels], buckets, one["seconds"])
        yield latencies


@asynccontextmanager
async def live(app: FastAPI) -> AsyncIterator[None]:
    """Load the ranker before the first request, and follow it until the worker ends."""
    WORKERS.mkdir(parents=True, exist_ok=True)
    app.state.service = service = Service()
    service.write_numbers()
    following = asyncio.create_task(service.follow())
    yield
    following.cancel()
    service.write_numbers()


app = FastAPI(lifespan=live)
registry = CollectorRegistry()
registry.register(Numbers())


class Asked(BaseModel):
    """A request for a slate: what `Ranker.rank` takes."""

    model_config = ConfigDict(extra="forbid", strict=True)
    user: str | None = None
    history: list[str] | None = None
    more: list[str] | None = None
    dislikes: list[str] | None = None
    k: int | None = None
    seed: int | None = None
    weights: dict[str, float] | None = None
    profile_free: bool = False


@app.post("/rank")
async def rank(asked: Asked) -> dict[str, Any]:
    """Answer with a slate, and with the policy that it is of."""
    answer = app.state.service.ranker.rank(**asked.model_dump())
    drawn = answer.log_propensity
    return {
        "policy": answer.policy,
        "seed": answer.seed,
        "items": answer.items,
        "log_propensity": None if drawn is None else drawn.tolist(),
        "violations": answer.violations,
        "notes": answer.notes,
    }


@app.exception_handler(rs.RecsysError)
async def refuse(request: Request, error: rs.RecsysError) -> JSONResponse:
    """Answer a mistake of the caller with the library's line."""
    return JSONResponse({"detail": str(error)}, 422)


@app.exception_handler(RequestValidationError)
async def refuse_form(request: Request, error: RequestValidationError) -> JSONResponse:
    """Answer a request of another form with a line too: what it holds may be NaN, which no JSON can repeat."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"][1:]))
    if first["type"] == "extra_forbidden":
        return await refuse(request, make_unknown_name_error("field", where, Asked.model_fields, where="request"))
    said = "is no JSON" if first["type"] == "json_invalid" else f"{where or 'body'}: {first['msg']}"
    return await refuse(request, rs.RecsysError(f"request: {said}"))


@app.get("/healthz")
async def check_health(response: Response) -> dict[str, Any]:
    """Say that the worker lives, whether its ranker answers, and what is wrong with an artefact that is not loaded."""
    service = app.state.service
    ready = len(service.ranker.rank(history=[], k=1).items) == 1
    response.status_code = 200 if ready else 503
    told = {"worker": WORKER, "policy": service.ranker.name, "folder": str(service.version[0]), "fault": service.fault}
    return {"live": True, "ready": ready, **told}


@app.get("/metrics")
async def tell_numbers() -> Response:
    """Answer what Prometheus reads."""
    app.state.service.write_numbers()
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
