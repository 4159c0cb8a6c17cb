"""Everything that a page may try to reach on this machine, and what tells that it did."""

import contextlib
import os
import socket
import socketserver
import threading
from pathlib import Path

GREEN_SVG = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='99' height='99'><rect width='99' height='99' fill='lime'/></svg>"
)
PAINT = "document.documentElement.style.background=`lime`"
MARK = "what-a-download-would-hold"
PROGRAMS = ("xdg-open", "gio", "kde-open", "x-www-browser", "sensible-browser")


class Server6(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6


class Canary:
    """A server on the loopback addresses, a file and programs in `folder`, none of which should ever be used."""

    def __init__(self, folder: Path) -> None:
        self.connections: list[object] = []
        self.paths: set[str] = set()
        canary = self

        class Listener(socketserver.StreamRequestHandler):
            timeout = 5

            def handle(self):
                canary.connections.append(self.client_address)
                with contextlib.suppress(OSError):
                    canary.paths.update(self.rfile.readline().decode("latin-1").split("/")[1:2])

        self.servers = [socketserver.ThreadingTCPServer(("127.0.0.1", 0), Listener)]
        self.port = self.servers[0].server_address[1]
        if socket.has_ipv6:
            self.servers.append(Server6(("::1", self.port), Listener))
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", self.port))
        self.datagrams.setblocking(False)
        for server in self.servers:
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.file = folder / "canary.svg"
        self.file.write_text(GREEN_SVG)
        # Reading sets the time of access, where it lies before that of the last change.
        os.utime(self.file, (1, self.file.stat().st_mtime))
        self.used = folder / "used"
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in PROGRAMS:
            (self.programs / name).write_text(f"#!/bin/sh\necho $0 $* >> '{self.used}'\n")
            (self.programs / name).chmod(0o755)

    def fill(self, name: str, html: str) -> str:
        """A page's text with the addresses of what it may try to reach."""
        host = f"127.0.0.1:{self.port}"
        slug = "".join(letter if letter.isalnum() else "-" for letter in name)
        for sign, value in {
            "$URL": f"http://{host}/{slug}/",
            "$HOST": host,
            "$PORT": str(self.port),
            "$FILE": str(self.file),
            "$PAINT": PAINT,
            "$MARK": MARK,
        }.items():
            html = html.replace(sign, value)
        return html

    def alarms(self) -> list[str]:
        """What was reached so far."""
        alarms = [f"connection from {address}" for address in self.connections]
        with contextlib.suppress(BlockingIOError):
            alarms.append(f"datagram {self.datagrams.recv(100)!r}")
        if self.file.stat().st_atime != 1:
            alarms.append("the file was read")
        if self.used.exists():
            alarms.append(self.used.read_text())
        return alarms

    def close(self) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()
        self.datagrams.close()
