"""The parts of an evaluation one by one: pages rendered or scored alone, and an endpoint that takes no time here."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from web2code.config import Viewport
from web2code.evaluation.answers import extract_html
from web2code.evaluation.benchmarks.benchmark import Sample, Verdict
from web2code.evaluation.features import PageFeatures, page_features
from web2code.evaluation.wcgb_visual import VisualScorer
from web2code.rendering import Snapshot


class Renderer(VisualScorer):
    """Renders what is to be scored, and leaves it at that."""

    def score(self, sample: Sample, text: str) -> Verdict:
        """Nothing."""
        viewport = Viewport(**sample.facts["viewport"])
        self.reference(sample, viewport)
        self.windows(viewport).submit(extract_html(text) or "").result()
        return Verdict(sample.id, "scored")


class Keeper(VisualScorer):
    """A scorer that keeps the pages of answers as it does references, and finds them the next time."""

    def rendered(self, viewport: Viewport, document: str) -> tuple[Snapshot, PageFeatures | None]:
        """From the folder where that is possible."""
        if known := self.references.find(document, viewport):
            return known, page_features(known)
        snapshot, features = super().rendered(viewport, document)
        self.references.add(document, viewport, snapshot)
        return snapshot, features


class PacedEndpoint(ThreadingHTTPServer):
    """Answers as a model on a GPU elsewhere would: so many answers a second, with none of this machine's time.

    Args:
        answers: by the digest of a picture.
    """

    daemon_threads = True

    def __init__(self, answers: dict[str, str], pace: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers, self.seconds, self.next_at, self.lock = answers, 1 / pace, 0.0, threading.Lock()

    def wait(self) -> None:
        """Until it is the next answer's turn."""
        with self.lock:
            self.next_at = max(time.monotonic(), self.next_at) + self.seconds
            due = self.next_at
        time.sleep(max(0.0, due - time.monotonic()))


class _Handler(BaseHTTPRequestHandler):
    server: PacedEndpoint
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = asked["messages"][-1]["content"]
        url = next(part["image_url"]["url"] for part in parts if part["type"] == "image_url")
        text = self.server.answers[digest_of(base64.b64decode(url.partition(",")[2]))]
        self.server.wait()
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = json.dumps(
            {"id": "1", "object": "chat.completion", "created": 0, "model": "recorded", "choices": [choice]}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        pass


def serve(answers: dict[str, str], pace: float, pipe: Any) -> None:
    """Serve until the process is ended; its address goes through the pipe."""
    server = PacedEndpoint(answers, pace)
    pipe.send(f"http://127.0.0.1:{server.server_port}/v1")
    server.serve_forever()


def digest_of(picture: bytes) -> str:
    """What a picture is known by."""
    return hashlib.sha256(picture).hexdigest()
