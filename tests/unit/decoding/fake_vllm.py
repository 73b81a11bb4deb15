"""Takes vLLM's place in tests: a program that reads vLLM's options and answers a few of its paths.

FAKE says what it does otherwise: `dies` before it answers, `hangs` without a port, `quits` when it is asked to chat. Like
vLLM's engine, a process of its own is below it, which ignores SIGTERM; FAKE_PIDS takes the numbers of both. FAKE_TOKENS is
what it makes of any prompt. The name of an adapter decides its answers and, by its length, its likelihoods.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MODE = os.environ.get("FAKE", "")
ENGINE = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.answer({"data": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self.answer({"tokens": json.loads(os.environ["FAKE_TOKENS"])})
        elif self.path == "/v1/completions":
            prompt = body["prompt"]
            logprobs = [None] + [{str(token): {"logprob": -1.0 * len(body["model"])}} for token in prompt[1:]]
            choice = {"index": 0, "text": "", "finish_reason": "length", "prompt_logprobs": logprobs}
            if MODE == "forgets":
                del choice["prompt_logprobs"]
            self.answer({"id": "c", "object": "text_completion", "created": 0, "model": "m", "choices": [choice]})
        elif MODE == "quits":
            print("EngineDeadError: the engine died", flush=True)
            os._exit(1)
        else:
            content = f"{body['model']}: {body['messages'][0]['content']} {body['stop_token_ids']}"
            message = {"role": "assistant", "content": content}
            self.answer(
                {"model": body["model"], "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            )

    def answer(self, found: dict[str, Any]) -> None:
        allowed = self.headers["Authorization"] == f"Bearer {os.environ['VLLM_API_KEY']}"
        raw = json.dumps(found if allowed else {"error": {"message": "Unauthorized"}}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: Any) -> None:
        pass


if __name__ == "__main__":
    print(" ".join(sys.argv[1:]), flush=True)
    engine = subprocess.Popen([sys.executable, "-c", ENGINE])
    if pids := os.environ.get("FAKE_PIDS"):
        Path(pids).write_text(f"{os.getpid()} {engine.pid}")
    if MODE == "dies":
        print("\x1b[31mValueError: No module named vllm\x1b[0m\n", flush=True)
        sys.exit(1)
    if MODE == "hangs":
        print("Loading weights", flush=True)
        time.sleep(600)
    port = int(sys.argv[sys.argv.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
