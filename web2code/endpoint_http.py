"""Replies over HTTP: whole, of bounded time and size, and with the status of an error where they tell of one."""

from __future__ import annotations

import json
import re
import time
from contextlib import closing
from typing import Any

import openai

# No reply is as large; one without an end would fill the memory.
MAX_BYTES = 16 * 1024**2
# They describe the body as it was sent.
OF_THE_BODY = ("content-encoding", "content-length", "transfer-encoding")
BAD_GATEWAY, GATEWAY_TIMEOUT = 502, 504


class WholeReplies(openai.DefaultHttpxClient):
    """What openai's client, which knows after which statuses it is worth asking again, sends its requests with.

    A reply that takes too long or is too large has the status of an error; so has one that tells of an error, or has no
    message, under the status 200, as gateways send them.
    """

    def __init__(self, url: str, seconds: float) -> None:
        super().__init__(base_url=url, timeout=seconds)
        self.seconds = seconds

    def send(self, request: Any, **options: Any) -> Any:
        """The response to a request, there as a whole."""
        until = time.monotonic() + self.seconds
        with closing(super().send(request, **options | {"stream": True})) as response:
            status, body = self._read(response, until)
        headers = [(name, value) for name, value in response.headers.multi_items() if name not in OF_THE_BODY]
        return type(response)(status, headers=headers, content=body, request=response.request)

    def _read(self, response: Any, until: float) -> tuple[int, bytes]:
        """Status and body; a single part may keep it waiting for as long again as the whole."""
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                return _error(BAD_GATEWAY, f"the reply is larger than {MAX_BYTES} bytes")
            if time.monotonic() > until:
                return _error(GATEWAY_TIMEOUT, f"the reply was not whole after {self.seconds:g} seconds")
        return _checked(bytes(body)) if response.status_code == 200 else (response.status_code, bytes(body))


def _checked(body: bytes) -> tuple[int, bytes]:
    """Status and body of a reply that calls itself a success."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return _error(BAD_GATEWAY, "the reply is no JSON")
    choices = answer.get("choices") if isinstance(answer, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    for part in (answer, choice):
        if isinstance(part, dict) and (error := part.get("error")):
            code, told = (error.get("code"), error.get("message")) if isinstance(error, dict) else (None, None)
            status = int(str(code)) if re.fullmatch("[45][0-9]{2}", str(code)) else BAD_GATEWAY
            return _error(status, str(told or error))
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        return _error(BAD_GATEWAY, "the reply has no message")
    return 200, body


def _error(status: int, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"error": {"message": message}}).encode()
