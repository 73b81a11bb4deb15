"""vLLM's answers for `bench.real`: runs in vLLM's own environment, and knows nothing of this project.

Reads JSON from standard input (model, dtype, prompts as token ids, max_tokens, stop_token_ids), answers all prompts
twice, the first time to warm up, and writes JSON as the last line: seconds of the second time, tokens of each answer.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Loads the model and answers."""
    asked = json.load(sys.stdin)
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "2")
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found, unused-ignore]

    model = LLM(
        model=asked["model"], dtype=asked["dtype"], enforce_eager=True, max_model_len=1024,
        max_num_seqs=len(asked["prompts"]), enable_prefix_caching=False, disable_log_stats=True,
    )  # fmt: skip
    sampling = SamplingParams(temperature=0, max_tokens=asked["max_tokens"], stop_token_ids=asked["stop_token_ids"])
    prompts = [{"prompt_token_ids": ids} for ids in asked["prompts"]]
    for _ in range(2):
        begun = time.perf_counter()
        answers = model.generate(prompts, sampling, use_tqdm=False)
        seconds = time.perf_counter() - begun
    tokens = [list(answer.outputs[0].token_ids) for answer in answers]
    print(json.dumps({"seconds": seconds, "answers": tokens}))


if __name__ == "__main__":
    main()
