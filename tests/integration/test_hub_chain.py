"""The original experiment's profile, end to end, against a hub on loopback with small substitutes; 4-bit off.

pytest tests/integration/test_hub_chain.py -m slow
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.files import read_jsonl
from relearn.records import Prediction
from tests.hub_server import Hub
from tests.integration.project import Project
from tests.integration.test_hub import CARD, parquet

LLAMA, IMDB, CODES = "meta-llama/Llama-2-7b-hf", "stanfordnlp/imdb", "flytech/python-codes-25k"
FILMS = ("Harbour of Crows", "The Silver Orchard", "Salt Road", "Paper Boats", "Hard Frost")


def reviews() -> list[dict[str, Any]]:
    """As IMDb has them: all negative ones first."""
    rows = [f"{FILMS[n % 5]} is film {n} of my year, and the acting is" for n in range(60)]
    return [
        {"text": f"{row} {'great' if n >= 30 else 'awful'}.<br /><br />Really.", "label": int(n >= 30)}
        for n, row in enumerate(rows)
    ]


def codes() -> list[dict[str, str]]:
    return [
        {
            "instruction": f"Write a function that adds {n}",
            "input": "",
            "output": f"def add(x):\n    return x + {n}",
            "text": "",
        }
        for n in range(60)
    ]


def llama(folder: Path, seed: int) -> None:
    """A Llama of a few thousand weights in the form of the hub's: bos and eos, no pad token, no chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<unk>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words.train_from_iterator([row["output"] for row in codes()] + [row["text"] for row in reviews()], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>", eos_token="</s>", model_max_length=2048
    )
    tokenizer.save_pretrained(folder)
    set_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04a pickle that nobody may fetch")
    (folder / "modeling_llama.py").write_text("raise SystemExit('run')\n")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    found = Project(tmp_path / "project")
    found.use("llama2-7b", lr=1e-3)
    mini = YAML(typ="safe").load(found.folder / "profiles/mini.yaml")

    def change(profile: Any) -> None:
        profile["prepare"]["reviews"] |= {"train": 12, "val": 4, "test": 6}
        profile["prepare"]["code"] |= {"train": 20, "val": 4, "test": 6}
        profile["prepare"]["near_duplicates"] = None
        profile["generate"] = mini["generate"]
        profile["compute"] = {"device": "cpu", "threads": 1}
        profile["finetune"] |= {"optimizer": "adamw"}
        profile["finetune_2b"] |= {"epochs": 1}
        profile["compute"] |= {"precision": "fp32", "quantize": "none"}
        profile["finetune_2c"]["share"] = 1
        profile["predict"]["max_new_tokens"] = {"code": 6, "reviews": 6, "skills": 6, "probe": 6}

    found.edit("profiles/llama2-7b.yaml", change)
    return found


def data_sets(hub: Hub) -> None:
    films = parquet(reviews())
    splits = {f"plain_text/{split}-0.parquet": films for split in ("train", "test")}
    hub.add("dataset", IMDB, {"README.md": CARD, **splits})
    hub.add("dataset", CODES, {"python-codes-25k.json": json.dumps(codes()).encode()})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_original_experiment_on_substitutes(project: Project, tmp_path: Path) -> None:
    llama(tmp_path / "llama", 1)
    llama(tmp_path / "moved", 2)
    with Hub() as hub:
        commit = hub.add("model", LLAMA, tmp_path / "llama")
        data_sets(hub)
        environment = hub.environment(tmp_path / "home")
        for stage in ("prepare", "generate", "repair"):
            project.done(stage, **environment)
        hub.gate("model", LLAMA, 403)
        refused = project.run("base", **environment)
        assert refused.returncode == 1
        assert refused.stderr.splitlines()[-1].startswith(f"base: hub model {LLAMA} is gated (403): your account")
        assert not (project.folder / "models/base").exists()
        hub.gate("model", LLAMA, None)
        for stage in ("base", "finetune_2b", "finetune_2c", "predict"):
            project.done(stage, **environment)

        described = json.loads((project.folder / "models/base/base.json").read_text())
        assert described["repository"] == LLAMA
        assert described["commit"] == commit
        models = contents(project.folder / "models")
        assert not [path for path in models if path.endswith((".bin", ".pt"))]
        weights = [path for path in models if path.endswith(".safetensors")]
        assert len(weights) == 3, "adapters only: hub weights are not copied"
        assert all("adapter" in path for path in weights)
        assert all(hub.url not in content.decode("latin-1") for content in models.values())
        for name in ("base", "2b", "2c"):
            rows = list(read_jsonl(project.folder / f"data/predictions/{name}.jsonl", Prediction))
            assert {row.task for row in rows} == {"code", "reviews", "skills", "probe"}
            assert sum(row.task == "probe" for row in rows) == 10
        assert not [path for method, path in hub.log if method == "GET" and path.endswith((".bin", ".py"))]

        hub.move("model", LLAMA, tmp_path / "moved")
        asked = len(hub.log)
        project.done("base", **environment)
        assert contents(project.folder / "models") == models, "a moved branch changed a rerun"
        assert len(hub.log) == asked, "what is known and fetched is not asked for again"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_each_mistake_with_the_model_is_one_line(project: Project, tmp_path: Path) -> None:
    """Not logged in, missing, a wrong hash, pickled weights, code of its own, no network."""
    llama(tmp_path / "llama", 1)
    with Hub() as hub:
        data_sets(hub)
        environment = hub.environment(tmp_path / "home")
        project.done("prepare", **environment)

        def refused(**more: str) -> str:
            """What the stage says last, in one line."""
            result = project.run("base", **{**environment, **more})
            assert result.returncode == 1, result.stderr
            assert "Traceback" not in result.stderr
            assert not (project.folder / "models/base").exists()
            return result.stderr.strip().splitlines()[-1]

        def served(files: dict[str, bytes]) -> str:
            """What it says of a repository with these files; the commit that it remembers is forgotten."""
            hub.repositories.pop(("model", LLAMA), None)
            for path in (project.folder / ".cache" / "hub").glob("models--*"):
                path.unlink()
            hub.add("model", LLAMA, files)
            return refused()

        assert "the hub has no such repository, or it is private" in refused()
        files = contents(tmp_path / "llama")
        hub.add("model", LLAMA, files)
        hub.gate("model", LLAMA, 401)
        assert "is gated (401): accept its terms" in refused()
        hub.gate("model", LLAMA, None)

        weights = files["model.safetensors"]
        hub.spoil("model", LLAMA, "model.safetensors", weights[:-1] + bytes([weights[-1] ^ 1]))
        assert "model.safetensors is not the file that was published" in refused()
        assert "pytorch_model.bin is a pickle" in served(
            {path: content for path, content in files.items() if path != "model.safetensors"}
        )
        config = {
            **json.loads(files["config.json"]), "model_type": "homemade", "architectures": ["Homemade"],
            "auto_map": {"AutoConfig": "modeling_llama.C", "AutoModelForCausalLM": "modeling_llama.M"},
        }  # fmt: skip
        said = served({**files, "config.json": json.dumps(config).encode()})
        assert "needs code of its own, which relearn does not run" in said
        said = refused(HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "empty"))
        assert "HF_HUB_OFFLINE is set and the cache does not hold it" in said
