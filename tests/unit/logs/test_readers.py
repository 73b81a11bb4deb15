"""What each format's samples become, and what a log that is broken, unfinished or of two runs gets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relearn.errors import InputError
from relearn.logs.find import find_runs
from relearn.logs.pairs import Paired, pair
from relearn.logs.records import Run, Weighed
from relearn.logs.table import Side, read_side
from tests.unit.logs import made


def only_run(path: Path, cluster: str | None = None) -> Run:
    (run,) = find_runs(str(path), cluster)
    return run


def sides(base: Path, tuned: Path, cluster: str | None = None) -> tuple[Side, Side]:
    names: dict[str, int] = {}
    return (
        read_side("base", str(base), find_runs(str(base), cluster), names),
        read_side("tuned", str(tuned), find_runs(str(tuned), cluster), names),
    )


def paired(base: Path, tuned: Path, cluster: str | None = None) -> Paired:
    return pair(*sides(base, tuned, cluster), cluster, other_prompts=False)


def test_lm_eval_has_a_score_a_filter_and_directions_from_the_results(tmp_path: Path) -> None:
    rows = [made.lm_eval_row(i, {"exact_match": 1.0}, name) for name in ("strict", "loose") for i in range(3)]
    run = only_run(made.write_lm_eval(tmp_path / "base", {"say": rows}), "topic")
    samples = list(run.samples)
    assert len(samples) == 6
    assert {next(iter(one.scores)) for one in samples} == {"exact_match,strict", "exact_match,loose"}
    assert samples[1].cluster == "t1"
    assert run.better["say", "exact_match,strict"] == "higher"
    assert run.model == "base"


def test_rolling_likelihood_is_a_corpus_figure_and_a_mean_of_texts(tmp_path: Path) -> None:
    values = {"bits_per_byte": [-10.0, 5], "byte_perplexity": [-10.0, 5]}
    run = only_run(made.write_lm_eval(tmp_path / "b", {"texts": [made.lm_eval_row(0, values)]}))
    (sample,) = run.samples
    assert sample.scores["bits_per_byte"] == Weighed(pytest.approx(2 / 0.6931472), 5)
    assert sample.scores["bits_per_byte (mean of texts)"] == pytest.approx(2 / 0.6931472)
    assert ("texts", "byte_perplexity") in run.exponential
    assert run.better["texts", "byte_perplexity"] == "lower"


def test_the_log_likelihood_of_lambada_is_not_taken_as_a_perplexity(tmp_path: Path) -> None:
    """Its rows hold a log-likelihood, higher being better, under the name of a figure of which lower is."""
    run = only_run(made.write_lm_eval(tmp_path / "b", {"lambada": [made.lm_eval_row(0, {"perplexity": -2.5})]}))
    (sample,) = run.samples
    assert sample.scores["perplexity"] == Weighed(2.5, 1)
    assert run.better["lambada", "perplexity"] == "lower"


def test_a_metric_that_is_no_number_a_sample_is_skipped_aloud(tmp_path: Path) -> None:
    rows = [made.lm_eval_row(i, {"acc": 1.0, "bleu": ["a", "b"]}) for i in range(3)]
    for name in ("base", "tuned"):
        made.write_lm_eval(tmp_path / name, {"mt": rows})
    found = paired(tmp_path / "base", tmp_path / "tuned")
    assert [one.metric for one in found.series] == ["acc"]
    assert "list instead of a number" in found.skipped["mt", "bleu"]


def test_inspect_letters_words_dicts_and_epochs(tmp_path: Path) -> None:
    samples = [
        made.inspect_sample("a", epoch, {"match": letter, "shape": {"words": 6, "found": "I"}, "why": [1]})
        for epoch, letter in ((1, "C"), (2, "P"))
    ]
    log = made.write_inspect(tmp_path / "x.json", samples)
    run = only_run(log, "topic")
    read = list(run.samples)
    assert [one.scores for one in read] == [
        {"match": 1.0, "shape.words": 6.0, "shape.found": 0.0},
        {"match": 0.5, "shape.words": 6.0, "shape.found": 0.0},
    ]
    assert {one.cluster for one in read} == {"t"}
    assert ("harbour", "why") in run.skipped
    (series, *_) = paired(log, log).series
    assert series.before.tolist() == [0.75], "epochs are averaged"
    assert not series.binary


def test_an_eval_archive_reads_as_the_json_does_and_counts_once_beside_it(tmp_path: Path) -> None:
    samples = [made.inspect_sample(name, 1, {"match": "C"}) for name in "ab"]
    made.write_eval(tmp_path / "run.eval", samples)
    made.write_inspect(tmp_path / "run.json", samples)
    run = only_run(tmp_path)
    assert run.source.suffix == ".eval"
    assert [one.id for one in run.samples] == ["a", "b"]
    assert any("the same run" in note for note in run.notes)


def test_messages_ids_that_each_run_makes_anew_are_no_part_of_the_prompt(tmp_path: Path) -> None:
    one = made.inspect_sample("a", 1, {"match": "C"})
    other = made.inspect_sample("a", 1, {"match": "I"})
    other["messages"][0]["id"] = "other"
    base, tuned = (made.write_inspect(tmp_path / "b.json", [one]), made.write_inspect(tmp_path / "t.json", [other]))
    assert paired(base, tuned).series[0].prompts_differ == 0
    other["messages"].insert(0, {"role": "system", "content": "Be brief."})
    assert paired(base, made.write_inspect(tmp_path / "t.json", [other])).series[0].prompts_differ == 1


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ({"status": "error", "error": {"message": "the harbour is closed"}}, "the harbour is closed"),
        ({"status": "cancelled"}, "cancelled"),
        ({"status": "started"}, "started"),
        ({"invalidated": True}, "invalid"),
    ],
)
def test_a_run_that_did_not_end_well_says_so(tmp_path: Path, header: dict[str, object], said: str) -> None:
    run = only_run(made.write_inspect(tmp_path / "x.json", [made.inspect_sample("a", 1, {"match": "C"})], **header))
    assert said in run.unfinished


def test_an_archive_without_a_header_had_not_finished(tmp_path: Path) -> None:
    run = only_run(made.write_eval(tmp_path / "x.eval", [made.inspect_sample("a", 1, {"match": "C"})], whole=False))
    assert "had not finished" in run.unfinished
    assert len(list(run.samples)) == 1


def test_a_failed_sample_is_no_wrong_answer(tmp_path: Path) -> None:
    failed = made.inspect_sample("b", 1, {"match": "I"}, error={"message": "out of memory"})
    run = only_run(made.write_inspect(tmp_path / "x.json", [made.inspect_sample("a", 1, {"match": "C"}), failed]))
    assert [dict(one.scores) for one in run.samples] == [{"match": 1.0}, {}]
    assert "out of memory" in run.notes[0]


def test_lighteval_pairs_by_its_own_id(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    def rows(order: list[int], score: int) -> list[dict[str, object]]:
        return [
            {
                "doc": {"id": str(i), "query": f"Q{i}", "choices": ["a"], "gold_index": 0, "specific": {"topic": "t"}},
                "metric": {"acc": score * i % 2, "odd": "x"},
                "model_response": {"input_tokens": [i]},
            }
            for i in order
        ]

    for name, order, score in (("base", [0, 1, 2], 1), ("tuned", [2, 0, 1], 0)):
        details = tmp_path / name / "details" / "models" / name / made.TIME / f"details_pick|0_{made.TIME}.parquet"
        details.parent.mkdir(parents=True)
        parquet.write_table(pyarrow.Table.from_pylist(rows(order, score)), details)
        results = tmp_path / name / "results" / "models" / name / f"results_{made.TIME}.json"
        results.parent.mkdir(parents=True)
        results.write_text(
            json.dumps({"config_tasks": {"pick|0": {"metrics": [{"metric_name": "acc", "higher_is_better": True}]}}})
        )
    found = paired(tmp_path / "base", tmp_path / "tuned", "topic")
    (series,) = found.series
    assert (series.before.tolist(), series.after.tolist()) == ([0, 1, 0], [0, 0, 0])
    assert ("pick|0", "odd") in found.skipped
    assert not any("which way" in note for note in found.notes)


def test_lighteval_without_pyarrow_is_one_line_of_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (tmp_path / f"details_x|0_{made.TIME}.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="pip install pyarrow"):
        list(only_run(tmp_path).samples)


def test_every_eval_ever_tells_its_runs_apart(tmp_path: Path) -> None:
    rows = [
        {
            "schema_version": "0.3.0",
            "evaluation_id": "demo/1",
            "model_id": model,
            "evaluation_name": "bench",
            "sample_id": f"s{i}",
            "input": {"raw": f"Q{i}", "reference": ["4"]},
            "evaluation": {"score": 1.0, "is_correct": True},
            "metadata": {"subject": "sums"},
        }
        for model in ("org/base", "org/tuned")
        for i in range(2)
    ]
    path = made.write_lines(tmp_path / "x_samples.jsonl", rows)
    (tmp_path / "x.json").write_text(
        json.dumps(
            {
                "evaluation_id": "demo/1",
                "evaluation_results": [
                    {
                        "evaluation_name": "bench",
                        "metric_config": {"lower_is_better": True},
                        "score_details": {"score": 1.0},
                    }
                ],
            }
        )
    )
    assert [run.model for run in find_runs(str(path), None)] == ["org/base", "org/tuned"]
    (run,) = find_runs(f"{path}#org/tuned", "subject")
    assert [(one.id, one.cluster) for one in run.samples] == [("s0", "sums"), ("s1", "sums")]
    assert run.better["bench", "score"] == "lower"
    with pytest.raises(InputError, match="no run org/other; there are"):
        find_runs(f"{path}#org/other", None)
    with pytest.raises(InputError, match="holds bench in more than one run"):
        read_side("base", str(path), find_runs(str(path), None), {})


def test_plain_rows_need_four_keys_and_a_direction_that_is_one(tmp_path: Path) -> None:
    path = made.write_lines(tmp_path / "x.jsonl", made.plain_rows([1, 0.5, True], better="lower", cluster="c"))
    run = only_run(path)
    assert [(one.id, one.scores["acc"], one.cluster) for one in run.samples] == [
        ("q0", 1.0, "c"),
        ("q1", 0.5, "c"),
        ("q2", 1.0, "c"),
    ]
    assert run.better["arith", "acc"] == "lower"
    made.write_lines(path, [*made.plain_rows([1]), {"task": "arith", "id": "q9", "metric": "acc"}])
    with pytest.raises(InputError, match="line 2: no score"):
        list(only_run(path).samples)
    made.write_lines(path, made.plain_rows([1], better="up"))
    with pytest.raises(InputError, match="higher or lower"):
        list(only_run(path).samples)


def test_a_last_line_that_is_cut_is_named(tmp_path: Path) -> None:
    folder = made.binary(tmp_path / "b", [1, 0, 1])
    log = next(folder.glob("samples_*"))
    log.write_bytes(log.read_bytes()[:-40])
    run = only_run(folder)
    assert len(list(run.samples)) == 2
    assert "line 3" in run.unfinished
    assert "cut off" in run.unfinished
    whole = made.write_lines(tmp_path / "x.jsonl", made.plain_rows([1, 0]))
    whole.write_text(whole.read_text() + '{"task": "arith", "id"')
    run = only_run(whole)
    assert len(list(run.samples)) == 2
    assert "line 3" in run.unfinished
    whole.write_text('{"task": "arith", "id"\n' + whole.read_text())
    with pytest.raises(InputError, match="line 1: not JSON"):
        find_runs(str(whole), None)


def test_rows_that_are_there_twice(tmp_path: Path) -> None:
    rows = [made.lm_eval_row(i, {"acc": 1.0}) for i in range(4)]
    twice = made.write_lm_eval(tmp_path / "twice", {"arith": rows + rows})
    side = read_side("base", str(twice), find_runs(str(twice), None), {})
    assert any("4 samples more than once, with the same scores" in note for note in side.notes)
    assert len(side.tables["arith"].ids) == 4
    other = [made.lm_eval_row(i, {"acc": 0.0}) for i in (1, 3)]
    mixed = made.write_lm_eval(tmp_path / "mixed", {"arith": rows + other})
    with pytest.raises(InputError, match=r"2 samples of 4 more than once with scores that differ \(1, 3\)"):
        read_side("base", str(mixed), find_runs(str(mixed), None), {})


def test_pairs_that_do_not_fit_are_named(tmp_path: Path) -> None:
    base = made.binary(tmp_path / "base", [1, 1, 0, 1, 0])
    rows = [made.lm_eval_row(i, {"acc": 1.0}) for i in (0, 1, 2, 3, 7)]
    rows[1]["doc_hash"] = "other"
    rows[2]["acc"] = float("nan")
    rows[3]["prompt_hash"] = "of another wording"
    tuned = made.write_lm_eval(
        tmp_path / "tuned",
        {"arith": rows},
        {"n-shot": {"arith": 0}, "n-samples": {"arith": {"effective": 6}}, "task_hashes": {"arith": "0"}},
    )
    found, said = paired(base, tuned), sides(base, tuned)[1].notes
    (series,) = found.series
    assert series.ids == ["0", "3"]
    assert series.prompts_differ == 1
    assert found.one_sided["arith"] == {"base": 1, "tuned": 1, "other document": 1}
    notes = "\n".join([*found.notes, *said])
    for expected in (
        "only in base: 4",
        "only in tuned: 7",
        "document differs: 1",
        "prompts of 1 of 2 pairs DIFFER",
        "few-shot examples DIFFER between the two runs: a difference in scores is not forgetting",
        "few-shot examples differs: 2 in base, 0 in tuned",
        "5 documents, but its results file says 6",
        "their hash differs",
        "not a finite number for 2",
    ):
        assert expected in notes, expected


def test_equal_prompts_are_equal_however_a_version_writes_them(tmp_path: Path) -> None:
    def log(name: str, arguments: object, **more: object) -> Path:
        return made.binary(tmp_path / name, [1, 0], arguments=arguments, **more)

    new = {"gen_args_0": {"arg_0": "Q:", "arg_1": {"until": ["\n"], "temperature": 0}}}
    old, hot = [["Q:", {"until": ["\n"], "temperature": 0}]], [["Q:", {"until": ["\n"], "temperature": 1}]]
    for more in ({}, {"prompt_hash": None}):
        base = log("base", new, **more)
        assert paired(base, log("old", old, **more)).series[0].prompts_differ == 0
        assert paired(base, log("hot", hot, **more)).series[0].prompts_differ == 2
    assert paired(base, log("none", None, prompt_hash=None)).series[0].prompts_differ == 0, "not known"


def test_the_prompt_of_every_row_of_a_sample_counts(tmp_path: Path) -> None:
    def log(name: str, prompt: str) -> Path:
        rows = made.plain_rows([1] * 3, metric="f1", prompt="P") + made.plain_rows([1] * 3, prompt=prompt)
        return made.write_lines(tmp_path / f"{name}.jsonl", rows)

    assert [one.prompts_differ for one in paired(log("base", "P"), log("tuned", "Q")).series] == [3, 3]
    assert [one.prompts_differ for one in paired(log("base", "Q"), log("tuned", "Q")).series] == [0, 0]


def test_fractions_are_not_compared_with_percentages(tmp_path: Path) -> None:
    def log(name: str, scores: list[float], **more: object) -> Path:
        return made.write_lines(tmp_path / f"{name}.jsonl", made.plain_rows(scores, **more))

    shares, percent = log("shares", [0.2, 0.9, 1, 0]), log("percent", [21, 0.4, 96, 0])
    for one, other in ((shares, percent), (log("right", [0, 1, 1, 0]), log("hundred", [0, 100, 100, 0]))):
        for paths in ((one, other), (other, one)):
            with pytest.raises(InputError, match="arith acc: the scale differs"):
                paired(*paths)
    losses = [log(name, scores, better="lower") for name, scores in (("low", [0.2, 0.9]), ("high", [21.0, 96.0]))]
    for base, tuned in (
        losses,
        (log("calls", [0, 1, 1, 0]), log("more calls", [0, 12, 1, 3])),
        (log("unable", [0, 0.3, 0, 0]), percent),
        (shares, log("above", [0.2, 1.4, 1, 0])),
    ):
        assert len(paired(base, tuned).series) == 1


def test_several_models_on_one_side_are_named(tmp_path: Path) -> None:
    rows = [
        row
        for task, model in (("a", "new1"), ("b", "base-model"))
        for row in made.plain_rows([1, 0], task=task, model=model)
    ]
    path = made.write_lines(tmp_path / "t.jsonl", rows)
    side = read_side("tuned", str(path), find_runs(str(path), None), {})
    assert any("2 MODELS are taken as one (new1: a; base-model: b)" in note for note in side.notes)
    made.write_lines(path, [row | {"model": "new1"} for row in rows])
    assert not read_side("tuned", str(path), find_runs(str(path), None), {}).notes


def test_a_cluster_key_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    base = made.binary(tmp_path / "base", [1, 0])
    with pytest.raises(InputError, match="no sample of arith has it"):
        paired(base, base, "subject")


def test_no_common_task_or_document_is_refused(tmp_path: Path) -> None:
    base, tuned = (made.binary(tmp_path / "base", [1], task="a"), made.binary(tmp_path / "tuned", [1], task="b"))
    with pytest.raises(InputError, match="no task in common"):
        paired(base, tuned)
    other = made.binary(tmp_path / "other", [1], task="a", doc_hash="x")
    with pytest.raises(InputError, match="no sample of a task is in both"):
        paired(base, other)


def test_why_nothing_pairs_is_said(tmp_path: Path) -> None:
    def log(name: str, **row: object) -> Path:
        return made.binary(tmp_path / name, [1, 0], **row)

    old = [{key: value for key, value in made.lm_eval_row(0, {"acc": 1.0}).items() if key not in ("metrics", "filter")}]
    old[0]["filtered_resps"] = ["x"]
    base, one = log("base"), made.write_lines(tmp_path / "one" / "arith.jsonl", [made.lm_eval_row(0, {"acc": 1.0})])
    for first, tuned, said in (
        (base, made.write_lines(tmp_path / "old" / f"samples_arith_{made.TIME}.jsonl", old), "from 0.4.7 on"),
        (one, made.write_lines(tmp_path / "other" / "arith.jsonl", old), "from 0.4.7 on"),
        (base, log("bare", doc_hash=None, target_hash=None), "the document differs: 0, 1.*without doc_hash"),
        (base, log("texts", acc="1.0"), "acc: a sample has a text instead of a number"),
        (base, made.binary(tmp_path / "ids", [1], doc_id=77), "2 samples only in base: 0, 1"),
    ):
        with pytest.raises(InputError, match=said):
            paired(first, tuned)


def test_a_cluster_on_some_rows_of_a_sample_is_named(tmp_path: Path) -> None:
    rows = made.plain_rows([1], cluster="c") + made.plain_rows([1], metric="f1")
    path = made.write_lines(tmp_path / "x.jsonl", rows)
    with pytest.raises(InputError, match="in another cluster, or in none"):
        read_side("base", str(path), find_runs(str(path), None), {})


def test_two_runs_of_a_task_in_a_folder_are_refused(tmp_path: Path) -> None:
    made.binary(tmp_path / "logs" / "one", [1])
    made.binary(tmp_path / "logs" / "two", [0])
    with pytest.raises(InputError, match="in more than one run"):
        read_side("base", str(tmp_path / "logs"), find_runs(str(tmp_path / "logs"), None), {})


def test_a_group_of_groups_is_all_their_tasks(tmp_path: Path) -> None:
    tasks = {name: [made.lm_eval_row(0, {"acc": 1.0})] for name in "abc"}
    groups = {"top": ["half", "c"], "half": ["a", "b"], "loop": ["loop"]}
    base = made.write_lm_eval(tmp_path / "base", tasks, {"group_subtasks": groups})
    assert paired(base, base).groups == {"top": ["a", "b", "c"], "half": ["a", "b"]}


def test_as_many_epochs_count_on_each_side(tmp_path: Path) -> None:
    """The mean of four answers against one answer would show a model that changed, where it is the same one."""

    def log(name: str, epochs: int) -> Path:
        rows = [
            {
                "task": "arith",
                "id": f"q{i}",
                "metric": "acc",
                "score": int((i + e) % 4 > 0),
                "epoch": e,
                "better": "higher",
            }
            for e in range(epochs)
            for i in range(200)
        ]
        return made.write_lines(tmp_path / f"{name}.jsonl", rows)

    for base, tuned in ((log("four", 4), log("one", 1)), (log("one", 1), log("four", 4))):
        found = paired(base, tuned)
        (series,) = found.series
        assert series.binary
        assert series.before.tolist() == series.after.tolist()
        assert any("200 samples with fewer epochs on one side" in note for note in found.notes)
