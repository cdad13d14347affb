"""The HTTP interface: events in, the page and its data out."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from onstage_remote_monitor.validation import LIVE_HEADER, RUN_HEADER, SEQUENCE_HEADER, STOP_HEADER
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from onstage.errors import show_text
from onstage_live.blocks import Axis, Curve, Numbers
from onstage_live.runs import LONG, SHORT, Run, clean
from onstage_live.store import Store
from onstage_live.stream import Hub

_PAGE = Path(__file__).parent / "page"
_PUBLISH = "/publish/epoch/end/"
_RUN = re.compile(r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64})?")
_COLOUR = re.compile("#[0-9a-f]{6}", re.IGNORECASE)
_EVENTS_AT_ONCE, _BODY_SECONDS, _PIXELS, _NAMES = 1000, 30.0, 10_000, 1000
_AXES: dict[str, Axis] = {"step": "step", "epoch": "epoch", "time": "time", "relative": "time"}
_NO_CACHE = {"Cache-Control": "no-cache"}


class Api:
    """The routes, on a store.

    Parameters
    ----------
    store, hub
        Where the events go, and who writes them.
    steer
        Whether runs may be stopped, edited and deleted.
    max_body
        Maximum size of a request, in bytes.
    """

    def __init__(self, store: Store, hub: Hub, *, steer: bool, max_body: int) -> None:
        self._store, self._hub = store, hub
        self._steer, self._max_body = steer, max_body

    def app(self) -> Starlette:
        """Return the app."""
        run = "/api/runs/{run}"
        routes = [
            Route("/", self._page),
            Mount("/static", _Static(directory=_PAGE)),
            Route("/health/", self._health),
            Route(_PUBLISH, self._publish, methods=["POST"]),
            Route("/api/runs", self._runs),
            Route(run, self._edit, methods=["PATCH"]),
            Route(run, self._delete, methods=["DELETE"]),
            Route(f"{run}/stop", self._stop, methods=["POST"]),
            Route("/api/series", self._series),
            Route("/api/stream", self._stream),
            Route("/api/export.csv", self._export),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _show})

    async def _page(self, request: Request) -> Response:
        return FileResponse(_PAGE / "page.html", headers=_NO_CACHE)

    async def _health(self, request: Request) -> Response:
        return PlainTextResponse("OK\n")

    # -- senders

    async def _publish(self, request: Request) -> Response:
        name, sequence = request.headers.get(RUN_HEADER), request.headers.get(SEQUENCE_HEADER, "0")
        if name is not None and not (_RUN.fullmatch(name) and sequence.isdecimal() and len(sequence) < 16):
            raise HTTPException(400, f"{RUN_HEADER} or {SEQUENCE_HEADER} is wrong")
        content = _parse(_json_in(await self._body(request), request))
        events = content if isinstance(content, list) else [content]
        if len(events) > _EVENTS_AT_ONCE or not all(isinstance(event, dict) for event in events):
            raise HTTPException(400, "events must be JSON objects, at most 1000 in a list")
        peer = request.client.host if request.client else ""
        run = self._store.publish(events, name, int(sequence) if name else 0, peer)
        try:
            await self._hub.written()
        except sqlite3.Error as error:
            raise HTTPException(503, f"the events can't be written: {show_text(error)}") from error
        headers = {LIVE_HEADER: "1"}
        if run is not None and run.asked and run.state == "running":
            headers[STOP_HEADER] = run.asked
        return PlainTextResponse("OK\n", headers=headers)

    async def _body(self, request: Request) -> bytes:
        too_large = HTTPException(413, f"the body must have at most {self._max_body} bytes")
        length = request.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length[:12]) > self._max_body:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                async for part in request.stream():
                    body += part
                    if len(body) > self._max_body:
                        raise too_large
        except TimeoutError as error:
            raise HTTPException(408, "the body took too long") from error
        return bytes(body)

    # -- runs

    async def _runs(self, request: Request) -> Response:
        runs = [self._public(run) for run in self._store.runs.values()]
        return JSONResponse({"steer": self._steer, "runs": runs})

    def _public(self, run: Run) -> dict[str, Any]:
        return run.public(self._store.heard.get(run.id, run.updated), time.time())

    def _steered(self, request: Request) -> Run:
        if not self._steer:
            raise HTTPException(403, "this server does not let pages change runs; start it with --steer")
        run = self._store.runs.get(request.path_params["run"])
        if run is None:
            raise HTTPException(404, "there is no such run")
        return run

    async def _edit(self, request: Request) -> Response:
        run = self._steered(request)
        changes = _parse((await self._body(request)).decode(errors="replace"))
        self._store.edit(run, _checked(changes))
        return await self._answer(run)

    async def _delete(self, request: Request) -> Response:
        self._store.delete(self._steered(request))
        self._hub.list_changed()
        return JSONResponse({})

    async def _stop(self, request: Request) -> Response:
        run = self._steered(request)
        if run.state != "running":
            raise HTTPException(409, "the run is over")
        self._store.edit(run, {"asked": "asked from the page"})
        return await self._answer(run)

    async def _answer(self, run: Run) -> Response:
        self._hub.list_changed()
        await self._hub.written()
        return JSONResponse(self._public(run))

    # -- points

    def _asked(self, request: Request, name: str) -> tuple[list[Run], list[str]]:
        ids = request.query_params.get("runs", "").split(",")[:_NAMES]
        metrics = [each[:SHORT] for each in request.query_params.getlist(name)][:_NAMES]
        return [run for each in ids if (run := self._store.runs.get(each))], metrics

    async def _series(self, request: Request) -> Response:
        runs, metrics = self._asked(request, "metric")
        query = request.query_params
        kind, axis = query.get("kind", "epoch"), query.get("x", "step")
        if kind not in ("epoch", "batch") or axis not in _AXES:
            raise HTTPException(
                400, "kind must be 'epoch' or 'batch', x 'step', 'epoch', 'relative' or 'time'"
            )
        try:
            start, stop = float(query.get("from") or "-inf"), float(query.get("to") or "inf")
            pixels = int(query.get("pixels", "800"))
        except ValueError as error:
            raise HTTPException(400, "from, to and pixels must be numbers") from error
        if not start < stop:
            raise HTTPException(400, "from must be less than to")
        wanted = [(run, name) for name in metrics for run in runs if name in run.counts[kind]]
        pixels = min(max(1, pixels), _PIXELS)

        def read() -> bytes:
            found: dict[str, dict[str, Any]] = {}
            for run, name in wanted:
                offset = run.started if axis == "relative" else 0.0
                series = (run.id, kind, name)
                curve, total = self._store.curve(series, _AXES[axis], start + offset, stop + offset, pixels)
                found.setdefault(name, {})[run.id] = _drawn(curve, offset, total)
            return json.dumps({"series": found}, allow_nan=False, separators=(",", ":")).encode()

        return Response(await run_in_threadpool(read), media_type="application/json")

    async def _stream(self, request: Request) -> Response:
        return StreamingResponse(self._hub.stream(), media_type="text/event-stream")

    async def _export(self, request: Request) -> Response:
        runs, metrics = self._asked(request, "metrics")
        names = [name for each in metrics for name in each.split(",")]
        kind = request.query_params.get("kind", "epoch")
        headers = {"Content-Disposition": 'attachment; filename="runs.csv"'}
        return StreamingResponse(self._lines(runs, kind, names), media_type="text/csv", headers=headers)

    def _lines(self, runs: list[Run], kind: str, metrics: list[str]) -> Iterator[str]:
        yield "run,name,metric,step,epoch,time,value\r\n"
        for run in runs:
            for metric in metrics:
                texts = [_cell(text) for text in (run.id, run.label(), metric)]
                lines = io.StringIO()
                write = csv.writer(lines).writerow
                for point in self._store.points(run.id, kind, metric):
                    write([*texts, *point[1:]])
                    if lines.tell() > 1 << 16:
                        yield lines.getvalue()
                        lines.seek(0)
                        lines.truncate()
                yield lines.getvalue()


class _Static(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers.update(_NO_CACHE)
        return answer


async def _show(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse(
        {"error": error.detail}, error.status_code, {**(error.headers or {}), "Connection": "close"}
    )


def _json_in(body: bytes, request: Request) -> str:
    """Return the JSON: the body, or the field of a form in it."""
    try:
        text = body.decode()
        if request.headers.get("Content-Type", "").partition(";")[0].strip() == "application/json":
            return text
        fields = parse_qs(text, strict_parsing=True, max_num_fields=10)
    except ValueError as error:
        raise HTTPException(400, "the body must be JSON or a form, in UTF-8") from error
    if len(fields) != 1 or len(found := next(iter(fields.values()))) != 1:
        raise HTTPException(400, "the form must have one field")
    return found[0]


def _parse(text: str) -> Any:
    try:
        return json.loads(text)  # NaN is not JSON, but Keras sends it
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "invalid JSON") from error


def _checked(changes: Any) -> dict[str, Any]:
    """Return the changes of a run that a page may make."""
    if not isinstance(changes, dict):
        raise HTTPException(400, "the body must be a JSON object")
    found: dict[str, Any] = {}
    for name, value in changes.items():
        if name in ("name", "note") and isinstance(value, str):
            found[name] = clean(value, SHORT if name == "name" else LONG)
        elif (name == "pinned" and isinstance(value, bool)) or (
            name == "colour" and (value is None or _COLOUR.fullmatch(str(value)))
        ):
            found[name] = value
        else:
            raise HTTPException(400, "name and note must be text, pinned true or false, colour '#rrggbb'")
    return found


def _drawn(curve: Curve, offset: float, total: int) -> dict[str, Any]:
    columns = {"x": curve.x() - offset, "y": curve.mean}
    if curve.counts.max(initial=1) > 1:
        columns |= {"min": curve.low, "max": curve.high}
    return {**{name: _listed(column) for name, column in columns.items()}, "total": total}


def _listed(numbers: Numbers) -> list[float | None]:
    return [None if number != number else number for number in numbers.tolist()]


def _cell(text: str) -> str:
    """Return a text for a cell: one that a spreadsheet would compute is quoted."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
