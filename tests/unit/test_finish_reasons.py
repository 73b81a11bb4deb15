from __future__ import annotations

import pytest

from relearn.finish_reasons import read_ending


@pytest.mark.parametrize(
    ("ending", "reasons"),
    [
        (
            "done",
            [None, "", "stop", "STOP", "end_turn", "eos", "EOS_TOKEN", "tool_calls", "FINISH_REASON_STOP", "COMPLETE"],
        ),
        ("cut", ["length", "max_tokens", "MAX_TOKENS", "maxTokens", "model_length", "FinishReason.MAX_TOKENS"]),
        ("cut", ["max-output-tokens", "model_context_window_exceeded", "FINISH_REASON_MAX_TOKENS", "LENGTH"]),
        ("failed", ["error", "abort", "ERROR", "cancelled", "insufficient_system_resource", "network-error"]),
        ("failed", ["MALFORMED_FUNCTION_CALL", "timeout", "userCancel"]),
        (
            "refused",
            ["content_filter", "SAFETY", "RECITATION", "refusal", "PROHIBITED_CONTENT", "guardrail_intervened"],
        ),
        ("refused", ["sensitive", "contentFilter", "ERROR_TOXIC", "blocklist"]),
        ("unknown", ["OTHER", "mystery", "pause_turn", "?"]),
    ],
)
def test_an_ending_by_any_name(ending: str, reasons: list[str | None]) -> None:
    assert {reason: read_ending(reason) for reason in reasons} == dict.fromkeys(reasons, ending)
