"""A chat-completions server with nothing in it but a delay: what remains of a benchmark is the client.

    python -m bench.lean_server --latency 0.3 [--arrivals]

Prints its address. The answer is always the same; a byte-level HTTP/1.1 reader keeps its own cost
at some tens of microseconds a request. `GET /count` says how many requests have arrived.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time

ANSWER = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 0,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": json.dumps({"agree": "I think so too. " * 8, "disagree": "I do not think so. " * 8}),
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 200, "completion_tokens": 100, "total_tokens": 300},
    }
).encode()


def _response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


WHOLE = _response(ANSWER)


class Lean(asyncio.Protocol):
    """One connection; requests on it come one after the other."""

    latency = 0.0
    arrivals: list[float] | None = None  # times of arrival, when they are wanted
    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            head = self.buffer[:end].lower()
            length = 0
            for line in head.split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            self.asked(head)

    def asked(self, head: bytes) -> None:
        if head.startswith(b"get /count"):
            self.send(_response(str(Lean.count).encode()))
            return
        if head.startswith(b"get /arrivals"):
            self.send(_response(json.dumps(Lean.arrivals or []).encode()))
            return
        Lean.count += 1
        if Lean.arrivals is not None:
            Lean.arrivals.append(time.monotonic())
        if self.latency:
            asyncio.get_running_loop().call_later(self.latency, self.send, WHOLE)
        else:
            self.send(WHOLE)

    def send(self, response: bytes) -> None:
        transport = self.transport
        assert isinstance(transport, asyncio.Transport)
        if not transport.is_closing():
            transport.write(response)


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Lean, "127.0.0.1", port, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds an answer takes")
    parser.add_argument("--arrivals", action="store_true", help="keep the times of arrival for GET /arrivals")
    options = parser.parse_args()
    Lean.latency = options.latency
    Lean.arrivals = [] if options.arrivals else None
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.port))


if __name__ == "__main__":
    main()
