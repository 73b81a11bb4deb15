"""What went wrong with an exchange, and what follows: try again, give up this request, or stop the run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from relearn.endpoint.limits import parse_duration

# doubtful: stops a run that has no answer yet, else gives up this request.
Verdict = Literal["retry", "give_up", "stop", "doubtful", "filtered"]

# {model}, {server} and {key}: the settings to look at, by their names (`tally.SettingNames`)
TODO = {
    "auth": "check the key in the environment variable that {key} names",
    "forbidden": "check the key in the environment variable that {key} names, and its permissions",
    "quota": "add credit or raise the account's limit, then run again",
    "unknown_model": "check {model} and {server}",
    "daily_limit": "run again tomorrow, or raise the account's limit",
    "redirect": "check {server}",
}
# A wait longer than this is a daily limit: the run stops rather than hang on.
LONGEST_WAIT_S = 900.0


class Failed(Exception):
    """An exchange that gave no answer.

    `kind` is what it is counted as; `detail` one line without the key; `wait` the seconds the server asks for;
    `billed` says that the server may have done the work, and charge for it, all the same. `problem` is the error
    as the server put it, `raw` the text that came with it, `status` that of HTTP.
    """

    def __init__(
        self,
        kind: str,
        detail: str,
        verdict: Verdict = "retry",
        wait: float | None = None,
        billed: bool = False,
        problem: Problem | None = None,
        raw: str | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind, self.detail, self.verdict, self.wait, self.billed = kind, detail, verdict, wait, billed
        self.problem, self.raw, self.status = problem, raw, status


@dataclass(frozen=True)
class Problem:
    """An error object. `names` are its codes and types, `a_b c`; `status` is the HTTP status it names, if any."""

    message: str = ""
    names: str = ""
    param: str = ""
    status: int | None = None
    wait: float | None = None
    generated: str | None = None  # text that was made, and paid for, before it failed


_MESSAGES = ("message", "msg", "detail", "error_msg", "errmsg", "error_message", "status_msg", "Message")
_NAMED = ("code", "type", "status", "error_type", "error_code", "reason", "Code", "block_reason", "blockReason")
_STATUSES = ("code", "status", "status_code", "statusCode", "http_status", "http_code")


def find_problem(body: object) -> Problem | None:
    """The error that a body holds, in whatever shape servers and gateways give it; None where there is none."""
    if isinstance(body, list):
        return next(filter(None, map(find_problem, body)), None)
    if not isinstance(body, dict):
        return None
    for name in ("promptFeedback", "prompt_feedback"):
        feedback = body.get(name)
        if isinstance(feedback, dict) and (feedback.get("blockReason") or feedback.get("block_reason")):
            return _read_problem({"message": "the prompt was blocked", **feedback, "code": "content_filter"})
    for name in ("error", "errors", "Error", "Response", "base_resp"):
        inner = body.get(name)
        if isinstance(inner, list):
            inner = next((each for each in inner if each), None)
        if isinstance(inner, dict) and inner:
            if name == "Response":
                return find_problem(inner)
            if name != "base_resp" or inner.get("status_code"):
                return _read_problem(inner)
        elif isinstance(inner, str) and inner.strip():
            return _read_problem({**body, "message": inner})
    if "choices" in body or not any(body.get(name) for name in _MESSAGES if name != "Message"):
        return None
    message = body.get("message")
    return None if isinstance(message, dict) and "content" in message else _read_problem(body)


def _read_problem(error: Mapping[str, Any]) -> Problem:
    message = next((error[name] for name in _MESSAGES if error.get(name)), "")
    param = error.get("param")
    if isinstance(message, list):  # FastAPI's: [{"loc": ["body", "max_tokens"], "msg": …}]
        parts = [part for part in message if isinstance(part, dict)]
        if parts and isinstance(parts[0].get("loc"), list):
            param = ".".join(str(step) for step in parts[0]["loc"] if step != "body")
        message = "; ".join(str(part.get("msg") or part) for part in parts) or str(message)
    elif not isinstance(message, str):
        message = json.dumps(message)
    known: list[str] = []
    status, wait = None, None
    for name, value in _leaves(error):
        if name in _STATUSES and status is None and str(value).isdigit() and 300 <= int(value) < 600:
            status = int(value)
        if name in _NAMED and isinstance(value, str):
            known.append(_name(value))
        if name in ("flagged_input", "content_filter_result", "contentFilter"):
            known.append("flagged")
        if name in ("retryDelay", "retry_after") and wait is None:
            wait = parse_duration(str(value))
        if name == "raw" and isinstance(value, str) and value not in message:
            message = f"{message}: {value}"
    if wait is None and (found := re.search(r"(?:re)?try (?:again )?(?:in|after) ([\d.]+ ?m?[smh]\w*)", message)):
        wait = parse_duration(re.sub(r" ?(ms|[smh])\w*$", r"\1", found[1]))
    generated = error.get("failed_generation")
    return Problem(
        message, " ".join(known), str(param or ""), status, wait, generated if isinstance(generated, str) else None
    )


def _leaves(value: Mapping[str, Any], depth: int = 4) -> Iterator[tuple[str, Any]]:
    """(name, value) of everything in an object, the outermost first."""
    inner: list[Mapping[str, Any]] = []
    for name, item in value.items():
        items = item if isinstance(item, list) else [item]
        below = [each for each in items if isinstance(each, dict)]
        inner += below
        if item and (not below or name in ("content_filter_result", "contentFilter")):
            yield str(name), item
    if depth:
        for each in inner:
            yield from _leaves(each, depth - 1)


def _name(text: str) -> str:
    """`DataInspectionFailed`, `data-inspection-failed` → `data_inspection_failed`."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text[:100]).lower()).strip("_")


def blot_out(text: str, secret: str) -> str:
    """The text without the key."""
    return text.replace(secret, "[key]") if secret else text


def redact(text: str, secret: str, limit: int = 300) -> str:
    """The text on one line, shortened, with the key blotted out: servers echo keys in their error messages."""
    text = " ".join(blot_out(text, secret).encode("utf-8", "backslashreplace").decode().split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


# (kind, verdict, names that mean it at any status, words that mean it in the message of a 4xx), the first that fits.
_RULES: tuple[tuple[str, Verdict, str, str], ...] = (
    (
        "quota",
        "stop",
        r"insufficient_(user_)?(quota|balance|credits?|funds)|billing_\w+|exceeded_current_quota_error|arrearage"
        r"|account_overdue\w*|payment_required",
        r"insufficient (user )?(quota|balance|credit|funds)|credit balance is too low|key limit exceeded"
        r"|out of credits|account .{0,40}(overdue|in arrears)",
    ),
    (
        "auth",
        "stop",
        r"invalid_api_key|api_key_invalid|invalid_authentication\w*|authentication_error|unauthenticated"
        r"|unauthorized|account_(deactivated|suspended)|unsupported_country\w*",
        r"(invalid|incorrect|missing|expired|wrong|no) (api|access)[ _-]?(key|token)"
        r"|(api|access)[ _-]?(key|token) (is |was )?(not valid|invalid|incorrect|missing|expired|required)"
        r"|account .{0,40}(suspended|deactivated|banned|disabled)",
    ),
    (
        "unknown_model",
        "stop",
        r"model_not_(found|exists?)|unknown_model|deployment_not_found",
        r"model\b.{0,80}(not exist|not found|not a valid model|unknown model)|not a valid model|unknown model",
    ),
    (
        "invalid_output",
        "retry",
        r"json_validate_failed|output_parse_failed|tool_use_failed",
        r"failed to (generate|validate|parse) (json|the (output|answer))",
    ),
    (
        "content_filter",
        "filtered",
        r"content_(filter|polic|safety|block|risk|moderat)\w*|data_inspection\w*|moderation\w*|prohibited_content"
        r"|responsible_ai\w*|sensitive\w*|safety|invalid_prompt|flagged|input_safety\w*|image_safety|guardrail\w*"
        r"|risk_control\w*|jailbreak|recitation|spii|blocklist|policy_violation|censor\w*",
        r"flagged|content[ _-]?(management |usage |moderation )?polic|usage (polic|guideline)|safety (system|polic|filter"
        r"|reason|guideline|check)|content[ _-]?(filter|inspection|moderation|safety|review|risk)|moderation"
        r"|guardrail|exists? risk|(inappropriate|prohibited|sensitive|harmful|unsafe|disallowed|illegal|offensive) "
        r"(content|use|words?|information|material|input|prompt)|violat\w+ .{0,40}polic"
        r"|(prompt|content|input|message|text) .{0,30}(blocked|rejected|refused)|敏感|违规|不安全|不合规|风险",
    ),
)
# What may be said of a content, where nothing is said of the key, the account or how the request is put.
_WEAK = r"firewall|injection|toxic|violen|\bhate|sexual|self-harm|nsfw|unsafe|not safe|harm|abus|polic(y|ies)\b|blocked|illegal"
_OTHER = (
    r"model|plan|region|country|permission|account|organi[sz]ation|key|token|param|schema|format|json|\bip\b|rate|^<"
)
_RATE = r"rate_limit\w*|too_many_requests|resource_exhausted|throttl\w*|limit_requests|limit_burst\w*|qps\w*"
_BUSY = r"overloaded\w*|server_error|api_error|internal\w*|\w*unavailable\w*|\w*timeout\w*|bad_gateway|\w*upstream\w*"


def classify(status: int, problem: Problem, text: str, wait: float | None = None, headed: str | None = None) -> Failed:
    """The failure that a status of 300 and above, and the error that came with it, stand for.

    `text` is the message, without the key; `headed` what is put before it (`HTTP 400` by default).
    """
    headed = f"HTTP {status}" if headed is None else headed
    detail = ": ".join(filter(None, (headed, text)))
    wait = problem.wait if wait is None else wait

    def failed(kind: str, verdict: Verdict, wait: float | None = None) -> Failed:
        if wait is not None and wait > LONGEST_WAIT_S and verdict == "retry":
            kind, verdict, wait = "wait_too_long", "stop", None
            told = f"the server asks to wait {asked:.0f} s ({detail})"
            return Failed(kind, told, verdict, problem=problem)
        made = problem.generated
        return Failed(kind, detail, verdict, wait, made is not None, problem, made)

    asked = wait or 0.0
    names, message = problem.names, problem.message
    told = 400 <= status < 500 and status not in (401, 402, 404, 408, 409, 425, 429)
    for kind, verdict, named, said in _RULES:
        heard = told or (status == 500 and kind == "content_filter")
        if re.search(rf"(?:\b|_)({named})\b", names) or (heard and re.search(said, message, re.IGNORECASE)):
            return failed(kind, verdict)
    if told and re.search(_WEAK, message, re.IGNORECASE) and not re.search(_OTHER, message, re.IGNORECASE):
        return failed("content_filter", "filtered")
    if status == 401:
        return failed("auth", "stop")
    if status == 403:
        return failed("forbidden", "doubtful")
    if status == 402:
        return failed("quota", "stop")
    if status == 404:
        return failed("unknown_model", "stop")
    if 300 <= status < 400:
        return failed("redirect", "stop")
    if status == 429:
        if wait is None and re.search(r"per[ _-]?day|daily|\bRPD\b", f"{names} {message}", re.IGNORECASE):
            return failed("daily_limit", "stop")
        return failed("rate_limit", "retry", wait)
    if status in (408, 409, 425) or status >= 500:
        return failed(f"http_{status}", "retry", wait)
    if status in (400, 422):
        return failed("bad_request", "give_up")
    return failed(f"http_{status}", "give_up")


def guess_status(problem: Problem) -> int:
    """The HTTP status that an error under status 200 would have had: its own, or by its name; 502 for none."""
    if problem.status is not None:
        return problem.status
    for status, named, said in ((429, _RATE, r"rate limit|too many requests"), (503, _BUSY, r"overloaded")):
        if re.search(rf"(?:\b|_)({named})\b", problem.names) or re.search(said, problem.message, re.IGNORECASE):
            return status
    return 400 if "invalid_request" in problem.names else 502
