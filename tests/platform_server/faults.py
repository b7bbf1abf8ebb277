"""What can go wrong between a client and the server, in the order in which it was injected."""

import asyncio
import json
import socket
import struct
import threading
from dataclasses import dataclass, field

from uvicorn.protocols.http.h11_impl import H11Protocol

TRANSPORTS = {}


class TellingProtocol(H11Protocol):
    """Lets a fault find the connection of a request, to break it."""

    def connection_made(self, transport):
        super().connection_made(transport)
        TRANSPORTS[transport.get_extra_info("peername")[:2]] = transport

    def connection_lost(self, exc):
        TRANSPORTS.pop(self.transport.get_extra_info("peername")[:2], None)
        super().connection_lost(exc)


@dataclass
class Fault:
    """One way to answer wrongly, so many times."""

    kind: str
    """status, reset, reset-after, status-reset, slow, drip, half, html, redirect, text, json, silent-after."""
    path: str = ""
    """Of the requests that it hits: how their path begins."""
    method: str = ""
    times: int = 1
    status: int = 500
    body: object = None
    location: str = ""
    seconds: float = 0.0
    hits: int = field(default=0, init=False)

    def fits(self, scope):
        is_method = self.method in ("", scope["method"])
        return self.times > self.hits and is_method and scope["path"].startswith(self.path)


class Faults:
    """ASGI middleware: injected faults first, the server itself otherwise."""

    def __init__(self, app):
        self._app = app
        self._lock = threading.Lock()
        self._waiting = []
        self.requests = []
        """(method, path, header X-API-Key or None) of every request."""

    def add(self, *faults):
        with self._lock:
            self._waiting += faults

    def clear(self):
        with self._lock:
            self._waiting, self.requests = [], []

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        key = dict(scope["headers"]).get(b"x-api-key")
        with self._lock:
            self.requests.append((scope["method"], scope["path"], key.decode() if key else None))
            fault = next((one for one in self._waiting if one.fits(scope)), None)
            if fault is not None:
                fault.hits += 1
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await self._apply(fault, scope, receive, send)

    async def _apply(self, fault, scope, receive, send):
        kind = fault.kind
        if kind == "status":
            await self._drain(receive)
            echoed = json.dumps(fault.body if fault.body is not None else {"detail": "Internal server error"})
            await _answer(send, fault.status, echoed.encode())
        elif kind == "status-reset":
            await self._drain(receive)
            await _answer(send, fault.status, b'{"detail":"Internal server error"}')
            _reset(scope)
        elif kind == "reset":
            await self._drain(receive)
            _reset(scope)
        elif kind in ("reset-after", "silent-after", "half", "drip", "garbled-after"):
            await self._after(fault, scope, receive, send)
        elif kind == "slow":
            await asyncio.sleep(fault.seconds)
            await self._app(scope, receive, send)
        elif kind == "html":
            await self._drain(receive)
            await _answer(send, 200, b"<!DOCTYPE html><html><body>Please log in</body></html>", b"text/html")
        elif kind == "text":
            await self._drain(receive)
            await _answer(send, 200, str(fault.body).encode(), b"text/plain")
        elif kind == "json":
            await self._drain(receive)
            await _answer(send, fault.status if fault.status != 500 else 200, json.dumps(fault.body).encode())
        elif kind == "redirect":
            await self._drain(receive)
            await _answer(send, 302, b"", extra=[(b"location", fault.location.encode())])
        else:
            raise AssertionError(kind)

    async def _after(self, fault, scope, receive, send):
        """Let the server do its work, and spoil the answer."""
        told = []

        async def keep(message):
            told.append(message)

        await self._app(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in told)
        status = told[0]["status"]
        if fault.kind == "reset-after":
            _reset(scope)
        elif fault.kind == "silent-after":
            await asyncio.sleep(fault.seconds)
            _reset(scope)
        elif fault.kind == "garbled-after":
            await _answer(send, status, body[: len(body) // 2])
        elif fault.kind == "half":
            await _begin(send, status, len(body))
            await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            _reset(scope)
        else:
            await _begin(send, status, len(body))
            for number in body:
                await send({"type": "http.response.body", "body": bytes([number]), "more_body": True})
                await asyncio.sleep(fault.seconds)
            await send({"type": "http.response.body", "body": b""})

    @staticmethod
    async def _drain(receive):
        while (await receive()).get("more_body"):
            pass


async def _begin(send, status, length, kind=b"application/json", extra=()):
    headers = [(b"content-type", kind), (b"content-length", str(length).encode()), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _answer(send, status, body, kind=b"application/json", extra=()):
    await _begin(send, status, len(body), kind, extra)
    await send({"type": "http.response.body", "body": body})


def _reset(scope):
    """Break the connection as a crashed server does: RST, no FIN."""
    transport = TRANSPORTS.get(tuple(scope["client"])[:2])
    if transport is not None:
        raw = transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
