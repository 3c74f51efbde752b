"""What answers in the place of a Pod that kwok only says is there: every address of Pods is this machine's (run.py)."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Tells what it was asked, and at which address."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        address, port = self.connection.getsockname()[:2]
        said = {"pod": address, "port": port, "path": self.path, "headers": dict(self.headers.items())}
        text = json.dumps(said).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def answer(port: int) -> ThreadingHTTPServer:
    """Answer on a port of every Pod's address."""
    server = ThreadingHTTPServer(("0.0.0.0", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
