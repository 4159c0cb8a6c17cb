"""A server on a local socket that speaks the chat completions protocol, and fails in whichever way it is told to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HANG = object()
# A reply's text; a status, or one with a message; a whole body, plain or by gzip, or its parts as they come; None for a
# closed connection; HANG for none at all; or what makes one of these from the request.
Step = str | int | tuple[int, str] | bytes | Iterator[bytes] | None | object | Callable[[dict[str, Any]], Any]
USAGE = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}


class ChatServer(ThreadingHTTPServer):
    """Answers with the steps of `script` in turn, then always with `reply`.

    `seen` holds what it was asked, and `keys` by model with what keys.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}/v1"
        self.script: list[Step] = []
        self.reply: Step = "Hello."
        self.seen: list[dict[str, Any]] = []
        self.keys: dict[str, set[str]] = {}
        self.lock, self.released = threading.Lock(), threading.Event()

    def step(self, body: dict[str, Any]) -> Step:
        """What is due for a request."""
        with self.lock:
            self.seen.append(body)
            step = self.script.pop(0) if self.script else self.reply
        return step(body) if callable(step) else step


class Handler(BaseHTTPRequestHandler):
    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.keys.setdefault(body["model"], set()).add(self.headers["Authorization"].removeprefix("Bearer "))
        step = self.server.step(body)
        if step is HANG:
            self.server.released.wait(20)
        elif step is None:
            self.connection.close()
        elif isinstance(step, int):
            self.send(step, b'{"error": {"message": "as told"}}')
        elif isinstance(step, tuple):
            self.send(step[0], json.dumps({"error": {"message": step[1]}}).encode())
        elif isinstance(step, bytes):
            self.send(200, step)
        elif isinstance(step, Iterator):
            self.send_parts(step)
        else:
            self.send(200, completion(str(step)))

    def send_parts(self, parts: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        with suppress(OSError):  # whoever asked hung up
            for part in parts:
                self.wfile.write(part)

    def send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if body.startswith(b"\x1f\x8b"):
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Retry-After-Ms", "5")  # the client would wait half a second and more
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


def completion(text: str, finish_reason: str = "stop") -> bytes:
    """The body of an answer as the protocol has it."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": USAGE}
    return json.dumps(answer).encode()
