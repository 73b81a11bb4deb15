"""A loopback server for `/v1/files` and `/v1/batches`: it answers a batch after a while, and fails as it is told.

    python -m bench.batch_server --seconds 5 --pause 0.2

Prints its address. `GET /counts` says how often each request was submitted in a batch. The ways to fail, each a
keyword with a number or True:
  rate          share of the requests whose line is an error 500
  refused       share whose line is an error 400 that names the content
  missing, duplicate, stray   share left out, answered twice, or joined by a line with an id nobody sent
  expired       share answered before the batch expires (once)
  failed, cancelled           the first batch ends so
  no_list       batches and files cannot be listed
  gone          the first output file cannot be found
  broken        the first answers to uploads, and to creations, break off after the server has done the work
  none          there are no files and batches at all
  dialect       requests with max_tokens are refused
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import re
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

PAGE = 20
TEXT = json.dumps({"agree": "I think so too. " * 4, "disagree": "I do not think so. " * 4})


class BatchServer:
    """Serves until the block is left. `submitted` counts the requests of all batches by their ids."""

    def __init__(self, seconds: float = 0.0, pause: float = 0.0, port: int = 0, **ways: Any) -> None:
        self.seconds, self.pause, self.ways = seconds, pause, ways
        self.lock, self.rng = threading.RLock(), random.Random(5)
        self.files: dict[str, tuple[str, bytes]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.submitted: Counter[str] = Counter()
        self.bodies: dict[str, dict[str, Any]] = {}
        self.events: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                outer._get(self)

            def do_POST(self) -> None:
                outer._post(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> BatchServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def serve(self) -> None:
        """Serves until the process ends."""
        self._server.serve_forever(0.02)

    def _send(self, to: BaseHTTPRequestHandler, found: Any, status: int = 200) -> None:
        data = found if isinstance(found, bytes) else json.dumps(found).encode()
        with contextlib.suppress(ConnectionError):  # the client was killed meanwhile
            to.send_response(status)
            to.send_header("Content-Type", "application/json")
            to.send_header("Content-Length", str(len(data)))
            to.end_headers()
            to.wfile.write(data)

    def _get(self, to: BaseHTTPRequestHandler) -> None:
        with self.lock:
            found, status = self._find(to.path)
        self._send(to, found, status)

    def _find(self, asked: str) -> tuple[Any, int]:
        path, query = urlsplit(asked).path, parse_qs(urlsplit(asked).query)
        if path == "/counts":
            return {"submitted": self.submitted, "batches": len(self.batches)}, 200
        if path in ("/v1/files", "/v1/batches") and not self.ways.get("no_list"):
            return self._page(path, query.get("after", [None])[0]), 200
        if (found := re.fullmatch(r"/v1/batches/(\w+)", path)) and found[1] in self.batches:
            return self._show(self.batches[found[1]]), 200
        found = re.fullmatch(r"/v1/files/(\w+)/content", path)
        gone = found and self.ways.get("gone") and found[1].startswith("output")
        if found and found[1] in self.files and not gone:
            self.events.append("read")
            return self.files[found[1]][1], 200
        return _error(f"no such thing: {path}"), 404

    def _page(self, path: str, after: str | None) -> dict[str, Any]:
        if path == "/v1/files":
            items = [{"id": name, "object": "file", "filename": file[0]} for name, file in self.files.items()]
        else:
            items = [self._show(batch) for batch in self.batches.values()]
        items.reverse()  # the newest first, as there
        if after is not None:
            items = items[[item["id"] for item in items].index(after) + 1 :]
        return {"object": "list", "data": items[:PAGE], "has_more": len(items) > PAGE}

    def _post(self, to: BaseHTTPRequestHandler) -> None:
        raw = to.rfile.read(int(to.headers["content-length"]))
        time.sleep(self.pause / 2)  # a client killed now has sent all, and hears nothing
        with self.lock:
            made, status = self._take(urlsplit(to.path).path, to.headers["content-type"], raw)
            breaks = self.ways.get("broken") and status == 200 and self.events.count(self.events[-1]) == 1
        time.sleep(self.pause / 2)
        if breaks:
            to.close_connection = True
        else:
            self._send(to, made, status)

    def _take(self, path: str, form: str, raw: bytes) -> tuple[dict[str, Any], int]:
        if path == "/v1/files" and not self.ways.get("none"):
            name = re.search(rb'filename="([^"]+)"', raw)
            boundary = form.split("boundary=")[1].strip('"').encode()
            part = next(part for part in raw.split(b"--" + boundary) if b"filename=" in part)
            content = part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            made: dict[str, Any] = {"id": f"file{len(self.files)}", "object": "file"}
            self.files[made["id"]] = (name[1].decode() if name else "", content)
        elif path == "/v1/batches":
            asked = json.loads(raw)
            if asked["input_file_id"] not in self.files:
                return _error(f"no such file: {asked['input_file_id']}"), 400
            made = self._make(asked)
        else:
            return _error(f"no such path: {path}"), 404
        self.events.append(path.rsplit("/", 1)[1])
        return made, 200

    def _make(self, asked: dict[str, Any]) -> dict[str, Any]:
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]][1].splitlines()]
        self.submitted.update(line["custom_id"] for line in lines)
        self.bodies.update({line["custom_id"]: line["body"] for line in lines})
        batch = {
            "id": f"batch{len(self.batches)}",
            "object": "batch",
            "input_file_id": asked["input_file_id"],
            "metadata": asked.get("metadata"),
            "made": time.monotonic(),
            "lines": lines,
        }
        self.batches[batch["id"]] = batch
        return self._show(batch)

    def _show(self, batch: dict[str, Any]) -> dict[str, Any]:
        total = len(batch["lines"])
        share = min(1.0, (time.monotonic() - batch["made"]) / self.seconds) if self.seconds else 1.0
        if share >= 1 and "status" not in batch:
            self._finish(batch)
        shown = {name: value for name, value in batch.items() if name not in ("made", "lines")}
        counts = {"total": total, "completed": int(total * share), "failed": 0}
        return {"status": "in_progress", "request_counts": counts, **shown}

    def _finish(self, batch: dict[str, Any]) -> None:
        lines, ways, first = batch["lines"], self.ways, batch["id"] == "batch0"
        batch["status"] = "completed"
        if first and ways.get("failed"):
            batch["status"] = "failed"
            batch["errors"] = {
                "object": "list",
                "data": [{"code": "token_limit_exceeded", "message": "Enqueued too much."}],
            }
            return
        if first and (ways.get("cancelled") or ways.get("expired")):
            batch["status"] = "cancelled" if ways.get("cancelled") else "expired"
            lines = lines[: int(len(lines) * ways.get("expired", 0.5))]
        good, bad = [], []
        for line in lines:
            kind, response = self._answer(line)
            if kind == "missing":
                continue
            row = {"id": "r", "custom_id": line["custom_id"], "response": response, "error": None}
            (good if response["status_code"] == 200 else bad).append(json.dumps(row))
            if kind == "duplicate":
                good.append(json.dumps(row))
            if kind == "stray":
                good.append(json.dumps({**row, "custom_id": "nobody"}))
        self.rng.shuffle(good)
        for name, rows in (("output", good), ("error", bad)):
            if rows:
                batch[f"{name}_file_id"] = f"{name}{batch['id']}"
                self.files[f"{name}{batch['id']}"] = (f"{name}.jsonl", "\n".join(rows).encode() + b"\n")

    def _answer(self, line: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        draw, kind = self.rng.random(), ""
        for name in ("rate", "refused", "missing", "duplicate", "stray"):
            draw -= self.ways.get(name, 0.0)
            if draw < 0:
                kind = name
                break
        if self.ways.get("dialect") and "max_tokens" in line["body"]:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return "", {"status_code": 400, "body": {"error": {"message": message, "param": "max_tokens"}}}
        if kind == "rate":
            return kind, {"status_code": 500, "body": {"error": {"message": "try again"}}}
        if kind == "refused":
            return kind, {"status_code": 400, "body": {"error": {"message": "no", "code": "content_filter"}}}
        cap = line["body"].get("max_tokens") or line["body"]["max_completion_tokens"]
        short = cap < self.ways.get("cut", 0)
        choice = {"message": {"role": "assistant", "content": TEXT}, "finish_reason": "length" if short else "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}
        return kind, {"status_code": 200, "body": {"model": "bench", "choices": [choice], "usage": usage}}


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error"}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=5.0, help="that a batch takes")
    parser.add_argument("--pause", type=float, default=0.2, help="seconds that an upload and a creation take")
    chosen = parser.parse_args()
    server = BatchServer(chosen.seconds, chosen.pause, chosen.port)
    print(server.base_url, flush=True)
    server.serve()


if __name__ == "__main__":
    main()
