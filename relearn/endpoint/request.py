"""What is asked of a chat-completions server, what comes back, and the key under which the two are remembered."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from relearn.errors import InputError
from relearn.finish_reasons import read_ending

_SECRET = re.compile(
    r"(api|access|subscription|auth)?[_-]?(key|token)|sig|signature|secret|code|password", re.IGNORECASE
)
Message = tuple[str, str]  # role, content


@dataclass(frozen=True)
class Address:
    """Where a server is, who asks, and what determines its answers.

    `identity` stands for the server in keys: the address itself, or, for a server whose port is another every
    time, whatever decides its answers. The key never shows in a repr.
    """

    base_url: str
    api_key: str = field(repr=False)
    identity: str

    @classmethod
    def of(cls, base_url: str, api_key: str, identity: str | None = None) -> Address:
        """Checks and normalises the address; InputError when it holds credentials or is none."""
        try:
            parts = urlsplit(base_url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise InputError("base_url is not an address; write it like https://api.openai.com/v1") from None
        if parts.scheme not in ("http", "https") or not host:
            raise InputError("base_url is not an address; write it like https://api.openai.com/v1")
        if parts.username or parts.password:
            raise InputError("base_url holds a user name or password; give the key in the environment instead")
        if not (api_key.isascii() and api_key.isprintable()):
            raise InputError("the API key holds characters that no HTTP header can; copy it again")
        secret = next((name for name, _ in parse_qsl(parts.query) if _SECRET.fullmatch(name)), None)
        if secret is not None:
            raise InputError(f"base_url holds a key ({secret}); give the key in the environment instead")
        host = f"[{host}]" if ":" in host else host
        where = f"{host}:{port}" if port else host
        url = urlunsplit((parts.scheme.lower(), where, parts.path.rstrip("/"), parts.query, ""))
        return cls(url, api_key, identity or url)

    @property
    def loopback(self) -> bool:
        """Whether the server runs on this machine: no proxy is asked then."""
        return urlsplit(self.base_url).hostname in ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Request:
    """One request. `response_format` is OpenAI's object or None; `repeat` tells apart samples of one request.

    `extra` are further fields of the body that not every server knows (seed, top_k, reasoning_effort, chat_template_kwargs).
    `label` names it to people (a review's id) and is no part of what is asked.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float
    max_tokens: int
    response_format: dict[str, Any] | None = None
    repeat: int = 0
    extra: tuple[tuple[str, Any], ...] = ()
    label: str = field(default="", compare=False)

    def body(self) -> dict[str, Any]:
        """The JSON body that is sent."""
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": role, "content": content} for role, content in self.messages],
            "temperature": self.temperature,
            "max_tokens": self.max_tokens,
        }
        if self.response_format is not None:
            body["response_format"] = self.response_format
        return {**body, **dict(self.extra)}

    def digest(self) -> str:
        """SHA-256 (hex) of what is asked, whoever is asked."""
        return _sha({**self.body(), "repeat": self.repeat})

    def key(self, identity: str) -> str:
        """SHA-256 (hex) of everything that determines the answer: what is asked, and of whom."""
        return _sha([identity, self.digest()])

    def with_cap(self, max_tokens: int) -> Request:
        """The same request under another cap."""
        return replace(self, max_tokens=max_tokens)

    @property
    def size(self) -> int:
        """Bytes of the messages in UTF-8, on which estimates of prompt tokens rest."""
        return sum(len(content.encode("utf-8", "surrogatepass")) for _, content in self.messages)


@dataclass(frozen=True)
class ServerAnswer:
    """What a server answered, as it is: nothing here is repaired.

    `formatted` is False when the server refused the response format and was asked with a lesser one, or none. Token counts are
    None where the server states none; the completion's include reasoning. `raw` is the message as JSON where it
    holds more than a text: parts, tool calls, reasoning, lone surrogates, or the error that refused the content.
    `dialect` is how the request was put, where that is not how the profile puts it (`Dialect.dump`); `batched` says that
    it came in a batch, at a batch's price.
    """

    content: str | None
    finish_reason: str | None
    refusal: str | None
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    formatted: bool = True
    raw: str | None = None
    dialect: str | None = None
    batched: bool = False

    @property
    def cut(self) -> bool:
        """Whether the cap on tokens ended it."""
        return read_ending(self.finish_reason) == "cut"


def next_cap(cap: int, limit: int) -> int | None:
    """The cap to ask with after an answer was cut at `cap`: twice as much, up to `limit`; None at the limit."""
    return min(2 * cap, limit) if cap < limit else None


def _sha(value: object) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))  # ASCII: a lone surrogate is not an error
    return hashlib.sha256(text.encode()).hexdigest()
