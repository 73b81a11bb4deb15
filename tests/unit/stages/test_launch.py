"""The configurations of profiles/launch/ are what accelerate's own classes read, and say what this trainer needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
from accelerate.commands.launch import launch_command_parser
from accelerate.utils import DeepSpeedPlugin, FullyShardedDataParallelPlugin
from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
from torch.distributed.fsdp import StateDictType
from torch.distributed.fsdp.wrap import transformer_auto_wrap_policy

from relearn.errors import InputError
from relearn.params.compute import AccelerateLaunch
from relearn.training.shard import is_left_to_accelerate
from stages import launch
from stages.paths import Paths

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "profiles" / "launch"


def read(name: str) -> tuple[ClusterConfig, dict[str, str]]:
    """A file, and what accelerate's launcher would tell each process."""
    config = load_config_from_file(str(FOLDER / f"{name}.yaml"))
    assert isinstance(config, ClusterConfig)
    arguments = launch_command_parser().parse_args(["-m", "stages.finetune_2b"])
    for group in (config.fsdp_config, config.deepspeed_config):
        assert group is not None
        for key, value in group.items():
            assert hasattr(arguments, key), f"{name}.yaml: accelerate knows no {key}"
            setattr(arguments, key, value)
    arguments.num_processes, arguments.num_machines = config.num_processes, config.num_machines
    arguments.mixed_precision, arguments.dynamo_backend = config.mixed_precision, "no"
    arguments.deepspeed_fields_from_accelerate_config = ",".join(config.deepspeed_config or ())
    sharded = config.distributed_type.value
    arguments.use_fsdp, arguments.use_deepspeed = sharded == "FSDP", sharded == "DEEPSPEED"
    prepared: Any = (
        prepare_deepspeed_cmd_env(arguments)[1] if sharded == "DEEPSPEED" else prepare_multi_gpu_env(arguments)
    )
    return config, dict(prepared)


def set_environment(monkeypatch: pytest.MonkeyPatch, name: str) -> ClusterConfig:
    config, told = read(name)
    for key, value in told.items():
        monkeypatch.setenv(key, value)
    return config


def test_every_file_is_checked_here() -> None:
    assert sorted(file.stem for file in FOLDER.iterdir()) == ["fsdp2", "zero2", "zero3"]


def test_fsdp2_shards_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    config = set_environment(monkeypatch, "fsdp2")
    assert is_left_to_accelerate()
    plugin = FullyShardedDataParallelPlugin()
    assert (config.distributed_type.value, plugin.fsdp_version, plugin.reshard_after_forward) == ("FSDP", 2, True)
    assert plugin.auto_wrap_policy is transformer_auto_wrap_policy
    assert plugin.transformer_cls_names_to_wrap is None  # the model says what its blocks are
    # every process loads the base and checks it; others would find empty weights
    assert plugin.cpu_ram_efficient_loading is False
    assert plugin.state_dict_type == StateDictType.SHARDED_STATE_DICT
    assert not plugin.activation_checkpointing
    assert config.mixed_precision == "no"


@pytest.mark.parametrize("stage", [2, 3])
def test_zero_takes_its_numbers_from_the_trainer(monkeypatch: pytest.MonkeyPatch, stage: int) -> None:
    config = set_environment(monkeypatch, f"zero{stage}")
    assert is_left_to_accelerate()
    plugin = DeepSpeedPlugin()
    assert (config.distributed_type.value, plugin.zero_stage) == ("DEEPSPEED", stage)
    assert plugin.deepspeed_config["gradient_accumulation_steps"] == "auto"
    assert plugin.deepspeed_config["gradient_clipping"] == "auto"
    assert plugin.deepspeed_config["zero_optimization"]["offload_param"]["device"] == "none"
    assert plugin.zero3_init_flag is False
    # without it the first process cannot gather the adapter
    assert plugin.zero3_save_16bit_model is (stage == 3)
    assert config.mixed_precision == "no"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("distributed_type: FSDP\nfsdp: 2\n", "accelerate cannot read it (The config file at"),
        ("distributed_type: SHARDS\n", "'SHARDS' is not a valid"),
        ("num_processes: 2\n", "A `distributed_type` must be specified"),
        ("a: [\n", "accelerate cannot read it (while parsing"),
    ],
)
def test_a_file_that_accelerate_cannot_read_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "own.yaml").write_text(text, encoding="utf-8")
    group = AccelerateLaunch(kind="accelerate", config="own.yaml", processes=2)
    with pytest.raises(InputError) as refused:
        launch._read_kind(group, Paths.of(tmp_path))
    assert str(refused.value).startswith("launch.config: own.yaml: ")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
