"""A chat-completions server on loopback that serves models by name: functions of the request's body."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Body = dict[str, Any]
Reply = tuple[str | None, str]  # content, finish_reason


class Served:
    """A context manager. `bodies` are the requests that arrived, in order; an unknown model is refused as vLLM does."""

    def __init__(self, models: Mapping[str, Callable[[Body], Reply]], fail_first: int = 0) -> None:
        self.models, self.fail_first = models, fail_first
        self.bodies: list[Body] = []
        self.keys: set[str] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Served:
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with served._lock:
                    served.bodies.append(body)
                    served.keys.add(self.headers.get("Authorization", ""))
                    status, answer = served._answer(self.path, body)
                raw = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base_url = f"http://127.0.0.1:{self._http.server_port}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _answer(self, path: str, body: Body) -> tuple[int, Body]:
        if path != "/v1/chat/completions":
            return 404, {"error": {"message": f"no {path}"}}
        if self.fail_first:
            self.fail_first -= 1
            return 503, {"error": {"message": "busy"}}
        if body["model"] not in self.models:
            message = f"The model `{body['model']}` does not exist."
            return 404, {"error": {"message": message, "type": "NotFoundError", "code": 404}}
        content, finish = self.models[body["model"]](body)
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": finish}
        usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
        return 200, {"model": body["model"], "choices": [choice], "usage": usage}
