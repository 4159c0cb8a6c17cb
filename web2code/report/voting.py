"""Serves a page on this machine where people choose between two renderings, without knowing whose they are."""

from __future__ import annotations

import secrets
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from web2code.evaluation.ballot import Ballot, Picture
from web2code.report.gallery import data_uri, thumbnail
from web2code.report.html import TEMPLATES

MAX_FORM_BYTES = 1000
PICTURE_WIDTH = 960
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def make_server(ballot: Ballot, port: int = 0) -> tuple[ThreadingHTTPServer, str]:
    """A server on loopback that is ready to serve, and the address of its page, which holds a secret token.

    Without the token nothing is shown and no vote is taken, and another site's page cannot send one.
    """
    token = secrets.token_urlsafe(24)

    class Handler(BaseHTTPRequestHandler):
        """Shows the next pair, and takes a vote."""

        def do_GET(self) -> None:
            query = parse_qs(urlsplit(self.path).query)
            if self._may_pass(query):
                self._answer(HTTPStatus.OK, vote_page(ballot, token))

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length") or ""
            if not length.isdecimal() or int(length) > MAX_FORM_BYTES:
                self._answer(HTTPStatus.BAD_REQUEST, "no vote")
                return
            form = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"))
            if not self._may_pass(form):
                return
            number, choice = form.get("pair", [""])[0], form.get("choice", [""])[0]
            if not (number.isdecimal() and int(number) < len(ballot.pairs)) or choice not in ("left", "right", "tie"):
                self._answer(HTTPStatus.BAD_REQUEST, "no vote")
                return
            ballot.cast(int(number), choice)  # type: ignore[arg-type]
            self.send_response(HTTPStatus.SEE_OTHER)
            self.send_header("Location", f"/?token={token}")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """The address holds the token, and is not written anywhere."""

        def _may_pass(self, fields: dict[str, list[str]]) -> bool:
            # A page elsewhere whose name resolves to this machine sends its own name as the host.
            host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
            given = fields.get("token", [""])[0]
            if host in ("127.0.0.1", "localhost") and secrets.compare_digest(given.encode(), token.encode()):
                return True
            self._answer(HTTPStatus.FORBIDDEN, "open the address that the command printed")
            return False

        def _answer(self, status: HTTPStatus, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    return server, f"http://127.0.0.1:{server.server_port}/?token={token}"


def vote_page(ballot: Ballot, token: str) -> str:
    """The page with the next pair, or one that says that all have a vote."""
    number = ballot.next()
    pair = None if number is None else ballot.pairs[number]
    return TEMPLATES.get_template("vote.html.j2").render(
        style=TEMPLATES.get_template("report.css").render(),
        token=token,
        number=number,
        num_pairs=len(ballot.pairs),
        screenshot=_show(pair.screenshot) if pair else "",
        renderings=[_show(picture) for picture in pair.renderings] if pair else [],
    )


def _show(picture: Picture) -> str:
    try:
        return data_uri(thumbnail(picture.read(), PICTURE_WIDTH, 2 * PICTURE_WIDTH))
    except ValueError:
        return ""
