"""Experiments over machines: two clones that share a git remote and a DVC remote; and two experiments at once on one."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.integration.conftest import Clone
from tests.integration.test_reruns import ran

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of a server on loopback that speaks S3, with the bucket `experiments`."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        with urllib.request.urlopen(urllib.request.Request(f"http://{host}:{port}/experiments", method="PUT")):
            pass
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def locked(clone: Clone, name: str) -> dict[str, dict[str, str]]:
    """The MD5 of each stage's outputs, as dvc.lock has them in an experiment or in HEAD."""
    refs = clone.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    revision = next((ref for ref in refs if ref.endswith(f"/{name}")), name)
    stages = YAML(typ="safe").load(clone.run("git", "show", f"{revision}:dvc.lock").stdout)["stages"]
    return {name: {out["path"]: out["md5"] for out in stage["outs"]} for name, stage in stages.items()}


def test_two_machines_share_their_experiments(run_clone: Clone, tmp_path: Path, s3: str) -> None:
    first, keys = run_clone, {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    first.environment |= {**keys, "AWS_EC2_METADATA_DISABLED": "true"}
    first.run("make", "--silent", "identity")
    first.run("git", "init", "-q", "--bare", "-b", "main", str(tmp_path / "git"))
    first.run("git", "remote", "add", "origin", str(tmp_path / "git"))
    assert "no default remote; `dvc remote add" in first.python("stages.share", check=False).stderr
    first.run("dvc", "remote", "add", "--default", "store", "s3://experiments/relearn")
    first.run("dvc", "remote", "modify", "store", "endpointurl", s3)
    first.commit("Where the outputs are")
    first.run("dvc", "push", "--quiet")
    first.run("git", "push", "-q", "origin", "main")

    (tmp_path / "second").mkdir()
    first.run("git", "clone", "-q", str(tmp_path / "git"), str(tmp_path / "second" / "clone"))
    (tmp_path / "second" / "home").mkdir()
    second = Clone(tmp_path / "second" / "clone", tmp_path / "second" / "home")
    second.environment |= first.environment | {"HOME": second.environment["HOME"]}
    second.run("make", "--silent", "identity")
    second.run("dvc", "pull", "--quiet")

    methods = ("plain", "replay", "-S", "profiles/tiny.yaml:predict.scale_rows=8")
    for clone, part, name in ((first, "1/2", "plain"), (second, "2/2", "replay")):
        said = clone.python("stages.remedies", *methods, "--part", part)
        assert "1 of 2 methods are part" in said.stderr
        assert "base" not in ran(said.stdout), "the other machine's base is used"
        assert clone.run("dvc", "exp", "list", "--name-only").stdout.split() == [f"remedy-tiny-{name}"]
        clone.python("stages.share")
    assert "2 experiments were here" not in first.python("stages.share").stderr
    assert "0 have come" in first.python("stages.share").stderr, "sent and fetched again, it stays as it is"

    for clone in (first, second):
        seen = clone.python("stages.frontier", "--markdown").stdout
        assert "| replay share 0.05" in seen, "the curve of the other machine's experiment is read too"
        methods_seen = json.loads((clone.folder / "data" / "remedies" / "tiny.json").read_text(encoding="utf-8"))
        assert [one["method"] for one in methods_seen["methods"]] == ["plain", "replay share 0.05"]
    again = first.python("stages.remedies", *methods)
    assert ran(again.stdout) == [], "nothing is left to run on either"
    for name in ("plain", "replay"):
        assert locked(first, f"remedy-tiny-{name}") == locked(second, f"remedy-tiny-{name}")
    first.run("dvc", "exp", "pull", "--quiet", "origin", "remedy-tiny-replay")
    first.run("dvc", "exp", "apply", "remedy-tiny-replay")
    assert (first.folder / "models" / "2b" / "adapter_model.safetensors").is_file()
    scores = first.folder / "metrics" / "eval_3a"
    applied = (scores / "2b.json").read_bytes()
    assert set(ran(first.run("dvc", "repro").stdout)) == {"eval_3a", "report"}, (
        "2c's scores go, what is known of remedies comes"
    )
    assert {path.name for path in scores.iterdir()} == {"base.json", "2b.json"}
    assert (scores / "2b.json").read_bytes() == applied
    assert first.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."


def test_two_experiments_at_once(run_clone: Clone) -> None:
    """Both ask the teacher the same, and train the same 2b: what they share is asked once, and neither spoils it."""
    run_clone.run("make", "--silent", "identity")
    journal = run_clone.folder / ".cache" / "teacher" / "journal.sqlite"

    def count() -> int:
        with sqlite3.connect(journal) as database:
            (answers,) = database.execute("SELECT count(*) FROM answers").fetchone()
            assert database.execute("SELECT count(*) FROM claims").fetchone() == (0,)
        return int(answers)

    asked = count()
    for epochs in (1, 2):
        changes = ("generate.temperature=0.6", "finetune_2b.epochs=1", f"finetune_2c.epochs={epochs}")
        settings = [part for one in changes for part in ("-S", f"profiles/tiny.yaml:{one}")]
        run_clone.run("dvc", "exp", "run", "--queue", "--name", f"epochs-{epochs}", *settings)
    run_clone.run("dvc", "queue", "start", "-j", "2")
    deadline = time.monotonic() + 2400
    tasks = "Queued"
    while "Queued" in tasks or "Running" in tasks:
        assert time.monotonic() < deadline, tasks
        time.sleep(2)
        tasks = run_clone.run("dvc", "queue", "status").stdout.split("Worker status")[0]
    logs = [run_clone.run("dvc", "queue", "logs", f"epochs-{epochs}").stdout for epochs in (1, 2)]
    assert tasks.count("Success") == 2, tasks + "".join(logs)
    for log in logs:  # a second one alone would have had it from dvc's run cache
        assert {"generate", "finetune_2b"} <= set(ran(log)), "they did not run at the same time"

    one, two = (locked(run_clone, f"epochs-{epochs}") for epochs in (1, 2))
    for stage in ("generate", "repair", "base", "finetune_2b"):
        assert one[stage] == two[stage], stage
    assert one["finetune_2c"] != two["finetune_2c"]
    assert one["generate"]["data/replies.jsonl"] != locked(run_clone, "HEAD")["generate"]["data/replies.jsonl"]
    assert count() == 2 * asked, "each question was asked once"
    left = [path.name for path in (run_clone.folder / ".cache" / "finetune_2b").glob("*") if path.name != "live"]
    assert left == []
    # the same again, alone and with nothing kept: the bytes are those of an experiment that ran beside another
    run_clone.run("rm", "-r", ".cache", ".dvc/cache/runs")
    run_clone.run("dvc", "exp", "run", "--temp", "--name", "alone", "-S", "profiles/tiny.yaml:generate.temperature=0.6",
                  "-S", "profiles/tiny.yaml:finetune_2b.epochs=1", "-S", "profiles/tiny.yaml:finetune_2c.epochs=2")  # fmt: skip
    assert locked(run_clone, "alone") == two
