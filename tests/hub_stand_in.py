"""The part of the Hugging Face Hub's API that an upload asks, on this machine.

After huggingface_hub 1.33: create, look up, preupload, LFS batch, the files themselves, commit.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

TOKEN = "hf_standin"
LFS = (".gguf",)


class Hub(ThreadingHTTPServer):
    """`repos` are by name whether each is private, `files` what lies in each, `asked` every path.

    `refuse` is a status with which everything is answered.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.repos: dict[str, bool] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.tokens: set[str | None] = set()
        self.refuse: int | None = None


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing is said."""

    def answer(self, told: Any, status: int = 200) -> None:
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def begun(self) -> bool:
        """Note the request; False where it is refused."""
        self.server.asked.append(f"{self.command} {self.path}")
        if self.command == "HEAD":
            return True
        if self.server.refuse:
            self.body()
            self.answer({"error": "no"}, self.server.refuse)
            return False
        if not self.path.startswith("/blobs/"):
            self.server.tokens.add(self.headers.get("Authorization"))
        return True

    def do_HEAD(self) -> None:
        if self.begun():
            self.answer({})

    def do_GET(self) -> None:
        if self.begun():
            self.look_up()

    def look_up(self) -> None:
        name = self.path.removeprefix("/api/models/").partition("?")[0]
        name = name.removesuffix("/revision/main")
        if name not in self.server.repos:
            self.answer({"error": "not found"}, 404)
        else:
            private = self.server.repos[name]
            self.answer({"_id": "1", "id": name, "private": private, "siblings": [], "tags": []})

    def do_PUT(self) -> None:
        if self.begun():
            self.server.blobs[self.path.removeprefix("/blobs/")] = self.body()
            self.answer({})

    def do_POST(self) -> None:
        if not self.begun():
            return
        path, body = self.path.partition("?")[0], self.body()
        if path == "/api/repos/create":
            self.create(json.loads(body))
        elif path == "/api/validate-yaml":
            self.answer({"errors": [], "warnings": []})
        elif found := re.fullmatch(r"/api/models/(.+)/preupload/main", path):
            self.answer({"files": [_mode(each) for each in json.loads(body)["files"]]})
        elif path.endswith(".git/info/lfs/objects/batch"):
            self.batch(json.loads(body))
        elif found := re.fullmatch(r"/api/models/(.+)/commit/main", path):
            self.commit(found[1], [json.loads(line) for line in body.splitlines()])
        else:
            self.answer({"error": f"the stand-in knows no {path}"}, 404)

    def create(self, told: dict[str, Any]) -> None:
        name = "/".join(filter(None, (told.get("organization") or "me", told["name"])))
        there = name in self.server.repos
        if not there:
            self.server.repos[name] = told.get("visibility") == "private"
            self.server.files[name] = {}
        self.answer({"url": f"{self.server.url}/{name}"}, 409 if there else 200)

    def batch(self, told: dict[str, Any]) -> None:
        upload = [
            {**each, "actions": {"upload": {"href": f"{self.server.url}/blobs/{each['oid']}"}}}
            for each in told["objects"]
        ]
        self.answer({"transfer": "basic", "objects": upload})

    def commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        kept = self.server.files[name]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                kept[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                kept[value["path"]] = self.server.blobs[value["oid"]]
        url = f"{self.server.url}/{name}/commit/1"
        self.answer({"success": True, "commitOid": "1", "commitUrl": url, "hookOutput": ""})


def _mode(file: dict[str, Any]) -> dict[str, Any]:
    mode = "lfs" if file["path"].endswith(LFS) else "regular"
    return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": None}


@contextmanager
def hub() -> Iterator[Hub]:
    """The Hub, running."""
    made = Hub()
    Thread(target=made.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
