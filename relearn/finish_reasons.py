"""Why an answer ended, in one of five words, whatever the server calls it."""

from __future__ import annotations

import re
from typing import Literal

# done: whole. cut: the cap on tokens ended it. failed: the server broke off. refused: withheld for its content.
Ending = Literal["done", "cut", "failed", "refused", "unknown"]
ENDINGS: tuple[Ending, ...] = ("done", "cut", "failed", "refused", "unknown")

_NAMES: dict[Ending, str] = {
    "done": "stop stop_sequence end end_turn end_of_turn eos eos_token eos_found complete completed done finished "
    "finish success normal word stop_word stop_str tool_calls tool_call tool_use function_call",
    "cut": "length max_length max_tokens max_token max_new_tokens max_output_tokens max_completion_tokens "
    "max_output_reached model_length token_limit tokens_limit length_limit length_capped context_length "
    "context_length_exceeded model_context_window_exceeded truncated incomplete limit",
    "failed": "error errored abort aborted cancel cancelled canceled user_cancel failed failure fail timeout "
    "timed_out load insufficient_system_resource network_error server_error internal_error upstream_error "
    "provider_error disconnect disconnected interrupted malformed_function_call malformed_response "
    "unexpected_tool_call invalid_tool_call too_many_tool_calls exception engine_overloaded preempted",
    "refused": "content_filter content_filtered contentfilter filter filtered safety image_safety recitation "
    "image_recitation blocklist blocked block prohibited_content image_prohibited_content spii refusal refused "
    "guardrail guardrails guardrail_intervened moderation moderated sensitive risk error_toxic language "
    "content_policy content_policy_violation policy_violation jailbreak flagged",
}
_ENDINGS: dict[str, Ending] = {name: ending for ending, names in _NAMES.items() for name in names.split()}


def read_ending(reason: str | None) -> Ending:
    """The ending a finish reason stands for; none given counts as done, an unheard-of one as unknown.

    `MAX_TOKENS`, `maxTokens`, `FINISH_REASON_MAX_TOKENS` and `max-tokens` are one.
    """
    if reason is None or not reason.strip():
        return "done"
    found = _ENDINGS.get(reason)
    if found is None:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", reason.strip())
        name = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
        name = re.sub(r"^(finish_reason|finishreason|stop_reason|finish|reason)_(?=.)", "", name)
        found = _ENDINGS.get(name, "unknown")
    return found
