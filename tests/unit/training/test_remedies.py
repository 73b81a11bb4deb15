"""Each remedy's loss and gradients are those of its formula, computed directly, wherever the model is computed."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from relearn.errors import InputError
from relearn.models import load_base
from relearn.params.finetune import Lora, Methods
from relearn.training import passes as passes_module
from relearn.training.method import Method, Part, load_method
from relearn.training.passes import Passes, cross_entropy
from relearn.training.quick import speed_up
from relearn.training.rounds import continue_adapter, new_adapter, save_adapter
from relearn.training.rows import EncodedRow, EncodedRows
from relearn.training.trainer import train
from tests.unit.models.alone import make_base
from tests.unit.training.test_quick import ALL, BATCH, ROWS, grouped, tuned
from tests.unit.training.test_quick import WORDS as OWN_WORDS
from tests.unit.training.test_trainer import HELD_OUT, WORDS, model, same, schedule
from tests.unit.training.test_trainer import ROWS as TRAINED

Direct = Callable[[Any, Any, torch.Tensor], torch.Tensor]  # log π (n, V), log π₀, targets -> losses


def nll(own: Any, targets: torch.Tensor) -> torch.Tensor:
    return torch.stack([-own[at, target] for at, target in enumerate(targets.tolist())])


def forward_kl(own: Any, base: Any) -> torch.Tensor:
    return torch.stack([sum(base[at].exp() * (base[at] - own[at])) for at in range(len(own))])


def entropy_weight(own: Any, top: int, alpha: float) -> torch.Tensor:
    found = []
    for row in own.detach().exp():
        likeliest = sorted(row.tolist(), reverse=True)[:top]
        shares = [share / sum(likeliest) for share in likeliest]
        found.append((-sum(share * math.log(share) for share in shares) / math.log(top)) ** alpha)
    return torch.tensor(found)


# name, its parameters, its formula
FORMULAS: dict[str, tuple[str, dict[str, Any], Direct]] = {
    "kl": ("kl", {"beta": 0.7}, lambda own, base, y: nll(own, y) + 0.7 * forward_kl(own, base)),
    "dft": ("dft", {}, lambda own, base, y: nll(own, y) * (-nll(own, y)).exp().detach()),
    "asft": (
        "asft",
        {"alpha": 0.3, "direction": "forward"},
        lambda own, base, y: nll(own, y) * (-nll(own, y)).exp().detach() + 0.3 * forward_kl(own, base),
    ),
    "asft, reverse": (
        "asft",
        {"alpha": 0.3, "direction": "reverse"},
        lambda own, base, y: nll(own, y) * (-nll(own, y)).exp().detach() + 0.3 * forward_kl(base, own),
    ),
    "eaft": ("eaft", {"top": 20, "alpha": 1.0}, lambda own, base, y: nll(own, y) * entropy_weight(own, 20, 1.0)),
    "eaft, squared": ("eaft", {"top": 5, "alpha": 2.0}, lambda own, base, y: nll(own, y) * entropy_weight(own, 5, 2.0)),
}
KINDS: dict[str, Callable[[], Any]] = {
    "all projections": lambda: tuned(ALL),
    "grouped heads": lambda: tuned(ALL, model=grouped()),
    "the head too": lambda: tuned([*ALL, "lm_head"], size=0.1),
    "dropout in the adapter": lambda: tuned(ALL, dropout=0.5),
}


def started(kind: str = "all projections") -> tuple[Any, Any]:
    """A model some updates after its start, and its start."""
    adapted = KINDS[kind]()
    start = copy.deepcopy(adapted).eval()
    return adapted, start


def move(adapted: Any) -> None:
    torch.manual_seed(5)
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn_like(weight) * 0.1)


def gradients(adapted: Any) -> dict[str, torch.Tensor]:
    return {name: weight.grad.clone() for name, weight in adapted.named_parameters() if weight.grad is not None}


def log_probabilities(some: Any) -> torch.Tensor:
    logits = some(input_ids=BATCH["input_ids"]).logits.float()
    return torch.cat([logits[i, [at - 1 for at in row.learned()]] for i, row in enumerate(ROWS)]).log_softmax(-1)


def targets() -> torch.Tensor:
    return torch.tensor([row.ids[at] for row in ROWS for at in row.learned()])


def method(name: str, **options: Any) -> Method:
    return load_method(name, SimpleNamespace(**options), 1)


def losses_of(method: Method, adapted: Any, quick: bool) -> torch.Tensor:
    """The losses of `BATCH`, of a model that moves after its start was noted."""
    with speed_up(adapted) if quick else nullcontext() as head:
        assert (head is not None) == quick
        passes = Passes(adapted, head)
        move(adapted)
        adapted.train()
        return passes.losses(BATCH, method.token_loss, method.reads_base)


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_method_says_whether_it_learns_the_likelihood(formula: str) -> None:
    """Where model and base agree no penalty is left, and the loss of one that does is the cross entropy."""
    name, options, _ = FORMULAS[formula]
    logits, labels = torch.randn(6, 30, generator=torch.manual_seed(3)), torch.arange(6)
    found = method(name, **options).token_loss(logits, labels, logits)
    assert torch.allclose(found, cross_entropy(logits, labels), atol=1e-5) == Methods.learns_likelihood(name)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("kind", ["all projections", "grouped heads", "the head too"])
@pytest.mark.parametrize("formula", FORMULAS)
def test_loss_and_gradients_are_those_of_the_formula(
    formula: str, kind: str, quick: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passes_module, "POSITIONS", 7)  # several pieces, the last one smaller
    name, options, direct = FORMULAS[formula]
    adapted, start = started(kind)
    found = losses_of(method(name, **options), adapted, quick)
    (found.sum() / 9).backward()
    ours = gradients(adapted)
    adapted.zero_grad()
    with torch.no_grad():
        base = log_probabilities(start)
    expected = direct(log_probabilities(adapted), base, targets())
    (expected.sum() / 9).backward()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    theirs = gradients(adapted)
    assert ours.keys() == theirs.keys()
    for place, gradient in theirs.items():
        largest = gradient.abs().max().item()
        # Rounding goes by the largest: against float64, that of either side is up to 5e-6 of it on processors with AMX.
        torch.testing.assert_close(ours[place], gradient, rtol=1e-3, atol=5e-6 * largest, msg=place)
        assert largest > 0, place


@pytest.mark.parametrize("formula", ["kl", "eaft"])
def test_over_weights_in_bf16_it_is_as_near_to_fp32_as_plain_training(formula: str) -> None:
    name, options, _ = FORMULAS[formula]
    half = tuned(ALL, model=grouped(torch.bfloat16))
    exact = tuned(ALL, model=grouped(torch.bfloat16).float())
    exact.load_state_dict(half.state_dict())
    found = losses_of(method(name, **options), half, quick=True)
    wanted = losses_of(method(name, **options), exact, quick=True)
    found.sum().backward()
    wanted.sum().backward()
    assert found.sum().item() == pytest.approx(wanted.sum().item(), rel=0.03)
    pairs = [(gradient, gradients(half)[place]) for place, gradient in gradients(exact).items()]
    off = torch.stack([(one - other).norm() for one, other in pairs]).norm()
    assert off / torch.stack([one.norm() for one, _ in pairs]).norm() < 0.1


def test_the_base_is_seen_without_dropout_and_the_model_with_it() -> None:
    adapted, start = started("dropout in the adapter")
    with torch.no_grad():
        base = log_probabilities(start)
    seen: list[torch.Tensor] = []

    def look(logits: torch.Tensor, targets: torch.Tensor, of_base: torch.Tensor | None) -> torch.Tensor:
        assert of_base is not None
        seen.append(of_base.log_softmax(-1))
        return cross_entropy(logits, targets)

    with speed_up(adapted) as head:
        passes = Passes(adapted, head)
        move(adapted)
        one, other = (passes.losses(BATCH, look, True) for _ in range(2))
    torch.testing.assert_close(torch.cat(seen), torch.cat([base, base]), rtol=1e-4, atol=1e-5)
    assert not torch.equal(one, other)
    assert adapted.training


@pytest.mark.parametrize("kind", ["gpt2", "phi3", "gemma"])
def test_the_base_of_other_architectures_is_the_model_without_its_adapter(tmp_path: Path, kind: str) -> None:
    lora = Lora(rank=2, alpha=4, dropout=0.0, targets=["all-linear"])
    adapted = new_adapter(load_base(make_base(tmp_path / "base", kind, initializer_range=0.1), "cpu"), lora)
    passes = Passes(adapted, None)
    move(adapted)
    adapted.eval()
    found = passes.base_losses(BATCH, lambda logits, targets, _: cross_entropy(logits, targets))
    with torch.no_grad():
        own = nll(log_probabilities(adapted), targets())
        with adapted.disable_adapter():
            base = nll(log_probabilities(adapted), targets())
    torch.testing.assert_close(found, base, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(own, base, rtol=1e-2)


def test_no_more_logits_are_made_at_a_time_than_a_few_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes_module, "POSITIONS", 7)
    adapted, _ = started()
    widest: list[int] = []
    handle = adapted.get_output_embeddings().register_forward_hook(lambda _, __, made: widest.append(len(made)))
    losses_of(method("kl", beta=1.0), adapted, quick=True).sum().backward()
    handle.remove()
    assert max(widest) == 7
    assert len(widest) == 2 * -(-len(targets()) // 7)


# --- what is not a loss of a token ------------------------------------------------------------------------------


def masked_rows(threshold: float, quick: bool) -> tuple[Method, EncodedRows, list[float]]:
    adapted, start = started()
    chosen = method("stm", threshold=threshold)
    with speed_up(adapted) if quick else nullcontext() as head:
        rows = chosen.begin(Passes(adapted, head), EncodedRows(ROWS, 3), OWN_WORDS.pad_token_id)
    with torch.no_grad():
        surprise = nll(log_probabilities(start), targets()).exp().tolist()
    return chosen, rows, surprise


@pytest.mark.parametrize("quick", [True, False])
def test_stm_masks_what_surprises_the_base(quick: bool) -> None:
    threshold = 300.0  # between the tokens of a model that has learned nothing
    chosen, rows, surprise = masked_rows(threshold, quick)
    places = [(index, at) for index, row in enumerate(ROWS) for at in row.learned()]
    kept = [place for place, perplexity in zip(places, surprise, strict=True) if perplexity <= threshold]
    assert [(index, at) for index, row in enumerate(rows.rows) for at in row.learned()] == kept
    assert 0 < len(kept) < len(places)
    assert chosen.facts == {"masked": round(1 - len(kept) / len(places), 4)}
    assert [row.ids for row in rows.rows] == [row.ids for row in ROWS]
    assert rows.too_long == 3


def test_stm_with_nothing_left_is_one_line() -> None:
    with pytest.raises(InputError, match=r"stm\.threshold: the base finds every token less likely than 1 in 1\.01"):
        masked_rows(1.01, quick=True)


def penalty(adapted: Any, start: Any, strength: float) -> torch.Tensor:
    """The squared change of each adapted matrix, made in full."""
    total = torch.zeros(())
    for (_, now), (_, then) in zip(adapted.named_modules(), start.named_modules(), strict=True):
        for name in getattr(now, "lora_A", {}):
            change = now.get_delta_weight(name) - then.get_delta_weight(name).detach()
            total = total + change.square().sum()
    return strength * total


@pytest.mark.parametrize("kind", ["all projections", "the head too"])
def test_l2_init_is_the_change_of_the_weights(kind: str) -> None:
    adapted, start = started(kind)
    passes = Passes(adapted, None)
    chosen = method("l2_init", strength=0.1)
    unmoved = chosen.add_loss(passes, Part(0, 0, 1))
    assert unmoved is not None
    assert unmoved.item() == pytest.approx(0, abs=1e-4)
    move(adapted)
    parts = [chosen.add_loss(passes, Part(0, index, 2)) for index in range(2)]
    found = sum(part for part in parts if part is not None)
    assert isinstance(found, torch.Tensor)
    found.backward()
    ours = gradients(adapted)
    adapted.zero_grad()
    expected = penalty(adapted, start, 0.1)
    expected.backward()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    for place, gradient in gradients(adapted).items():
        torch.testing.assert_close(ours[place], gradient, rtol=1e-3, atol=1e-5, msg=place)


def test_l2_init_holds_what_is_no_lora_too() -> None:
    whole = model(WORDS)
    passes = Passes(whole, None)
    with torch.no_grad():
        whole.model.norm.weight.add_(2.0)
    found = method("l2_init", strength=0.5).add_loss(passes, Part(0, 0, 1))
    assert found is not None
    assert found.item() == pytest.approx(0.5 * 4 * len(whole.model.norm.weight), rel=1e-5)


def replaying(**options: Any) -> tuple[Method, Any, Any]:
    adapted, start = started()
    chosen = method("self_replay", **options)
    chosen.samples = [EncodedRow(row.ids, 1) for row in ROWS]
    return chosen, adapted, start


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_self_replay_holds_the_model_to_the_base_on_what_the_base_wrote(count: int, quick: bool) -> None:
    chosen, adapted, start = replaying(mode="kl", beta=0.6, per_update=4)
    with speed_up(adapted) if quick else nullcontext() as head:
        passes = Passes(adapted, head)
        rows = EncodedRows(ROWS[:3], 1)
        assert chosen.begin(passes, rows, OWN_WORDS.pad_token_id) is rows
        move(adapted)
        adapted.train()
        parts = [chosen.add_loss(passes, Part(3, index, count)) for index in range(count)]
    assert parts.count(None) == max(0, count - 4)
    found = sum(part for part in parts if part is not None)
    assert isinstance(found, torch.Tensor)
    found.backward()
    ours = gradients(adapted)
    adapted.zero_grad()
    total, tokens = torch.zeros(()), 0
    for row in chosen._choose(3):  # type: ignore[attr-defined]
        batch = torch.tensor([row.ids])
        own = adapted(input_ids=batch).logits[0, :-1].log_softmax(-1)
        with torch.no_grad():
            base = start(input_ids=batch).logits[0, :-1].log_softmax(-1)
        total, tokens = total + forward_kl(own, base).sum(), tokens + len(row.ids) - 1
    expected = 0.6 * total / tokens
    expected.backward()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    for place, gradient in gradients(adapted).items():
        torch.testing.assert_close(ours[place], gradient, rtol=1e-3, atol=1e-6, msg=place)


def test_self_replay_goes_through_all_sampled_rows_before_one_comes_again() -> None:
    chosen, _, _ = replaying(mode="kl", beta=1.0, per_update=4)
    count = len(chosen.samples)
    seen = [row for update in range(2 * count) for row in chosen._choose(update)]  # type: ignore[attr-defined]
    turns = [seen[start : start + count] for start in range(0, len(seen), count)]
    in_order = [sorted(turn, key=lambda row: list(row.ids)) for turn in [chosen.samples, *turns]]
    assert all(turn == in_order[0] for turn in in_order)
    assert turns[0] != turns[1]


def test_self_replay_may_mix_its_rows_in() -> None:
    chosen, adapted, _ = replaying(mode="rows", beta=1.0, per_update=4)
    passes = Passes(adapted, None)
    assert chosen.begin(passes, EncodedRows(ROWS[:3], 1), 0).rows == [*ROWS[:3], *chosen.samples]
    assert chosen.add_loss(passes, Part(0, 0, 1)) is None
    chosen.samples = ()
    with pytest.raises(InputError, match="self_replay needs rows that the base wrote; run the stage sample"):
        chosen.begin(passes, EncodedRows(ROWS[:3]), 0)


# --- whole runs ---------------------------------------------------------------------------------------------------

OPTIONS: dict[str, dict[str, Any]] = {
    "kl": {"beta": 1.0},
    "dft": {},
    "asft": {"alpha": 0.1, "direction": "reverse"},
    "eaft": {"top": 20, "alpha": 1.0},
    "stm": {"threshold": 320.0},
    "l2_init": {"strength": 0.01},
    "self_replay": {"mode": "kl", "beta": 2.0, "per_update": 3},
}
SAMPLES = [EncodedRow(row.ids, 4) for row in TRAINED.rows[20:27]]


def adapted_model(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return new_adapter(model(WORDS), Lora(rank=4, alpha=8, dropout=0.0, targets=ALL))


def learn(folder: Path, name: str, rows: EncodedRows = TRAINED, **changes: Any) -> Any:
    small, chosen = adapted_model(), method(name, **OPTIONS[name])
    chosen.samples = SAMPLES
    outcome = train(small, rows, HELD_OUT, WORDS.pad_token_id, schedule(**changes), folder, "test", method=chosen)
    return small, outcome.history


@pytest.mark.parametrize("name", OPTIONS)
def test_a_resumed_run_equals_an_uninterrupted_one_to_the_byte(tmp_path: Path, name: str) -> None:
    whole, history = learn(tmp_path / "a", name)
    (tmp_path / "a" / "checkpoint-10" / "trainer_state.json").unlink()  # as if killed after update 8 of 10
    resumed, again = learn(tmp_path / "a", name)
    assert same(whole, resumed)
    assert history == again
    plain, _ = learn_plain(tmp_path / "plain")
    assert not same(whole, plain)


def learn_plain(folder: Path) -> Any:
    small = adapted_model()
    return small, train(small, TRAINED, HELD_OUT, WORDS.pad_token_id, schedule(), folder, "test")


@pytest.mark.parametrize("name", OPTIONS)
def test_accumulated_passes_equal_one_large_batch(tmp_path: Path, name: str) -> None:
    few = EncodedRows(TRAINED.rows[:8])  # one update an epoch, whatever their order
    large, history = learn(tmp_path / "large", name, few, batch_size=8, epochs=4)
    small, again = learn(tmp_path / "small", name, few, batch_size=2, accumulation=4, epochs=4)
    assert history[-1]["step"] == again[-1]["step"] == 4
    start = adapted_model()
    for place, weight in large.state_dict().items():
        torch.testing.assert_close(small.state_dict()[place], weight, rtol=1e-3, atol=1e-5, msg=place)
    assert not same(large, start)


def test_a_run_goes_on_from_its_adapter_as_the_base(tmp_path: Path) -> None:
    """A second round's base is what the first one left, not the model without its adapter."""
    first = adapted_model()
    move(first)
    save_adapter(first, tmp_path / "2b", {}, "card")
    second = continue_adapter(model(WORDS), tmp_path / "2b")
    passes = Passes(second, None)
    move(second)
    found = passes.base_losses(BATCH, lambda logits, targets, _: cross_entropy(logits, targets))
    with torch.no_grad():
        expected = nll(log_probabilities(first.eval()), targets())
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
