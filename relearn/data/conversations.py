"""Conversations as they are stored in the wild: OpenAI's messages (role, content) and ShareGPT's (from, value).

Both become a list of `Message`: a system turn or none, then user and assistant by turns. Tool calls have no place in it.
"""

from __future__ import annotations

import json
from typing import Any

from relearn.records import Message

ROLES = {
    "system": "system",
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model"), "assistant"),
}
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
        raise BadTurns("no list of messages; write [{role, content}, …] or ShareGPT's [{from, value}, …]")
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


def _read_turn(number: int, turn: Any) -> Message:
    if not isinstance(turn, dict):
        raise BadTurns(f"message {number} is no object; write {{role, content}} or {{from, value}}")
    named = turn.get("role", turn.get("from"))
    if named in TOOLS or any(turn.get(name) for name in ("tool_calls", "function_call", "tool_call_id")):
        raise BadTurns(f"message {number} holds a tool call, which rows cannot; leave such conversations out")
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
