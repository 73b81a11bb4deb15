"""Which precision this CPU multiplies faster in, and what the check of parameters says of it."""

from __future__ import annotations

import pytest

from relearn import precision
from stages import parameters


def test_both_precisions_are_measured_and_threads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr(precision, "ROWS", 64)
    rates = {name: precision.measure_product(name, 1, 0.02) for name in precision.PRECISIONS}
    assert all(1e7 < rate < 1e14 for rate in rates.values())
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("rates", "argument", "told"),
    [
        ({"fp32": 1.7e11, "bf16": 4e11}, "", "the profile computes in bf16, the faster one"),
        ({"fp32": 1.7e11, "bf16": 3e10}, " -S profiles/smollm2.yaml:compute.precision=fp32", "fp32 is faster: add -S"),
    ],
)
def test_the_settings_of_a_run_suit_the_machine(
    rates: dict[str, float],
    argument: str,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(precision, "compare_precisions", lambda threads: rates)
    parameters.main(["--here", "profile=smollm2", "lr=1e-3"])
    said = capsys.readouterr()
    assert said.out == f"-S profile=smollm2 -S lr=1e-3{argument}\n"
    assert told in said.err


def test_a_profile_that_trains_its_own_model_is_not_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(precision, "compare_precisions", lambda threads: pytest.fail("measured"))
    parameters.main(["--here", "profile=mini", "seed=3"])
    assert capsys.readouterr().out == "-S profile=mini -S seed=3\n"


@pytest.mark.parametrize("setting", ["profile=smollm3", "lr=2", "rate=1"])
def test_settings_that_a_run_would_refuse_are_refused(setting: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parameters.main(["--here", "profile=smollm2", setting])
    assert capsys.readouterr().err.startswith(f"parameters: {setting}: ")


def test_a_setting_that_is_no_value_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parameters.main(["--here", "profile=[a"])
    assert capsys.readouterr().err == (
        "parameters: profile=[a: the value is not YAML; write NAME=VALUE, as for dvc exp run -S\n"
    )
