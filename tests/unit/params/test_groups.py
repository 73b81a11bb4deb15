"""Each rule between keys refuses what it should, and says which key and what to do."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from relearn.params import Params
from relearn.params.document import keys
from relearn.params.wording import first_mistake
from tests.unit.params.test_load import RATES, parsed

SERVED: dict[str, Any] = {
    "kind": "endpoint", "base_url": "http://127.0.0.1:8000/v1", "api_key_env": None, "concurrency": 8, "timeout_s": 60.0,
    "attempts": 3, "models": {"base": "b", "2b": "c", "2c": "d"},
}  # fmt: skip
OWN: dict[str, Any] = {
    "kind": "vllm", "python": None, "tensor_parallel": 1, "arguments": [], "start_s": 600.0, "concurrency": 8,
    "timeout_s": 60.0, "attempts": 3,
}  # fmt: skip
COLUMNS = {"form": "messages", "messages": "messages", "tests": None, "group": None}
RULES: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "shares of breakage": ("mini", {"generate.teacher.breakage.fence": 0.9}, "generate.teacher.breakage", "lower some"),
    "no rows of a task that is there": ("files", {"prepare.general": None}, "prepare.general", "a group of keys only"),
    "a task without a source": ("mini", {"prepare.general": ...}, "prepare.general", "missing; add it"),
    "a task without a cap": ("mini", {"predict.max_new_tokens.code": ...}, "predict.max_new_tokens.code", "missing; add it"),
    "a task without metrics": ("mini", {"eval_3a.metrics.code": ...}, "eval_3a.metrics.code", "missing; add it"),
    "a new task that nobody generates": ("mini", {"generate.reviews": ...}, "generate.reviews", "missing; add it"),
    "a generated task without rows": ("mini", {"repair.reviews": ...}, "repair.reviews", "missing; add it"),
    "an old task that is generated": ("mini", {"generate.code": None}, "generate.code", "belongs only to tasks of role new; remove it"),
    "texts that nobody is shown": ("mini", {"generate.reviews": None, "repair.reviews": ...}, "prepare.reviews.source", "name rows"),
    "rows that a teacher is shown": ("files", {"prepare.reviews.source.columns": COLUMNS}, "prepare.reviews.source", "set that to null"),
    "a key of no task": ("mini", {"prepare.raviews": {}}, "prepare.raviews", "did you mean reviews?"),
    "metrics of no task": ("mini", {"eval_3a.metrics.cod": []}, "eval_3a.metrics.cod", "did you mean code?"),
    "words of no task": ("mini", {"report.tasks.chat": {}}, "report.tasks.chat", "unknown key"),
    "a task that nobody knows": ("mini", {"tasks.chat": {"role": "watched"}}, "prepare.chat", "missing; add it"),
    "a task forgotten": ("mini", {"tasks.general": ...}, "prepare.general", "unknown key"),
    "no new task": ("mini", {"tasks.reviews.role": "watched"}, "tasks", "role new"),
    "no old task": ("mini", {"tasks.code.role": "new", "tasks.general.role": "new"}, "tasks", "replayed or watched"),
    "one task": ("mini", {"tasks": {"code": {"role": "new"}}}, "prepare.reviews", "unknown key"),
    "a task's name in capitals": ("mini", {"tasks.Code": {"role": "new"}}, "tasks.Code", "should match pattern"),
    "a task named like the mix of old ones": ("mini", {"tasks.old": {"role": "new"}}, "tasks.old", "another name"),
    "a task named like a key": ("mini", {"tasks.temperature": {"role": "new"}}, "tasks.temperature", "another name"),
    "an unknown role": ("mini", {"tasks.code.role": "replay"}, "tasks.code.role", "did you mean replayed?"),
    "a trained task without rows": ("mini", {"prepare.code.train": 0}, "prepare.code.train", "give 1 or more"),
    "a corpus for two tasks": ("mini", {"prepare.code.source.corpus": "instructions"}, "prepare", "code and general both take"),
    "an unknown metric": ("mini", {"eval_3a.metrics.code": ["codebleau"]}, "eval_3a.metrics.code.0", "did you mean codebleu?"),
    "a metric twice": ("mini", {"eval_3a.metrics.code": ["bpb", "bpb"]}, "eval_3a.metrics.code.1", "list it once"),
    "no metric": ("mini", {"eval_3a.metrics.code": []}, "eval_3a.metrics.code", "at least 1 item"),
    "a form without its name": ("files", {"prepare.code.source.columns.form": ...}, "prepare.code.source.columns.form", "missing; add it, one of texts"),
    "an unknown form": ("files", {"prepare.code.source.columns.form": "instruction"}, "prepare.code.source.columns.form", "did you mean instructions?"),
    "a key of another form": ("files", {"prepare.code.source.columns.text": "x"}, "prepare.code.source.columns.text", "unknown key"),
    "an unknown check": ("mini", {"repair.reviews.checks": [{"kind": "ecco"}]}, "repair.reviews.checks.0.kind", "did you mean echo?"),
    "a check of a row that is not there": ("mini", {"repair.reviews.checks": [{"kind": "similarity", "rows": ["agree", "no"], "share": 0.9}]}, "repair.reviews", "the rows are agree, disagree"),
    "two rows of one name": ("mini", {"repair.reviews.rows": [{"name": "a", "instruction": "{text}", "response": "a"}] * 2}, "repair.reviews", "give each its own"),
    "replay of nothing": ("mini", {"method": "replay", "tasks.code.role": "watched"}, "method", "add one, or use plain"),
    "a moved key": ("mini", {"prepare.source": {"kind": "mini"}}, "prepare.source", "is now prepare.<task>.source"),
    "answer caps": ("mini", {"generate.max_tokens": 600}, "generate", "raise it to at least max_tokens"),
    "reply lengths": ("files", {"repair.reviews.checks": [{"kind": "length", "min": 9, "max": 8}]}, "repair.reviews.checks.0", "raise max or lower min"),
    "heads that do not divide": ("mini", {"base.model.heads": 5}, "base.model", "even multiple of heads (5)"),
    "heads of odd width": ("mini", {"base.model.hidden": 18, "base.model.heads": 6}, "base.model", "even multiple"),
    "a projection twice": ("mini", {"finetune.lora.targets": ["q_proj", "q_proj"]}, "finetune.lora", "name each once"),
    "no projection": ("mini", {"finetune.lora.targets": []}, "finetune.lora.targets", "at least 1 item"),
    "a range upside down": ("mini", {"lr_range.min": 0.02, "lr_range.max": 0.01}, "lr_range", "raise max or lower min"),
    "a checkpoint between looks": ("mini", {"finetune.checkpoint_every": 30}, "finetune", "multiple of eval_every (25)"),
    "lr below the range": ("mini", {"lr": 1e-6}, "lr", "range of profile mini, 1e-05 to 0.03"),
    "lr above the range": ("llama2-7b", {"lr": 1e-2}, "lr", "range of profile llama2-7b, 1e-06 to 0.001"),
    "4bit on a CPU": ("mini", {"compute.quantize": "4bit"}, "compute.quantize", "use none on cpu"),
    "4bit in fp32": ("llama2-7b", {"compute.precision": "fp32"}, "compute.precision", "use bf16"),
    "packing": ("mini", {"finetune.packing": True}, "finetune", "packing is not offered"),
    "a rank of 0": ("mini", {"finetune.lora.rank": 0}, "finetune.lora.rank", "greater than or equal to 1"),
    "replay of all": ("mini", {"finetune_2b.methods.replay.share": 0.95}, "finetune_2b.methods.replay.share", "less than or equal to 0.9"),
    "replay of none": ("mini", {"finetune_2b.methods.replay.share": 0}, "finetune_2b.methods.replay.share", "greater than 0"),
    "one process of many": ("mini", {"launch": {"kind": "torchrun", "shard": False, "processes": 1}}, "launch.processes", "greater than or equal to 2"),
    "updates that cannot be shared": ("mini", {"launch": {"kind": "torchrun", "shard": False, "processes": 3}}, "launch.processes", "a multiple of 3"),
    "4bit weights in parts": ("llama2-7b", {"launch": {"kind": "torchrun", "shard": True, "processes": 2}}, "launch.shard", "use shard: false, or compute.quantize none"),
    "8-bit AdamW on a CPU": ("files", {"finetune.optimizer": "adamw_8bit"}, "finetune.optimizer", "use adamw on cpu"),
    "the original on a CPU": ("llama2-7b", {"compute.device": "cpu"}, "compute.quantize", "compute.device cuda"),
    "no scheme in the address": ("llama2-7b", {"generate.teacher.base_url": "api.openai.com/v1"}, "generate.teacher.base_url", "pattern"),
    "a key for the key's name": ("llama2-7b", {"generate.teacher.api_key_env": "sk-123"}, "generate.teacher.api_key_env", "pattern"),
    "a path for a prompt": ("mini", {"generate.reviews.prompt": "../secret"}, "generate.reviews.prompt", "pattern"),
    "a data set that is a path": ("llama2-7b", {"prepare.code.source.dataset": "a/b/c"}, "prepare.code.source.dataset", "pattern"),
    "temperature above 2": ("mini", {"generate.temperature": 2.5}, "generate.temperature", "less than or equal to 2"),
    "dropout of all": ("mini", {"finetune.lora.dropout": 1.0}, "finetune.lora.dropout", "less than 1"),
    "near but not equal": ("mini", {"repair.duplicates": "keep", "repair.near_duplicates": {"threshold": 0.9, "permutations": 128}}, "repair", "set duplicates to drop"),
    "threshold of any pair": ("files", {"prepare.near_duplicates.threshold": 0.1}, "prepare.near_duplicates.threshold", "greater than 0.3"),
    "the main seed again": ("mini", {"seeds": [3, 1]}, "seeds", "1 is the main seed"),
    "a seed twice": ("mini", {"seeds": [3, 4, 3]}, "seeds", "3 is listed twice"),
    "a seed below 0": ("mini", {"seeds": [-3]}, "seeds", "-3 is out of bounds"),
    "a seed that is a text": ("mini", {"seeds": ["3"]}, "seeds.0", "whole numbers only"),
    "further seeds over an endpoint": ("mini", {"seeds": [3], "predict.backend": SERVED}, "seeds", "use the local backend"),
    "a decoded scale that is 2b": ("mini", {"predict.decode_scales": [0.5, 1]}, "predict", "decode_scales: 1 is the tuned model itself"),
    "a decoded scale that is base": ("mini", {"predict.decode_scales": [0]}, "predict", "decode_scales: 0 is base itself"),
    "a scale below 0": ("mini", {"predict.scales": [-0.5]}, "predict", "scales: -0.5 is out of bounds"),
    "a scale twice": ("mini", {"predict.scales": [0.5, 0.50]}, "predict", "scales: 0.5 is listed twice"),
    "no rows on the curve": ("mini", {"predict.scale_rows": 0}, "predict.scale_rows", "greater than or equal to 1"),
    "a loss of nothing": ("mini", {"eval_3a.most_lost": 0}, "eval_3a.most_lost", "greater than 0"),
    "a scale over an endpoint": ("mini", {"predict.scales": [0.5], "predict.backend": SERVED}, "predict", "does not scale"),
    "a decoded scale over an endpoint": ("mini", {"predict.decode_scales": [0.5], "predict.backend": SERVED}, "predict", "does not scale"),
    "a scale of a base that was adapted": ("llama2-7b", {"predict.scales": [0.5], "base.model.adapt": {"epochs": 1, "lr": 1e-4}}, "predict.scales", "use []"),
    "too few swaps": ("mini", {"eval_3a.swaps": 10}, "eval_3a.swaps", "greater than or equal to 100"),
    "too few resamples": ("mini", {"eval_3a.resamples": 10}, "eval_3a.resamples", "greater than or equal to 100"),
    "a vocabulary below the bytes": ("mini", {"base.model.vocabulary": 256}, "base.model.vocabulary", "greater than or equal to 300"),
    "an empty column name": ("files", {"prepare.reviews.source.columns.text": ""}, "prepare.reviews.source.columns.text", "at least 1 character"),
    "keys of another kind": ("mini", {"prepare.code.source.path": "x.csv"}, "prepare.code.source.path", "unknown key"),
    "beams over an endpoint": ("mini", {"predict.backend": SERVED, "predict.strategy": {"kind": "beam", "width": 4}}, "predict", "use greedy"),
    "beams over vLLM": ("mini", {"predict.backend": OWN, "predict.strategy": {"kind": "beam", "width": 4}}, "predict", "use greedy"),
    "a scale over vLLM": ("mini", {"predict.backend": OWN, "predict.scales": [0.5]}, "predict", "does not scale"),
    "4-bit weights over vLLM": ("llama2-7b", {"predict.backend": OWN, "predict.scales": [], "compute.quantize": "4bit"}, "predict.backend", "use backend local"),
    "no device for vLLM": ("mini", {"predict.backend": {**OWN, "tensor_parallel": 0}}, "predict.backend.tensor_parallel", "greater than or equal to 1"),
    "a model that is not one": ("mini", {"predict.backend": {**SERVED, "models": {"base": "b", "2b": "c", "2d": "d"}}}, "predict.backend.models.2d", "did you mean 2c?"),
    "a model's name that is a number": ("mini", {"predict.backend": {**SERVED, "models": {"base": "b", "2b": 1, "2c": "d"}}}, "predict.backend.models.2b", "text only"),
    "an unknown kind": ("mini", {"base.model.kind": "scrach"}, "base.model.kind", "did you mean scratch?"),
    "a group that is null": ("mini", {"finetune.lora": None}, "finetune.lora", "a group of keys only"),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_names_the_key_and_the_way_out(rule: str) -> None:
    profile, changes, where, hint = RULES[rule]
    tree: dict[str, Any] = {
        "profile": profile, "lr": RATES[profile], "seed": 1, "method": "plain", **copy.deepcopy(parsed(profile))
    }  # fmt: skip
    Params.model_validate(tree)
    for key, value in changes.items():
        *parents, name = key.split(".")
        group = tree
        for parent in parents:
            group = group[parent]
        group.pop(name, None)
        if value is not ...:
            group[name] = value
    with pytest.raises(ValidationError) as caught:
        Params.model_validate(tree)
    found = first_mistake(caught.value)
    assert ".".join(found.path) == where
    assert hint in found.message
    assert "\n" not in found.message


def test_no_key_has_a_default() -> None:
    def groups(model: type[BaseModel]) -> set[type[BaseModel]]:
        found = {model}
        for field in model.model_fields.values():
            stack = [field.annotation]
            while stack:
                part: Any = stack.pop()
                if isinstance(part, type) and issubclass(part, BaseModel):
                    found |= groups(part)
                stack += getattr(part, "__args__", ())
        return found

    for group in groups(Params):
        for name, field in group.model_fields.items():
            assert field.is_required(), f"{group.__name__}.{name} has a default"


def test_every_key_says_what_it_is() -> None:
    assert [key.name for key in keys() if not key.description] == []
    assert [key.name for key in keys() if not key.bounds] == []
