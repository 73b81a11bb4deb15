"""What services and tools wrap a reply in: its id, its text, how it ended, and what went wrong instead.

OpenAI (chat completions, responses, batch results), Anthropic (messages, batch results), Gemini, Ollama, Bedrock, vLLM,
distilabel, and plain rows. Content in parts is joined without the parts that are reasoning; a tool call's arguments,
or an object as content, are the answer as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

ID_KEYS = "custom_id customId recordId review_id key id request_id requestId uuid responseId".split()
"""Best first: what the asker named the row, then what the service did."""
_OTHER_ID = re.compile(r"_?(?:\w+_)?(?:id|uuid|guid|idx|index)|\w+(?:Id|ID|Idx)")
_NO_ID = re.compile(
    r"(?:model|batch|session|user|parent|organi[sz]ation|thread|trace|run|deployment)_?id", re.IGNORECASE
)
_HOLDS_ID = "metadata meta labels extra generic_request doc".split()
TEXT_KEYS = (
    "content text response reply completion output raw answer generated_text generation output_text outputText "
    "model_output response_text prediction"
).split()
FINISH_KEYS = (
    "finish_reason finishReason stop_reason stopReason done_reason completionReason native_finish_reason stop_type"
).split()
_WRAPPERS = "response body result message modelOutput output data raw_response completion details".split()
_SIGNS = {"choices", "candidates", "generations", "object", "role"}
_TALKS = "messages conversations conversation".split()
_ANSWERING = {"assistant", "gpt", "model", "bot", "ai", "chatgpt"}
_LISTS = "choices candidates outputs generations results".split()
_THOUGHTS = {"thinking", "reasoning", "redacted_thinking", "reasoning_text", "thought", "analysis"}
_REASONING = "reasoning_content reasoning thinking reasoning_details thoughts".split()
_FAILED = {"failed", "cancelled", "canceled", "expired", "errored", "error", "timeout", "timed_out"}


@dataclass
class Envelope:
    """One reply as it was wrapped. `failed` is why there is none, `detail` what the service said of it."""

    text: str | None = None
    finish_reason: str | None = None
    failed: str = ""
    detail: str = ""
    flags: list[str] = field(default_factory=list)


def find_id(row: Any) -> str | int | None:
    """The row's own id: a text or a whole number (a table makes 3 into 3.0); true and false are not ids."""
    if not isinstance(row, dict):
        return None
    for key in ID_KEYS:
        if key in row:
            value = row[key]
            found = value if isinstance(value, str) and value else _read_id(value)
            if found is not None:
                return found
    others = [key for key in row if _OTHER_ID.fullmatch(key) and _NO_ID.fullmatch(key) is None]
    for key in sorted(others, key=lambda key: key in ("row_id", "row_idx", "index")):  # the last are a tool's
        if (found := _read_id(row[key])) is not None:
            return found
    return next((found for key in _HOLDS_ID if key in row and (found := find_id(row[key])) is not None), None)


def _read_id(value: Any) -> str | int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        value = value.get("$oid")
    return value if isinstance(value, str | int) and not isinstance(value, bool) and value != "" else None


def read_service(row: dict[str, Any]) -> list[Envelope]:
    """The replies in a row as a service writes it; empty when it is not one. Several choices are several replies."""
    if str(row.get("role", "assistant")).lower() in ("user", "human", "system", "developer", "tool"):
        return [Envelope(failed="not_an_answer")]
    problem = _find_problem(row)
    if problem is not None:
        return [Envelope(failed="request_failed", detail=problem)]
    inners = list(_unwrap(row, 0))
    for read in (_read_body, _read_talk):
        for inner in inners:
            found = read(inner)
            if found:
                finish = _find_finish(row)
                for one in found:
                    one.finish_reason = one.finish_reason or _find_finish(inner) or finish
                return found
    return []


def read_content(content: Any) -> tuple[str | None, list[str]]:
    """(the text of a message's content, flags); None where there is no answer in it."""
    if isinstance(content, str):
        return content, []
    if isinstance(content, list):
        parts = [read_part(part) for part in content]
        texts = [text for text, _ in parts if text is not None]
        return ("".join(texts) if texts else None), sorted({flag for _, flags in parts for flag in flags})
    if isinstance(content, dict):
        if "parts" in content and isinstance(content["parts"], list):
            return read_content(content["parts"])
        text, flags = read_part(content) if "type" in content else (None, [])
        return (json.dumps(content, ensure_ascii=False) if text is None and set(content) - {"role"} else text), flags
    return None, []


def read_part(part: Any) -> tuple[str | None, list[str]]:
    """(the text of one part, flags): None for reasoning, and for what holds no text."""
    if isinstance(part, str):
        return part, []
    if not isinstance(part, dict):
        return None, []
    if part.get("type") in _THOUGHTS or part.get("thought") is True or "reasoningContent" in part:
        return None, ["reasoning"]
    for key in ("toolUse", "functionCall", "function"):
        if isinstance(part.get(key), dict):
            return read_part({"type": "tool_use", **part[key]})
    for key in ("input", "args", "arguments"):
        if key in part and (part.get("type") in ("tool_use", "function_call", "tool_call") or "name" in part):
            value = part[key]
            return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)), ["tool_call"]
    for key in ("text", "content", "output_text"):
        value = part.get(key)
        value = value.get("value") if isinstance(value, dict) else value
        if isinstance(value, str):
            return value, []
    for key in ("json", "parsed"):
        if isinstance(part.get(key), dict):
            return json.dumps(part[key], ensure_ascii=False), []
    return None, []


def find_refusal(content: Any) -> str | None:
    """The words of a message's parts that refuse to answer."""
    parts = content if isinstance(content, list) else ()
    said = (part.get("refusal") for part in parts if isinstance(part, dict))
    return next((refusal for refusal in said if isinstance(refusal, str) and refusal), None)


def holds_more(row: dict[str, Any]) -> bool:
    """Whether a row without a text holds something else that was paid for."""
    named = {*ID_KEYS, *FINISH_KEYS, *TEXT_KEYS}
    return any(
        value not in (None, "", [], {}) and not (key in named and isinstance(value, str | int | float))
        for key, value in row.items()
    )


def _unwrap(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, str) and depth and value.startswith("{") and any(f'"{sign}"' in value for sign in _SIGNS):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return
        if not (isinstance(value, dict) and _SIGNS & value.keys()):
            return
    if isinstance(value, dict):
        yield value
        if depth < 4:
            for key in _WRAPPERS:
                if isinstance(value.get(key), dict | list | str):
                    yield from _unwrap(value[key], depth + 1)


def _read_body(body: dict[str, Any]) -> list[Envelope]:
    """The replies in a service's own body, already unwrapped."""
    for key in _LISTS:
        choices = body.get(key)
        if isinstance(choices, list) and len(choices) == 1 and isinstance(choices[0], list):
            choices = choices[0]  # LangChain: a list of the answers of each prompt
        if isinstance(choices, list) and choices and all(isinstance(choice, dict) for choice in choices):
            found = [_read_choice(choice) for choice in choices]
            if all(one is not None for one in found):
                return [one for one in found if one is not None]
    blocked = body.get("promptFeedback")
    if isinstance(blocked, dict) and blocked.get("blockReason"):
        return [Envelope(failed="content_filter", detail=str(blocked["blockReason"]))]
    output = body.get("output")
    if isinstance(output, list) and output and all(isinstance(part, str) for part in output):
        return [Envelope("".join(output))]  # Replicate: the tokens
    if isinstance(output, list) and (body.get("object") == "response" or "status" in body):
        items = [part for item in output if isinstance(item, dict)
                 for part in (item["content"] if isinstance(item.get("content"), list) else [item])]  # fmt: skip
        why = body.get("incomplete_details")
        finish = why.get("reason") if isinstance(why, dict) else body.get("status")
        answer = read_message({"content": items})
        answer.finish_reason = finish if isinstance(finish, str) else None
        return [answer]
    if "content" in body and ("role" in body or (body.get("type") == "message" and isinstance(body["content"], list))):
        return [read_message(body)]
    message = body.get("message")
    if isinstance(message, dict) and ("content" in message or "role" in message):
        return [read_message(message)]
    return []


def _read_talk(body: dict[str, Any]) -> list[Envelope]:
    """The answer that ends a conversation, OpenAI's or ShareGPT's; one that ends with a question holds none."""
    for key in _TALKS:
        talk = body.get(key)
        if isinstance(talk, list) and talk and isinstance(last := talk[-1], dict) and last.keys() & {"role", "from"}:
            if str(last.get("role", last.get("from"))).lower() not in _ANSWERING:
                return [Envelope(failed="not_an_answer")] if not body.keys() & set(TEXT_KEYS) else []
            return [read_message({"content": last.get("value", last.get("content"))} | last)]
    return []


def _read_choice(choice: dict[str, Any]) -> Envelope | None:
    error = choice.get("error")
    if error:
        return Envelope(failed="request_failed", detail=_describe(error))
    message = choice.get("message")
    if not isinstance(message, dict) and isinstance(choice.get("content"), dict):
        message = choice  # Gemini's candidate
    if isinstance(message, dict):
        found = read_message(message)
    else:
        text = next((choice[key] for key in ("text", "generated_text", "outputText") if key in choice), None)
        if text is None and not _find_finish(choice):
            return None
        found = Envelope(text if isinstance(text, str) else None)
    found.finish_reason = _find_finish(choice) or found.finish_reason
    return found


def read_message(message: dict[str, Any]) -> Envelope:
    """The answer in a message of a chat: its content, or the arguments of its tool call."""
    text, flags = read_content(message.get("content"))
    if not (text or "").strip():
        calls = message.get("tool_calls") or [message.get("function_call")]
        called, more = read_content([call for call in calls if call] if isinstance(calls, list) else None)
        if called is not None:
            text, flags = called, flags + more
    if not (text or "").strip() and isinstance(message.get("parsed"), dict):
        text = json.dumps(message["parsed"], ensure_ascii=False)
    refusal = message.get("refusal") or find_refusal(message.get("content"))
    if isinstance(refusal, str) and refusal and not (text or "").strip():
        return Envelope(failed="refusal", detail=refusal)
    if (not (text or "").strip() and any(message.get(key) for key in _REASONING)) or (
        text is None and "reasoning" in flags
    ):
        return Envelope(None, _find_finish(message), "only_reasoning")
    return Envelope(text, _find_finish(message), flags=flags)


def _find_finish(row: dict[str, Any]) -> str | None:
    found = next((row[key] for key in FINISH_KEYS if isinstance(row.get(key), str) and row[key]), None)
    info = row.get("generation_info")  # LangChain
    if found is None and isinstance(info, dict):
        return _find_finish(info)
    return "length" if found is None and row.get("stopped_limit") is True else found  # llama.cpp's own server


def _find_problem(row: dict[str, Any]) -> str | None:
    """What a row says went wrong; None when it says nothing went wrong."""
    for inner in _unwrap(row, 1):
        error = inner.get("error")
        if error and not isinstance(error, bool | int | float):
            return _describe(error)
        code = inner.get("status_code", inner.get("statusCode"))
        status = inner.get("status")
        if code is None and isinstance(status, int):
            code = status
        if isinstance(code, int) and code >= 400:
            body = inner.get("body")
            return _describe(body["error"]) if isinstance(body, dict) and body.get("error") else f"status {code}"
        errors = inner.get("errors")
        if isinstance(errors, list) and errors:
            return _describe(errors[0])
        if isinstance(status, str) and (
            (status.lower() in _FAILED and not _has_text(inner))
            or (status and "request" in inner and not inner.get("response"))  # Vertex
        ):
            return f"{status}: {inner['message']}" if isinstance(inner.get("message"), str) else status
        if isinstance(status, dict) and status.get("code") and "message" in status:
            return _describe(status)
        if inner.get("type") in _FAILED or (inner.get("object") == "response" and status in _FAILED):
            return str(inner.get("type") if inner.get("type") in _FAILED else status)
    if row.get("response", "") is None and "custom_id" in row:
        return "no response"
    if any(row.get(key) == [] for key in _LISTS) and not _has_text(row) and "promptFeedback" not in row:
        return "no choices"
    return None


def _has_text(row: dict[str, Any]) -> bool:
    return any(row.get(key) not in (None, "", [], {}) for key in TEXT_KEYS)


def _describe(error: Any) -> str:
    while isinstance(error, dict) and isinstance(error.get("error"), dict):
        error = error["error"]
    if not isinstance(error, dict):
        return str(error)
    name = error.get("code") or error.get("type") or error.get("status") or error.get("errorCode")
    said = error.get("message") or error.get("detail") or error.get("errorMessage")
    return ": ".join(str(part) for part in (name, said) if part) or json.dumps(error)


def read_tables(value: Any) -> list[dict[str, Any]] | None:
    """The rows of a table written by its columns, as pandas and `datasets` write them; None when it is not one."""
    if not isinstance(value, dict) or not value:
        return None
    names, data = value.get("columns"), value.get("data")
    if isinstance(names, list) and isinstance(data, list) and all(isinstance(row, list) for row in data):
        if not all(isinstance(name, str) for name in names) or any(len(row) != len(names) for row in data):
            return None
        return [dict(zip(names, row, strict=True)) for row in data]
    rows = value.get("rows")
    if (
        isinstance(rows, list)
        and rows
        and all(isinstance(row, dict) and isinstance(row.get("row"), dict) for row in rows)
    ):
        return [{"row_idx": row.get("row_idx"), **row["row"]} for row in rows]
    columns = list(value.values())
    if all(isinstance(column, dict) for column in columns):
        keys = list(columns[0])
        if len(keys) > 0 and all(key.isdigit() for key in keys) and all(list(column) == keys for column in columns):
            return [{name: column[key] for name, column in value.items()} for key in keys]
        return None
    sizes = {len(column) for column in columns if isinstance(column, list)}
    if len(columns) > 1 and len(sizes) == 1 and 0 not in sizes and all(isinstance(column, list) for column in columns):
        return [dict(zip(value, row, strict=True)) for row in zip(*columns, strict=True)]
    return None
