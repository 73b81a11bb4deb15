"""What went wrong with an exchange, and what follows from it: try again, give this request up, or stop the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Verdict = Literal["retry", "give_up", "stop", "no_format", "filtered"]

STOPPING_CODES = {
    "insufficient_quota": "quota",
    "billing_hard_limit_reached": "quota",
    "billing_not_active": "quota",
    "invalid_api_key": "auth",
    "model_not_found": "unknown_model",
}
TODO = {
    "auth": "check the key in the environment variable that generate.teacher.api_key_env names",
    "quota": "add credit or raise the account's limit, then run again",
    "unknown_model": "check generate.model and generate.teacher.base_url",
    "redirect": "check generate.teacher.base_url",
}


class Failed(Exception):
    """An exchange that gave no answer.

    `kind` is what it is counted as; `detail` one line without the key; `wait` the seconds the server asks for;
    `billed` says that the server may have done the work, and charge for it, all the same.
    """

    def __init__(
        self, kind: str, detail: str, verdict: Verdict = "retry", wait: float | None = None, billed: bool = False
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.verdict, self.wait, self.billed = kind, detail, verdict, wait, billed


def redact(text: str, secret: str, limit: int = 300) -> str:
    """The text on one line, shortened, with the key blotted out: servers echo keys in their error messages."""
    if secret:
        text = text.replace(secret, "[key]")
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def classify_status(status: int, error: Mapping[str, Any], text: str, wait: float | None, format_asked: bool) -> Failed:
    """The failure that an HTTP status of 300 and above stands for.

    `error` is the `error` object of the body ({} where there is none), `text` its message.
    """
    code = str(error.get("code") or "")
    kind_named = str(error.get("type") or "")
    detail = f"HTTP {status}: {text}" if text else f"HTTP {status}"
    stopping = STOPPING_CODES.get(code) or STOPPING_CODES.get(kind_named)
    if stopping:
        return Failed(stopping, detail, "stop")
    if status in (401, 403):
        return Failed("auth", detail, "stop")
    if status == 402:
        return Failed("quota", detail, "stop")
    if status == 404:
        return Failed("unknown_model", detail, "stop")
    if 300 <= status < 400:
        return Failed("redirect", detail, "stop")
    if status in (400, 422):
        about = f"{error.get('param') or ''} {text}".lower()
        if format_asked and any(word in about for word in ("response_format", "json_schema", "json_object")):
            return Failed("format_refused", detail, "no_format")
        if code == "content_filter" or kind_named == "content_filter":
            return Failed("content_filter", detail, "filtered")
        return Failed("bad_request", detail, "give_up")
    if status == 429:
        return Failed("rate_limit", detail, "retry", wait)
    if status in (408, 409, 425) or status >= 500:
        return Failed(f"http_{status}", detail, "retry", wait)
    return Failed(f"http_{status}", detail, "give_up")
