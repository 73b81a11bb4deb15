"""Conversations as they are stored in the wild: OpenAI's messages (role, content) and ShareGPT's (from, value).

Both become a list of `Message`: a system turn or none, then user and assistant by turns. Tool calls have no place in it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Container, Mapping
from typing import Any

from relearn.records import Message

ROLES = {
    "system": "system",
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model"), "assistant"),
}
HISTORY = "history"
CONTEXT = ("system", "system_prompt", HISTORY)  # columns that come before a row's own turns
TOOLS = ("tool", "function", "function_call", "tool_call", "tool_response", "observation")


class BadTurns(ValueError):
    """What is wrong with a conversation, and what to do; one line."""


def read_turns(value: Any) -> list[Message]:
    """The turns of a conversation, a list or the text of one in JSON (a CSV cell). Raises BadTurns.

    The last turn may be a user's: whether an answer must be there is the caller's rule.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, list) or not value:
        raise BadTurns("not a list of messages; write [{role, content}, …] or ShareGPT's [{from, value}, …]")
    turns = [_read_turn(number, turn) for number, turn in enumerate(value, 1)]
    asked = turns[1:] if turns[0].role == "system" else turns
    for number, turn in enumerate(asked):
        wanted = ("user", "assistant")[number % 2]
        if turn.role != wanted:
            raise BadTurns(
                f"message {number + 1 + len(turns) - len(asked)} is of role {turn.role} where {wanted}'s turn is; "
                "a system message may come first, then user and assistant take turns"
            )
    if not asked:
        raise BadTurns("no user message; a question is needed")
    return turns


def read_conversation(value: Any) -> list[Message]:
    """The turns of a conversation that ends with an answer; BadTurns where it does not."""
    turns = read_turns(value)
    if turns[-1].role != "assistant":
        raise BadTurns("the last message is the user's; a row ends with the assistant's answer")
    return turns


def add_context(turns: list[Message], cells: Mapping[str, Any], apart_from: Container[str] = ()) -> list[Message]:
    """The turns after what a row's columns `system` and `history` hold (LLaMA-Factory's, ShareGPT's), where they hold anything.

    `history` is a list of [question, answer], or the text of one in JSON. Columns `apart_from` have another meaning. Raises
    BadTurns.
    """
    named = {name: cells[name] for name in CONTEXT if name not in apart_from and not is_missing(cells.get(name))}
    history = _read_history(named.pop(HISTORY)) if HISTORY in named else []
    for name, text in named.items():
        if not isinstance(text, str):
            raise BadTurns(f"{name} holds {type(text).__name__}, not text")
    systems = list(dict.fromkeys(text for text in named.values() if text.strip()))
    own = turns[:1] if turns[0].role == "system" else []
    if len(systems) > 1 or (systems and own and own[0].content.strip() != systems[0].strip()):
        raise BadTurns("two system messages, which differ; keep one")
    if systems and not own:
        own = [Message(role="system", content=systems[0])]
    return [*own, *history, *(turn for turn in turns if turn.role != "system")]


def is_missing(value: Any) -> bool:
    """Whether a cell holds nothing: null, or pandas' NaN."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _read_history(value: Any) -> list[Message]:
    if isinstance(value, str):
        if not value.strip():
            return []
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    pairs: list[Any] = value if isinstance(value, list) else [None]
    if not all(
        isinstance(pair, list | tuple)
        and len(pair) == 2
        and all(isinstance(text, str) and text.strip() for text in pair)
        for pair in pairs
    ):
        raise BadTurns("history is not a list of [question, answer]; write it so, or as messages")
    return [
        Message.model_validate({"role": role, "content": text})
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _read_turn(number: int, turn: Any) -> Message:
    if not isinstance(turn, dict):
        raise BadTurns(f"message {number} is not an object; write {{role, content}} or {{from, value}}")
    named = turn.get("role", turn.get("from"))
    if named in TOOLS or any(turn.get(name) for name in ("tool_calls", "function_call", "tool_call_id")):
        raise BadTurns(f"message {number} holds a tool call, which rows cannot hold; leave such conversations out")
    role = ROLES.get(named) if isinstance(named, str) else None
    if role is None:
        raise BadTurns(f"message {number} is of the unknown role {named!r}; roles are system, user and assistant")
    content = _text(turn.get("content", turn.get("value")))
    if content is None or not content.strip():
        raise BadTurns(f"message {number} holds no text; write its content as text")
    return Message.model_validate({"role": role, "content": content})


def _text(content: Any) -> str | None:
    """The text of a message; of OpenAI's parts those of type text, None where there are others."""
    if isinstance(content, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        parts = [part.get("text") for part in content]
        return "".join(parts) if all(isinstance(part, str) for part in parts) else None
    return content if isinstance(content, str) else None
