"""A server no one here wrote: `transformers serve`, on a tiny model made on the spot, asked through the stage."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.scratch import KEY, Scratch, server_teacher

TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tiny_model(folder: Path) -> Path:
    """A random Llama of some ten thousand weights, with a byte-level tokenizer and a chat template."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|system|>", "<|user|>", "<|assistant|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    raw.train_from_iterator(["a small text to learn nothing from"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<|end|>", pad_token="<|end|>")
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=4096,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    if importlib.util.find_spec("fastapi") is None or importlib.util.find_spec("uvicorn") is None:
        pytest.skip("`transformers serve` needs transformers[serving]; pip install -r requirements-dev.txt")
    folder = tiny_model(tmp_path_factory.mktemp("model"))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = (folder / "serve.log").open("w")
    command = [str(Path(sys.executable).parent / "transformers"), "serve", str(folder)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    child = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", str(port)], env=environment, stdout=log, stderr=log
    )
    try:
        deadline = time.monotonic() + 240
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as response:
                    assert response.status == 200
                    break
            except (urllib.error.URLError, OSError):
                if child.poll() is not None or time.monotonic() > deadline:
                    pytest.fail("transformers serve did not start:\n" + (folder / "serve.log").read_text()[-2000:])
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1", folder
    finally:
        child.terminate()
        child.wait(30)
        log.close()


@pytest.mark.slow
def test_generation_through_transformers_serve(served: tuple[str, Path], tmp_path: Path) -> None:
    url, model = served
    project = Scratch(
        tmp_path / "project",
        6,
        {
            "teacher": server_teacher(url),
            "model": str(model),
            "concurrency": 2,
            "max_tokens": 8,
            "max_tokens_limit": 16,
            "timeout_s": 120.0,
        },
    )
    done = project.run()
    assert done.returncode == 0, done.stderr
    replies = project.replies()
    assert [reply.id for reply in replies] == [f"r{number:04d}" for number in range(6)]
    assert all(reply.finish_reason in ("stop", "length") for reply in replies)
    for reply in replies:
        assert reply.content is not None
        assert reply.usage is not None
        assert reply.usage.prompt_tokens > 50
        assert 1 <= reply.usage.completion_tokens <= 16
    assert project.run().returncode == 0
    assert project.facts()["sent"] == 0
    written = [path for path in project.folder.rglob("*") if path.is_file()]
    assert not any(KEY.encode() in path.read_bytes() for path in written)
