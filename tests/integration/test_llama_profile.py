"""The llama2-7b profile's code path, end to end, against a hub on loopback: a tiny Llama under the real name.

Changed from the shipped profile: the device (cpu, so no 4-bit, no 8-bit AdamW, fp32), the teacher (embedded), and
sizes. Everything else, the names of the model and the data sets above all, is as shipped.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from tests.hub_server import Hub
from tests.integration.conftest import Clone, copy
from tests.unit.tiny import shape

LLAMA, IMDB, CODES = "meta-llama/Llama-2-7b-hf", "stanfordnlp/imdb", "flytech/python-codes-25k"
STAGES = ("prepare", "generate", "repair", "base", "finetune_2b", "finetune_2c", "predict")
CARD = b"""---
configs:
- config_name: plain_text
  data_files:
  - split: train
    path: plain_text/train-*
---
"""


def reviews(count: int) -> list[dict[str, Any]]:
    films = ("harbour", "garden", "mountain", "station", "desert")
    said = ("slow and dull from its first scene", "warm and clever until the last word")
    return [
        {"text": f"The {films[n % 5]} film number {n} was {said[n >= count // 2]}, with {n + 2} songs.",
         "label": int(n >= count // 2)}
        for n in range(count)
    ]  # fmt: skip


def codes(count: int) -> list[dict[str, Any]]:
    return [
        {"instruction": f"Write a function that adds {n} to a number", "input": "",
         "output": f"```python\ndef add_{n}(x):\n    return x + {n}\n```"}
        for n in range(count)
    ]  # fmt: skip


def parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def llama(folder: Path) -> Path:
    """A random Llama and a tokenizer without a chat template or a pad token, as the real ones have none."""
    import torch

    from relearn.tuning.scratch import new_model, train_tokenizer

    said = [row["text"] for row in reviews(40)] + [row["output"] for row in codes(40)]
    words = train_tokenizer(said, 400, "<|end|>")
    torch.manual_seed(0)
    new_model(words, shape(max_tokens=512)).save_pretrained(folder)
    words.save_pretrained(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    file = folder / "tokenizer_config.json"
    config = json.loads(file.read_text(encoding="utf-8"))
    for name in ("chat_template", "pad_token"):
        config.pop(name, None)
    file.write_text(json.dumps({**config, "bos_token": "<|end|>"}), encoding="utf-8")
    return folder


def small(clone: Clone, teacher: dict[str, Any]) -> None:
    """The shipped profile, with what this machine lacks replaced and the sizes cut."""
    yaml = YAML()
    file = clone.folder / "profiles" / "llama2-7b.yaml"
    profile = yaml.load(file)
    profile["prepare"]["reviews"] |= {"train": 12, "val": 2, "test": 2}
    profile["prepare"]["code"] |= {"train": 12, "val": 2, "test": 2}
    profile["generate"] |= {"teacher": teacher, "budget_usd": None}
    profile["compute"] |= {"device": "cpu", "threads": 1}
    profile["finetune"] |= {
        "optimizer": "adamw", "precision": "fp32", "quantize": "none", "gradient_checkpointing": False,
        "epochs_2b": 1, "batch_size": 4, "accumulation": 2,
    }  # fmt: skip
    profile["predict"]["max_new_tokens"] |= {"code": 4, "reviews": 4, "general": 4, "probe": 4}
    with open(file, "w", encoding="utf-8") as stream:
        yaml.dump(profile, stream)
    (clone.folder / "params.yaml").write_text("profile: llama2-7b\nlr: 5e-5\nseed: 1222\n")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub() as server:
        server.add("model", LLAMA, llama(tmp_path_factory.mktemp("llama") / "model"))
        train = "plain_text/train-00000-of-00001.parquet"
        server.add("dataset", IMDB, {"README.md": CARD, train: parquet(reviews(40))})
        server.add("dataset", CODES, {"python-codes-25k.json": json.dumps(codes(40)).encode()})
        yield server


def ready(clone: Clone, hub: Hub, home: Path) -> Clone:
    tiny = YAML(typ="safe").load(clone.folder / "profiles" / "tiny.yaml")
    small(clone, tiny["generate"]["teacher"])
    clone.environment = {**clone.environment, **hub.environment(home)}
    del clone.environment["HF_HUB_OFFLINE"]
    return clone


@pytest.fixture(scope="module")
def chain(pristine: Clone, hub: Hub, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone in which the chain has run up to predict."""
    folder = tmp_path_factory.mktemp("llama-chain")
    clone = ready(copy(pristine, folder), hub, folder / "hf")
    clone.python("tests.integration.chain", "run", *STAGES)
    return clone


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_chain_runs_and_records_the_commits(chain: Clone, hub: Hub) -> None:
    base = json.loads((chain.folder / "models" / "base" / "base.json").read_text())
    commit = hub.repositories["model", LLAMA].branches["main"]
    assert base == {"kind": "hub", "repository": LLAMA, "commit": commit, "adapted": True}
    assert [path.name for path in (chain.folder / "models" / "base").glob("*.safetensors")] == [], "a copy"
    for name in ("base/adapter", "2b", "2c"):
        config = json.loads((chain.folder / "models" / name / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "models/base"
    prepared = json.loads((chain.folder / "metrics" / "prepare.json").read_text())
    assert prepared["reviews"]["source"]["commit"] == hub.repositories["dataset", IMDB].branches["main"]
    assert prepared["code"]["source"]["commit"] == hub.repositories["dataset", CODES].branches["main"]
    for model in ("base", "2b", "2c"):
        rows = (chain.folder / "data" / "predictions" / f"{model}.jsonl").read_text().splitlines()
        assert {json.loads(row)["task"] for row in rows} >= {"code", "reviews"}
    asked = [path for _, path in hub.requested(f"{LLAMA}/resolve/") if path.endswith((".bin", ".py"))]
    assert asked == [], "a pickle or a program was asked for"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_moved_branch_does_not_change_a_rerun(chain: Clone, hub: Hub, tmp_path: Path) -> None:
    before = (chain.folder / "models" / "base" / "base.json").read_bytes()
    commit = hub.repositories["model", LLAMA].branches["main"]
    files = dict(hub.repositories["model", LLAMA].commits[commit])
    hub.move("model", LLAMA, {**files, "README.md": b"# moved\n"})
    try:
        chain.python("tests.integration.chain", "run", "base")
        assert (chain.folder / "models" / "base" / "base.json").read_bytes() == before
    finally:
        hub.repositories["model", LLAMA].branches["main"] = commit


def refused(clone: Clone) -> str:
    """What the base stage says in its one line."""
    result = clone.python("stages.base", check=False)
    assert result.returncode == 1, result.stderr
    said = result.stderr.strip().splitlines()
    assert "Traceback" not in result.stderr
    return said[-1]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_mistake_is_one_line(chain: Clone, hub: Hub, scratch_clone: Clone, tmp_path: Path) -> None:
    """Gated, missing, a wrong hash, pickled weights, code of its own, no network."""
    clone = ready(scratch_clone, hub, tmp_path / "hf")
    for name in ("reviews.jsonl", "original.jsonl", "instructions.jsonl"):
        (clone.folder / "data" / name).write_bytes((chain.folder / "data" / name).read_bytes())
    hub.gate("model", LLAMA, 401)
    assert "is gated (401): accept its terms" in refused(clone)
    hub.gate("model", LLAMA, 403)
    assert "is gated (403): your account has not been given access" in refused(clone)
    hub.gate("model", LLAMA, None)

    kept = hub.repositories.pop(("model", LLAMA))
    assert "the hub has no such repository, or it is private" in refused(clone)
    commit = kept.branches["main"]
    files = kept.commits[commit]
    weights = files["model.safetensors"]
    hub.add("model", LLAMA, files)
    hub.spoil("model", LLAMA, "model.safetensors", weights[:-1] + bytes([weights[-1] ^ 1]))
    assert "model.safetensors is not the file that was published" in refused(clone)

    def served(changed: dict[str, bytes]) -> str:
        (clone.folder / ".cache" / "hub").exists() and [
            path.unlink() for path in (clone.folder / ".cache" / "hub").glob("models--*")
        ]
        hub.repositories.pop(("model", LLAMA))
        hub.add("model", LLAMA, changed)
        return refused(clone)

    rest = {path: content for path, content in files.items() if path != "model.safetensors"}
    assert "is a pickle" in served({**rest, "pytorch_model.bin": b"\x80\x04."})
    config = json.loads(files["config.json"])
    own = {**config, "model_type": "homemade", "architectures": ["Homemade"]}
    own["auto_map"] = {"AutoConfig": "code.C", "AutoModelForCausalLM": "code.M"}
    program = b"raise SystemExit('ran')\n"
    said = served({**files, "config.json": json.dumps(own).encode(), "code.py": program})
    assert "needs code of its own, which relearn does not run" in said
    clone.environment["HF_HUB_OFFLINE"] = "1"
    clone.environment["HF_HOME"] = str(tmp_path / "empty")
    assert "HF_HUB_OFFLINE is set and the cache does not hold it" in refused(clone)
    hub.repositories["model", LLAMA] = kept
