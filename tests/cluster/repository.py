"""The repository as Argo CD sees it: a clone that tests commit to, served by git over HTTPS at the address that is compiled."""

from __future__ import annotations

import gzip
import os
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent.parent
WHO = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.com", "GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.com",
       "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}  # fmt: skip


class Repository:
    """compiled/ and argocd/ of the working tree, committed; what is pushed is what Argo CD reads."""

    def __init__(self, folder: Path, authority: Path, path: str = "platform/matrix-fleet.git") -> None:
        """authority: whose certificate it is served with"""
        self.authority = authority
        self.bare, self.work = folder / "git" / path, folder / "work"
        self.root = folder / "git"
        for old in (self.root, self.work):
            shutil.rmtree(old, ignore_errors=True)
        self.bare.mkdir(parents=True)
        self.work.mkdir()
        self.git("init", "-q", "--bare", "-b", "main", where=self.bare)
        self.git("init", "-q", "-b", "main")
        self.git("remote", "add", "origin", str(self.bare))
        self.put(TOP)
        self.commit("the fleet as it is")

    def git(self, *words: str, where: Path | None = None) -> str:
        """A git command in the clone."""
        env = {**os.environ, **WHO}
        done = subprocess.run(
            ["git", *words], cwd=where or self.work, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def put(self, top: Path) -> None:
        """The compiled files of another tree in this one's place."""
        for name in ("compiled", "argocd"):
            shutil.rmtree(self.work / name, ignore_errors=True)
            shutil.copytree(top / name, self.work / name)

    def commit(self, message: str) -> str:
        """Commit and push all of the clone; the commit."""
        self.git("add", "-A")
        if self.git("status", "--porcelain"):
            self.git("commit", "-q", "-m", message)
            self.git("push", "-q", "origin", "main")
        return self.head()

    def head(self) -> str:
        """The last commit."""
        return self.git("rev-parse", "HEAD")

    def path(self, *parts: str) -> Path:
        """A path in the clone."""
        return self.work.joinpath(*parts)


class Handler(BaseHTTPRequestHandler):
    """git's own server program behind HTTP."""

    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self) -> None:
        self.answer(b"")

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.answer(body)

    def answer(self, body: bytes) -> None:
        """Ask `git http-backend`, by CGI."""
        path, _, query = self.path.partition("?")
        env = {
            **os.environ,
            **WHO,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        status, headers = 200, []
        for line in head.decode().splitlines():
            name, _, value = line.partition(": ")
            if name == "Status":
                status = int(value.split()[0])
            else:
                headers.append((name, value))
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def serve(root: Path, certificate: str, key: str) -> ThreadingHTTPServer:
    """The folder's repositories at https://git.example.com/."""
    handler = type("Served", (Handler,), {"root": root})
    server = ThreadingHTTPServer(("127.0.0.1", 443), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
