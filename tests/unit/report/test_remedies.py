"""Methods at equal new skill: read from experiments once, said with their intervals, drawn for each old task."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

from relearn.evaluation.curve import Curve
from relearn.evaluation.equal_skill import compare_at_equal_skill
from relearn.evaluation.roles import ModelRoles
from relearn.report import frontier, remedies
from relearn.report.words import Words
from tests.unit.evaluation.test_equal_skill import TASKS, bend, curve, saturate
from tests.unit.report import test_frontier

WORDS = Words(TASKS, ModelRoles("base", "2b"))
METHODS = {
    "plain": {7: curve(saturate(1.0), bend(0.5), noise=0.2)},
    "kl beta 1": {7: curve(saturate(0.98), bend(0.1), noise=0.2)},
    "timid": {7: curve(saturate(0.5), bend(0.0), noise=0.2)},
}


def test_the_table_marks_what_is_sure_and_says_who_never_reaches_the_target() -> None:
    found = compare_at_equal_skill(METHODS, "plain", TASKS, 300, 5)
    heads, rows = remedies.table_heads(found, WORDS), remedies.table_rows(found)
    assert heads == ["method", "seeds", "learned at λ = 1", "λ at 90%", "old lost", "than plain"]
    assert [row[0] for row in rows] == list(METHODS)
    assert rows[0][2:4] == ["100%", "0.65"]
    assert rows[0][5] == "–"
    assert rows[1][5].startswith("-0.")
    assert rows[1][5].endswith(" ▲")
    assert rows[2][2:] == ["50%", "never reaches it (0 of 1 seeds)", "–", "–"]
    text = remedies.markdown(found, WORDS)
    assert "these checkpoints, not the method: one training seed" in text


def test_every_old_task_is_drawn_with_every_method() -> None:
    found = compare_at_equal_skill(METHODS, "plain", TASKS, 100, 5)
    ((task, plot),) = remedies.draw(found, METHODS, WORDS)
    assert task == "old"
    ElementTree.fromstring(plot)
    assert all(f">{name}<" in plot for name in METHODS)
    trials = frontier.read(test_frontier.shown(), test_frontier.WORDS, "mini")
    page = frontier.render(trials, WORDS, "mini", found, METHODS)
    assert "What each method loses at equal new skill" in page
    assert "What each method loses" not in frontier.render(trials, WORDS, "mini")


def experiment(name: str, method: str, lr: float = 0.01, **more: Any) -> dict[str, Any]:
    chosen = {"share": 0.05} if method == "replay" else {}
    data = {
        "params": {
            "params.yaml": {"data": {"profile": "mini", "lr": lr, "seed": 7, "method": method}},
            "profiles/mini.yaml": {
                "data": {
                    "predict": {"scales": [0.5]},
                    "finetune_2b": {"methods": {method: chosen}},
                    "seeds": [],
                    **more,
                }
            },
        },
        "metrics": {"metrics/eval_3a/base.json": {"data": {}}},
    }
    return {"name": name, "revs": [{"rev": name * 8, "name": name, "data": data}]}


def test_curves_are_read_by_setting_and_seed_plain_first() -> None:
    experiments = [
        experiment("a", "replay"),
        experiment("b", "plain", seeds=[1, 2]),
        experiment("c", "plain", lr=0.002),
        experiment("d", "plain"),
        experiment("e", "kl", predict={"scales": []}),
        experiment("f", "dft"),
    ]
    document = [{"rev": "workspace", "data": None, "experiments": experiments}]
    opened: list[tuple[str, int | None]] = []

    def open_curve(revision: str, seed: int | None) -> Curve | None:
        opened.append((revision[0], seed))
        return None if revision.startswith("f") else METHODS["plain"][7]

    found = frontier.read_curves(document, "mini", 0.01, open_curve)
    assert {name: list(runs) for name, runs in found.items()} == {
        "plain": [7, 1, 2], "replay share 0.05": [7], "plain, lr 0.002": [7]
    }  # fmt: skip
    assert opened == [("a", None), ("b", None), ("b", 1), ("b", 2), ("c", None), ("f", None)]
    assert frontier.read_curves(document, "mini", 0.5, open_curve) == {}
    assert frontier.read_curves(document, "files", 0.01, open_curve) == {}
    assert set(frontier.list_experiments(document)) == set("abcdef")
