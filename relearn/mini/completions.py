"""The model behind the embedded teacher's server: chat completions as a function of the request.

An answer is a function of (seed, breakage rates, messages, cap, response format): order, concurrency and earlier
requests change nothing.
"""

from __future__ import annotations

import functools
import hashlib
import json
import random
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from relearn.mini import breakage as breaking

Write = Callable[[str, int], tuple[str, str]]

FIELDS = ("agree", "disagree")  # of the records that this teacher knows how to write
# A prompt fences the review with a tag that the review cannot hold; see docs/generation.md.
FENCED = re.compile(r"<review-([0-9a-f]{8,64})>\n(.*)\n</review-\1>", re.DOTALL)
TOKEN = re.compile(r"\w{1,6}|[^\w\s]")


@functools.cache
def version() -> str:
    """A hash of this package's source: a change of the words or of the breakage is another teacher."""
    digest = hashlib.sha256()
    folder = Path(__file__).parent
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def identity(seed: int, breakage: Mapping[str, float]) -> str:
    """What determines this teacher's answers, in place of the address (its port is another every time)."""
    rates = ",".join(f"{kind}={breakage[kind]:g}" for kind in breaking.KINDS if breakage.get(kind))
    return f"embedded/{version()}/seed={seed}/{rates or 'whole'}"


def count_tokens(text: str) -> int:
    """Tokens as this server counts them: pieces of words of up to six letters, and marks."""
    return sum(1 for _ in TOKEN.finditer(text))


def find_review(messages: list[dict[str, Any]]) -> str:
    """The review in the last user message: what is in the fence, or else the whole message."""
    text = ""
    for message in messages:
        if message.get("role") == "user":
            text = read_text(message.get("content"))
    fenced = FENCED.search(text)
    return (fenced.group(2) if fenced else text).strip()


def read_text(content: object) -> str:
    """A message's content as text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):  # parts of a multimodal message
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


class ChatModel(Protocol):
    """What a server answers with."""

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the response to a chat-completions request; ValueError when it is not one."""


def read_request(request: Mapping[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """The messages and the cap on the answer; ValueError when it is not a request that can be answered."""
    messages = request.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise ValueError("'messages' must be a list of messages")
    if not messages:
        raise ValueError("'messages' is empty")
    if request.get("stream"):
        raise ValueError("'stream' is not supported")
    cap = request.get("max_completion_tokens") or request.get("max_tokens") or 4096
    if not isinstance(cap, int):
        raise ValueError("'max_tokens' must be an integer")
    return messages, cap


def make_body(
    request: Mapping[str, Any], digest: str, content: str | None, refusal: str | None, finish: str
) -> dict[str, Any]:
    """The response that holds an answer, its tokens counted."""
    tokens = count_tokens(content if content is not None else refusal or "")
    prompt = sum(4 + count_tokens(read_text(message.get("content"))) for message in request["messages"])
    return {
        "id": f"chatcmpl-{digest[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": str(request.get("model", "mini-teacher")),
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, "refusal": refusal},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": {"prompt_tokens": prompt, "completion_tokens": tokens, "total_tokens": prompt + tokens},
    }


class Teacher:
    """The model behind the server. `write(review, seed)` gives the agreeing and the disagreeing reply."""

    def __init__(self, seed: int, breakage: Mapping[str, float], write: Write | None = None) -> None:
        if write is None:
            from relearn.mini.replies import write as write_replies

            write = write_replies
        self.seed, self.rates, self.words = seed, dict(breakage), write

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The body of the response to a chat-completions request; ValueError when it is not one."""
        messages, cap = read_request(request)
        asked = request.get("response_format")
        form = str(asked.get("type", "none")) if isinstance(asked, dict) else "none"
        form = form if form in breaking.EXCLUDED else "none"

        source = json.dumps([self.seed, messages], sort_keys=True)
        digest = hashlib.sha256(source.encode()).hexdigest()
        rng = random.Random(digest)
        kind = breaking.choose(self.rates, rng.random(), form)
        agree, disagree = self.words(find_review(messages), self.seed)
        said = breaking.write(agree, disagree, kind, rng, form)
        content, finish = self._cut(said, disagree, cap)
        return make_body(request, digest, content, said.refusal, finish)

    @staticmethod
    def _cut(said: breaking.Written, loop: str, cap: int) -> tuple[str | None, str]:
        """The text under a cap on tokens, and its finish reason."""
        content = said.content
        if content is None:
            return None, "stop"
        if said.endless:
            once = json.dumps(loop or "And again.", ensure_ascii=False)[1:-1] + " "
            content += once * (cap // max(1, count_tokens(once)) + 1)
        for number, token in enumerate(TOKEN.finditer(content)):
            if number == cap:
                return content[: token.start()], "length"
        return content, "stop"
