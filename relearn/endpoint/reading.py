"""The body of a chat completion, in the shapes that servers and gateways give it: to an answer, or to a `Failed`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from relearn.endpoint.errors import Failed, Problem, blot_out, classify, find_problem, guess_status, redact
from relearn.endpoint.request import ServerAnswer
from relearn.finish_reasons import read_ending

_SURROGATE = re.compile("[\ud800-\udfff]")
_REASONING = {"thinking", "reasoning", "redacted_thinking", "reasoning_text", "thought", "analysis"}


def read_body(raw: bytes, model: str, secret: str) -> ServerAnswer:
    """The answer in a body of status 200. Failed when it holds none, or one that broke off at the server."""
    try:
        body: Any = json.loads(raw)
    except (ValueError, RecursionError):
        shown = redact(raw[:80].decode("utf-8", "replace"), secret)
        raise Failed("not_json", f"the body is not JSON: {shown!r}", billed=True) from None
    return read_completion(body, model, secret)


def read_completion(body: object, model: str, secret: str) -> ServerAnswer:
    """`read_body` for a body that is parsed already."""
    choice = _find_choice(body)
    problem = None if choice is not None and not (isinstance(body, dict) and body.get("error")) else find_problem(body)
    if problem is not None:
        failed = classify(guess_status(problem), problem, redact(problem.message, secret), headed="")
        failed.billed = failed.billed or choice is not None
        failed.raw = failed.raw or blot_out(dump_raw(body), secret)
        raise failed
    if choice is None or not isinstance(body, dict):
        raise Failed("no_choices", "the answer holds no choices", billed=True, raw=dump_raw(body))
    finish = next((choice[name] for name in _FINISH if isinstance(choice.get(name), str) and choice[name]), None)
    _refuse_broken(choice, finish, secret)
    message = choice.get("message") or choice.get("delta")
    if not isinstance(message, dict):
        if isinstance(choice.get("text"), str):
            message = {"role": "assistant", "content": choice["text"]}
        elif read_ending(finish) in ("cut", "refused"):
            message = {}
        else:
            raise Failed("no_choices", "the first choice holds no message", billed=True, raw=dump_raw(body))
    content, refusal = _read_text(message.get("content")), message.get("refusal")
    if not refusal and isinstance(message.get("content"), list):
        refusal = next(
            (part["refusal"] for part in message["content"] if isinstance(part, dict) and part.get("refusal")), None
        )
    prompt, completion = _count_tokens(body.get("usage"))
    served = body.get("model")
    return ServerAnswer(
        content=content,
        finish_reason=finish,
        refusal=refusal if isinstance(refusal, str) and refusal else None,
        model=served if isinstance(served, str) and served else model,
        prompt_tokens=prompt,
        completion_tokens=completion,
        raw=None if _is_plain(message) else dump_raw(message),
    )


_FINISH = ("finish_reason", "finishReason", "native_finish_reason", "done_reason")


def _find_choice(body: object) -> dict[str, Any] | None:
    if not isinstance(body, dict):
        return None
    choices = body.get("choices")
    if isinstance(choices, list) and choices:
        return choices[0] if isinstance(choices[0], dict) else None
    message = body.get("message")
    # Ollama's own API answers with one message.
    return body if isinstance(message, dict) and "content" in message else None


def _refuse_broken(choice: Mapping[str, Any], finish: str | None, secret: str) -> None:
    """Raises the failure of an answer that broke off upstream; what had come is in it."""
    error = choice.get("error")
    if error:
        problem = find_problem({"error": error}) or Problem(json.dumps(error))
        failed = classify(guess_status(problem), problem, redact(problem.message, secret), headed="upstream")
        if failed.verdict != "filtered" and failed.kind != "rate_limit":
            # The key that failed here, or the model unknown, is the gateway's and not ours.
            failed = Failed("upstream", failed.detail, problem=problem)
    elif read_ending(finish) == "failed":
        failed = Failed("upstream", f"the server ended the answer with {finish!r}")
    else:
        return
    failed.billed, failed.raw = True, blot_out(dump_raw(choice), secret)
    raise failed


def _read_text(content: object) -> str | None:
    """The text of a message's content: a string, the parts that are not reasoning, an object as its JSON."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [text for text in map(_read_part, content) if text is not None]
        return "".join(texts) if texts else None
    if isinstance(content, dict):
        part = _read_part(content) if "type" in content else None
        return part if part is not None else json.dumps(content, ensure_ascii=False)
    return None


def _read_part(part: object) -> str | None:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict) or part.get("type") in _REASONING or part.get("thought") is True:
        return None
    for name in ("text", "content", "output_text"):
        text = part.get(name)
        text = text.get("value") if isinstance(text, dict) else text
        if isinstance(text, str):
            return text
    return None


def _is_plain(message: Mapping[str, Any]) -> bool:
    """Whether nothing of a message is lost when its text and its refusal are kept."""
    content = message.get("content")
    if not (content is None or isinstance(content, str)):
        return False
    said = {name for name, value in message.items() if value not in (None, "", [], {})}
    return said <= {"role", "content", "refusal", "name"} and not (content and _SURROGATE.search(content))


def dump_raw(value: object) -> str:
    """JSON in ASCII: nothing is altered, a lone surrogate is an escape."""
    return json.dumps(value)


def _count_tokens(usage: object) -> tuple[int | None, int | None]:
    """(prompt, completion) tokens as they are charged.

    Some servers leave the tokens of reasoning out of the completion's; the total, or the details, have them.
    """
    if not isinstance(usage, dict):
        return None, None
    prompt = _count(usage.get("prompt_tokens", usage.get("input_tokens")))
    completion = _count(usage.get("completion_tokens", usage.get("output_tokens")))
    total = _count(usage.get("total_tokens"))
    details = usage.get("completion_tokens_details", usage.get("output_tokens_details"))
    reasoning = _count(details.get("reasoning_tokens")) if isinstance(details, dict) else None
    if completion is not None and reasoning is not None and reasoning > completion:
        completion += reasoning
    if prompt is not None and total is not None:
        completion = max(completion or 0, total - prompt)
    return prompt, completion


def _count(value: object) -> int | None:
    """A count as a number or, at some gateways, as text or a float."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return int(number) if number >= 0 and number.is_integer() else None
