"""`make remedies`: the parameters of each method's experiment, what counts as done, and what dvc is told."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from relearn.errors import InputError
from relearn.evaluation.choice import Trade
from relearn.evaluation.equal_skill import AtEqualSkill
from relearn.evaluation.roles import ScoredTask
from relearn.params import Params, load
from stages import equal_skill, frontier, remedies
from stages.paths import Paths
from stages.roles import list_tasks
from tests.conftest import ROOT


@pytest.fixture
def project(tmp_path: Path) -> tuple[Params, Paths]:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return load(tmp_path), Paths.of(tmp_path)


def choose(project: tuple[Params, Paths], *arguments: str, method: str = "replay") -> Params:
    asked = remedies.read_arguments(arguments)
    return remedies.choose_params(*project, method, asked.seeds, asked.settings)


def test_plain_is_always_among_the_methods_and_once() -> None:
    read, arguments = remedies.read_arguments, remedies.Arguments
    assert read(["replay", "plain", "replay"]) == arguments(["plain", "replay"], [], None, {}, None)
    given = ["replay", "--seeds", "1", "2", "--choose", "3", "-S", "lr=1e-3", "--part", "1/2"]
    assert read(given) == arguments(["plain", "replay"], [1, 2], 3, {"lr": 0.001}, "1/2")
    seedless = (["--choose", "1"], ["--choose", "0", "--seeds", "1"])
    for wrong in (["--seeds", "x"], ["--half"], ["-S", "lr"], ["--choose", "x", "--seeds", "1"], *seedless):
        with pytest.raises(InputError, match=r"usage: python -m stages\.remedies METHOD"):
            read(wrong)


def test_an_experiment_trains_2b_only_and_answers_with_it_alone(project: tuple[Params, Paths]) -> None:
    own = choose(project, "--seeds", "1", "2")
    assert (own.method, own.seeds, own.finetune_2c.epochs, own.replays) == ("replay", [1, 2], 0, False)
    assert own.predict.scales == remedies.SCALES
    assert own.predict.decode_scales == []
    assert remedies.name_experiment(own) == "remedy-mini-replay-1-2"


def test_settings_change_the_experiment_and_go_to_dvc(project: tuple[Params, Paths]) -> None:
    given = (
        "-S",
        "lr=5e-3",
        "-S",
        "profiles/mini.yaml:predict.scale_rows=null",
        "-S",
        "profiles/mini.yaml:finetune_2b.epochs=2",
    )
    own = choose(project, *given)
    assert (own.lr, own.predict.scale_rows, own.finetune_2b.epochs) == (0.005, None, 2)
    told = remedies.list_settings(own, "replay", remedies.read_arguments(given).settings)
    assert told[::2] == ["-S"] * (len(told) // 2)
    # dvc reads a value as YAML: what it then writes into the files is the experiment's parameters
    settings = {name: YAML(typ="safe").load(value) for name, _, value in (one.partition("=") for one in told[1::2])}
    assert remedies.choose_params(*project, "replay", own.seeds, settings) == own
    with pytest.raises(InputError, match="no such key"):
        choose(project, "-S", "profiles/mini.yaml:predict.scalse=[1]")
    with pytest.raises(InputError, match="-S method=kl: name the methods to compare before -S"):
        choose(project, "-S", "method=kl")
    with pytest.raises(InputError, match=r"expected settings of profiles/mini\.yaml"):
        choose(project, "-S", "profiles/files.yaml:predict.scales=[1]")
    with pytest.raises(InputError, match="scales: 9 is out of bounds"):
        choose(project, "-S", "profiles/mini.yaml:predict.scales=[9]")


def test_another_profile_is_one_setting(project: tuple[Params, Paths]) -> None:
    own = choose(project, "-S", "profile=smollm2", "-S", "lr=1e-3", method="plain")
    assert (own.profile, own.lr, remedies.name_experiment(own)) == ("smollm2", 0.001, "remedy-smollm2-plain")


def shown(params: Params) -> dict[str, Any]:
    """An experiment's parameters as dvc shows them."""
    return params.model_dump(mode="json")


def test_what_ran_with_the_same_parameters_is_done_and_nothing_else(project: tuple[Params, Paths]) -> None:
    own = choose(project)
    assert remedies.is_done(shown(own), own)
    assert not remedies.is_done({}, own)
    other = shown(own)
    other["finetune"]["lora"]["targets"] = "all-linear"  # as a profile may write it
    assert not remedies.is_done(other, own)
    assert remedies.is_done(other, Params.model_validate(other))
    for changed in ("lr=5e-3", "seed=4", "profiles/mini.yaml:finetune_2b.methods.replay.share=0.2"):
        assert not remedies.is_done(shown(choose(project, "-S", changed)), own), changed
    assert remedies.is_done(shown(choose(project, "-S", "profiles/mini.yaml:report.caption=x")), own)


def test_methods_of_another_loss_are_also_compared_by_their_answers_and_plain_with_them(
    project: tuple[Params, Paths],
) -> None:
    wanted = {method: choose(project, method=method) for method in ("plain", "replay", "dft", "stm", "kl")}
    assert list(remedies.list_crossing(wanted)) == ["plain", "dft", "stm"]
    del wanted["dft"], wanted["stm"]
    assert remedies.list_crossing(wanted) == {}


def test_2b_answers_where_a_method_reaches_the_target(
    project: tuple[Params, Paths], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = [choose(project, method=method) for method in ("plain", "dft", "asft", "stm")]
    factors = {"plain": 0.6512, "dft": 1.0, "asft alpha 0.05 direction forward": 1.2371, "stm threshold 2.5": None}

    def compare(*_: Any) -> Any:
        return {}, [
            # of a chosen method the main seed's is no part of the claim, but its answers are there
            AtEqualSkill(name, {1: 0.1}, 1.0, 0.0, [], chosen_by={1222: factor})
            if name.startswith("asft")
            else AtEqualSkill(name, {1222: factor}, 1.0, 0.0, [])
            for name, factor in factors.items()
        ]

    monkeypatch.setattr(equal_skill, "compare", compare)
    assert remedies.find_factors(wanted, [], project[1]) == {"plain": 0.65, "asft": 1.24}  # dft's is 2b itself
    assert "stm never has 90% of what plain gains" in capsys.readouterr().err
    for name in list(factors)[1:]:
        factors[name] = None
    assert remedies.find_factors(wanted, [], project[1]) == {}  # nothing to hold plain's answers against
    assert remedies.find_factors([], [], project[1]) == {}


def test_an_experiment_at_the_crossing_is_run_once_and_again_for_another_factor(
    project: tuple[Params, Paths], monkeypatch: pytest.MonkeyPatch
) -> None:
    crossing = {method: choose(project, method=method) for method in ("plain", "dft")}
    factors = {"plain": 0.65, "dft": 0.87}
    monkeypatch.setattr(remedies, "find_factors", lambda *_: factors)
    chosen = remedies.choose_answers(crossing, [], project[1])
    assert [own.predict.decode_scales for own in chosen.values()] == [[0.65], [0.87]]
    name = remedies.name_experiment(chosen["dft"], remedies.CROSSING)
    assert name == "remedy-mini-dft-crossing"
    given = {"profiles/mini.yaml:predict.decode_scales": [0.5]}  # whatever was given for the curves
    assert "profiles/mini.yaml:predict.decode_scales=[0.87]" in remedies.list_settings(chosen["dft"], "dft", given)
    data = {"params": {"params.yaml": {"data": shown(chosen["dft"])}}, "metrics": {"metrics/eval_3a/2b.json": {}}}
    document = [{"rev": "0", "experiments": [{"name": name, "revs": [{"rev": "1", "name": name, "data": data}]}]}]
    assert list(remedies.choose_answers(crossing, document, project[1])) == ["plain"]
    factors["dft"] = 0.88
    assert list(remedies.choose_answers(crossing, document, project[1])) == ["plain", "dft"]


@dataclass
class World:
    """What DVC holds, and what each method does on validation rows; stands for dvc and for training."""

    trades: dict[str, Trade]
    document: list[dict[str, Any]] = field(default_factory=list)
    ran: list[tuple[str, list[int]]] = field(default_factory=list)

    def run(self, name: str, own: Params, *_: Any) -> None:
        self.ran.append((name, own.seeds))
        data = {"params": {"params.yaml": {"data": shown(own)}}, "metrics": {"metrics/eval_3a/2b.json": {}}}
        revisions = [{"rev": f"of {name}", "name": name, "data": data}]
        self.document.append({"rev": "0", "experiments": [{"name": name, "revs": revisions}]})

    def read_trade(self, _: Paths, revision: str, tasks: Sequence[ScoredTask]) -> Trade:
        assert {task.name for task in tasks} == {"code", "reviews", "general"}
        return self.trades[revision.removeprefix("of remedy-mini-").replace("-", "_")]  # of the main seed's alone


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    trades = {
        "plain": Trade(2.0, 1.0), "kl": Trade(1.9, 0.1), "l2_init": Trade(1.9, 0.6), "self_replay": Trade(1.9, 0.2)
    }  # fmt: skip
    found = World(trades)
    monkeypatch.setattr(frontier, "show_experiments", lambda _: list(found.document))
    monkeypatch.setattr(frontier, "write", lambda *_, **__: {})
    monkeypatch.setattr(equal_skill, "read_trade", found.read_trade)
    monkeypatch.setattr(remedies, "_run", found.run)
    monkeypatch.setattr(remedies, "_measure_run", lambda own, _: {"plain": 60, "l2_init": 120}.get(own.method, 180))
    return found


def command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["remedies", *arguments])


METHODS = ("l2_init", "self_replay", "kl")
FIRST = [(f"remedy-mini-{name}", []) for name in ("plain", "l2-init", "self-replay", "kl")]


def test_the_best_on_validation_rows_and_plain_get_the_further_seeds_once(
    project: tuple[Params, Paths], world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, *METHODS, "--choose", "2", "--seeds", "1", "2")
    assert remedies.work(*project) == {"run": 4, "again": 3, "answered": 0}
    assert world.ran == [
        *FIRST,
        ("remedy-mini-plain-1-2", [1, 2]),
        ("remedy-mini-kl-1-2-chosen", [1, 2]),
        ("remedy-mini-self-replay-1-2-chosen", [1, 2]),
    ]
    said = capsys.readouterr().err
    # one of each, then plain and the two longest with three seeds: 1 + 2 + 3 + 3, and 3 * (1 + 3 + 3)
    assert "then plain and the best 2 with further seeds: at most about 21 min" in said
    assert "4 of 4 methods to run, about 30 min of training and answering here" in said
    assert "kl gains 1.900 and loses 0.100 nats a token, 0.053 for each gained" in said
    assert "chosen for further seeds: kl, self_replay\n" in said

    world.ran.clear()
    remedies.work(*project)
    assert world.ran == []
    world.document.pop()  # as if it had been stopped before the last
    remedies.work(*project)
    assert world.ran == [("remedy-mini-self-replay-1-2-chosen", [1, 2])]
    assert "then self_replay with further seeds: at most about 9 min" in capsys.readouterr().err


def test_a_part_runs_the_main_seed_alone_and_chooses_nothing(
    project: tuple[Params, Paths], world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, *METHODS, "--choose", "2", "--seeds", "1", "2", "--part", "1/2")
    assert remedies.work(*project) == {"run": 2}
    assert world.ran == [FIRST[0], FIRST[2]]
    assert "further seeds" not in capsys.readouterr().err


def test_where_nothing_is_forgotten_or_too_few_learn_enough_it_says_so(
    project: tuple[Params, Paths], world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, *METHODS, "--choose", "2", "--seeds", "1", "2")
    world.trades |= {"kl": Trade(0.5, 0.0), "l2_init": Trade(0.5, 0.0)}
    remedies.work(*project)
    assert [name for name, _ in world.ran[4:]] == ["remedy-mini-plain-1-2", "remedy-mini-self-replay-1-2-chosen"]
    assert "chosen for further seeds: self_replay; no other gains 90% of what plain gains" in capsys.readouterr().err
    world.ran.clear()
    world.trades["plain"] = Trade(2.0, -0.1)
    remedies.work(*project)
    assert world.ran == []
    assert "no method is chosen, since plain gains or loses nothing there" in capsys.readouterr().err


def test_losses_on_validation_rows_are_read_of_the_experiment(project: tuple[Params, Paths]) -> None:
    params, paths = project
    paths.losses("2b").parent.mkdir(parents=True)
    paths.losses("2b").write_text(
        "step,task,loss\n0,code,1\n0,reviews,3\n0,general,2\n8,train,1\n8,code,1.5\n8,reviews,1\n8,general,2.1\n"
    )
    found = equal_skill.read_trade(paths, "workspace", list_tasks(params))
    assert (found.gained, found.lost) == pytest.approx((2.0, 0.3))
    paths.losses("2b").unlink()
    with pytest.raises(InputError, match=r"metrics/losses/2b\.csv of workspace: no losses of reviews"):
        equal_skill.read_trade(paths, "workspace", list_tasks(params))


def test_time_is_counted_from_the_methods_class_and_its_rows(project: tuple[Params, Paths]) -> None:
    params, paths = project
    shutil.copytree(ROOT / "data" / "sources" / "mini", paths.sources / "mini")
    plain = choose(project, method="plain")

    def count(method: str, *settings: str) -> float | None:
        return equal_skill.count_time(choose(project, *settings, method=method), plain, paths)

    assert count("plain") == 1
    assert count("dft") == 1
    assert count("kl", "--seeds", "1", "2") == pytest.approx(4 / 3)  # seeds are run again, at no more cost each
    share = params.finetune_2b.methods.replay.share
    assert count("replay") == pytest.approx(1 / (1 - share), rel=0.05)
    assert count("self_replay") == pytest.approx(1 + 4 / 3 * 4 / params.finetune.batch_size)
    assert equal_skill.count_time(None, plain, paths) is None


def test_the_command_of_a_run_names_what_differs_from_the_files(project: tuple[Params, Paths]) -> None:
    _, paths = project
    assert equal_skill.name_command(choose(project, method="replay"), paths) == "dvc exp run -S method=replay"
    settings = (
        "-S",
        "lr=5e-3",
        "-S",
        "profiles/mini.yaml:finetune_2b.methods.kl.beta=3",
        "-S",
        "profiles/mini.yaml:finetune.lora.rank=8",
    )
    assert equal_skill.name_command(choose(project, *settings, method="kl"), paths) == (
        "dvc exp run -S method=kl -S lr=0.005 -S 'profiles/mini.yaml:finetune.lora.rank=8' "
        "-S 'profiles/mini.yaml:finetune_2b.methods.kl.beta=3.0'"
    )
    other = choose(project, "-S", "profile=smollm2", "-S", "lr=1e-3", method="plain")
    assert equal_skill.name_command(other, paths) == "dvc exp run -S method=plain -S profile=smollm2 -S lr=0.001"
