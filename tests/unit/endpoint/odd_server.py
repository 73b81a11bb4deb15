"""A server on loopback that answers as a function of the test says."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# (the body, which time its messages are asked) → (status, body)
Answer = Callable[[dict[str, Any], int], tuple[int, Any]]


def completion(content: Any, finish: str | None = "stop", **choice: Any) -> dict[str, Any]:
    """A completion with this content, or with this message."""
    message = content if isinstance(content, dict) and "role" in content else {"role": "assistant", "content": content}
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    return {"model": "m", "choices": [{"message": message, "finish_reason": finish, **choice}], "usage": usage}


class OddServer:
    """Runs until the block is left; `bodies` are what arrived, `paths` where, `headers` with what."""

    def __init__(self, answer: Answer, headers: Mapping[str, str] | None = None) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        asked: Counter[str] = Counter()
        lock = threading.Lock()
        outer, more = self, dict(headers or {})

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                with lock:
                    name = json.dumps(body["messages"][-1]["content"])
                    asked[name] += 1
                    nth = asked[name]
                    outer.bodies.append(body)
                    outer.paths.append(self.path)
                    outer.headers.append(dict(self.headers.items()))
                status, found = answer(body, nth)
                data = (found if isinstance(found, str) else json.dumps(found)).encode()
                self.send_response(status)
                for key, value in {"Content-Type": "application/json", **more}.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> OddServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
