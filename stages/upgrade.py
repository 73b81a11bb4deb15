"""A profile of an earlier version rewritten: keys under their new names and new keys added, the single experiment of
that time as three tasks.
"""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken

from relearn.errors import InputError
from relearn.params.moves import ADDED, ADDED_TO_KIND, BY_TASK, MOVES

ROLES = {"code": "replayed", "reviews": "new", "general": "watched"}  # what the code knew, in the order of its tables
CORPORA = {"code": "code", "reviews": "films", "general": "instructions"}  # of the embedded world
GENERATED, SCHEMA = "reviews", "agree_disagree"
USUAL_SHARE = 0.05
METRICS = {
    "code": "codebleu pass_at_1 code_rate exact_match rouge_l bertscore bleu bpb",
    "reviews": "rouge_l bertscore bleu stance code_rate bpb",
    "general": "rouge_l bertscore bleu exact_match bpb",
}
WORDS = {
    "code": ("writing code", "the old skill, which 2c replays"),
    "reviews": ("replying to reviews", "the new skill, which 2b is trained on"),
    "general": ("general instructions", "other instructions that the base could follow, which are never replayed"),
}


class _Nulls(RoundTripRepresenter):
    """Writes null where ruamel would leave the value out."""


_Nulls.add_representer(type(None), lambda self, _: self.represent_scalar("tag:yaml.org,2002:null", "null"))


def upgrade(text: str) -> tuple[str, list[str]]:
    """The profile with its moved keys in their new places and the keys it lacks, and what was done, a line a key.

    Raises InputError for a key that is there under both names. A new group comes before the group it came from;
    comments stay with the keys that stay.
    """
    yaml = YAML()
    yaml.Representer = _Nulls
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    tree = yaml.load(text)
    moved = [old for old in MOVES if _holds(tree, old)]
    _rename(tree, [old for old in moved if MOVES[old].count(".") == 1])
    if "finetune_2b.replay" in moved:
        _name_methods(tree["finetune_2b"])
    if "prepare.source" in moved:
        _name_tasks(tree, yaml)
    added = _add_missing(tree)
    if not moved and not added:
        return text, []
    out = io.StringIO()
    yaml.dump(tree, out)
    return _space(out.getvalue()), [f"{old} is now {MOVES[old]}" for old in moved] + [f"{new} is new" for new in added]


def _add_missing(tree: Any) -> list[str]:
    """Adds the keys of `ADDED` before the last key of their group, which what lies below the group hangs on.

    A key outside groups is for whole profiles alone.
    """
    added = []
    kinds = {name: value for name, (kind, value) in ADDED_TO_KIND.items() if _has_kind(tree, name, kind)}
    for name, value in (ADDED | kinds).items():
        *path, leaf = name.split(".")
        group = tree
        for part in path:
            group = group.get(part) if isinstance(group, dict) else None
        if isinstance(group, CommentedMap) and leaf not in group and (path or "predict" in tree):
            if isinstance(value, str):
                value = DoubleQuotedScalarString(value)  # a bare date would be read as one
            if name == "predict.decode_scales":  # what was then called scales was decoded
                value, group["scales"] = group.get("scales", _flow_list("")), _flow_list("")
            group.insert(max(0, len(group) - 1), leaf, _flow(**value) if isinstance(value, dict) else value)
            added.append(name)
    return added


def _has_kind(tree: Any, name: str, kind: str) -> bool:
    group = tree.get(name.split(".")[0])
    return isinstance(group, CommentedMap) and group.get("kind") == kind


def name_method(text: str) -> str:
    """The method by which an old profile trained its first round, for `method` of params.yaml."""
    tree = YAML(typ="safe").load(text)
    return "replay" if _holds(tree, "finetune_2b.replay") and tree["finetune_2b"]["replay"] else "plain"


def _space(text: str) -> str:
    """An empty line before each group and the comment above it, and none before a key put at the end of a group."""
    lines: list[str] = []
    for line in text.splitlines():
        last = re.match(r"  (train_on|methods|scales):", line)
        if last or (re.match(r"[#\w]", line) and lines and lines[-1][:1] not in ("", "#")):
            while lines and not lines[-1]:
                lines.pop()
            lines += [] if last else [""]
        lines.append(line)
    return "\n".join(lines) + "\n"


def _rename(tree: CommentedMap, moved: list[str]) -> None:
    counts: dict[str, int] = {}
    for old in moved:
        new = MOVES[old]
        if _holds(tree, new):
            raise InputError(f"{old}: is also there as {new}, its new name; remove one of the two")
        (source, name), (target, renamed) = old.split("."), new.split(".")
        if target not in tree:
            tree.insert(list(tree).index(source), target, CommentedMap())
        value, comment = _take(tree[source], name)
        tree[target].insert(counts.get(target, 0), renamed, value)
        counts[target] = counts.get(target, 0) + 1
        if comment:
            tree[target].ca.items[renamed] = [None, None, _token(comment), None]


def _name_methods(group: CommentedMap) -> None:
    """The share of replay as a method's parameter; a share of 0 was no replay, and becomes the usual one."""
    methods = CommentedMap(plain=CommentedMap(), replay=CommentedMap())
    for old, new in (("replay", "share"), ("replay_control", "control")):
        value, comment = _take(group, old)
        methods["replay"][new] = value if value or old == "replay_control" else USUAL_SHARE
        if comment:
            methods["replay"].ca.items[new] = [None, None, _token(comment), None]
    group["methods"] = methods


def _name_tasks(tree: CommentedMap, yaml: YAML) -> None:
    """What the three tasks were in code, said by task."""
    prepare = tree["prepare"]
    source, longest = prepare.pop("source"), prepare.pop("max_chars")
    for task in [name for name in ROLES if prepare[name] is None]:
        del prepare[task]
        tree["predict"]["max_new_tokens"].pop(task, None)
    tasks = [name for name in ROLES if name in prepare]
    tree.insert(list(tree).index("prepare"), "tasks", CommentedMap({name: _flow(role=ROLES[name]) for name in tasks}))
    for name in tasks:
        rows, texts = prepare[name], name == GENERATED
        if source["kind"] == "mini":
            rows.insert(0, "source", _flow(kind="mini", corpus=CORPORA[name]))
        else:
            columns = source[name]
            place = ["path"] if source["kind"] == "files" else ["dataset", "revision", "split"]
            found = CommentedMap(kind=source["kind"], **{key: columns.pop(key) for key in place})
            if not texts:
                for key in ("tests", "group"):
                    columns.setdefault(key, None)
            columns.insert(0, "form", "texts" if texts else "instructions")
            found["columns"] = columns
            rows.insert(0, "source", found)
        rows["max_chars"] = _flow(
            prompt=longest["review" if texts else "instruction"], response=None if texts else longest["response"]
        )
    prompt = tree["generate"].pop("prompt")
    tree["generate"].insert(1, GENERATED, _flow(prompt=prompt, schema=SCHEMA))
    _name_checks(tree["repair"], yaml)
    tree["chat"]["train_on"] = "last"
    tree["predict"]["scales"] = _flow_list("")
    tree["eval_3a"].insert(0, "metrics", CommentedMap({name: _flow_list(METRICS[name]) for name in tasks}))
    tree["report"] = CommentedMap(
        tasks=CommentedMap(
            {name: _flow(label=label, about=about) for name, (label, about) in WORDS.items() if name in tasks}
        )
    )


def _name_checks(repair: CommentedMap, yaml: YAML) -> None:
    """The instructions as row templates, and the thresholds as checks."""
    old = {name: repair.pop(name) for name in [*repair] if f"repair.{name}" in BY_TASK}
    rows = [
        _flow(name=name, instruction=text.replace("{review}", "{text}"), response=name)
        for name, text in old["instructions"].items()
    ]
    sides = [row["name"] for row in rows]
    checks = [
        _flow(kind="refusal"),
        _flow(kind="length", min=old["min_chars"], max=old["max_chars"]),
        _flow(kind="boilerplate", phrases=[*old["boilerplate"]]),
        _flow(kind="contradiction", sides={side: side for side in sides}) if old["contradictions"] else None,
        _flow(kind="echo", of="text", share=old["echo"]),
        _flow(kind="similarity", rows=sides, share=old["similarity"]),
    ]
    repair[GENERATED] = CommentedMap(rows=rows, checks=[check for check in checks if check is not None])


def _flow(**values: Any) -> CommentedMap:
    """A mapping on one line."""
    made = CommentedMap(values)
    made.fa.set_flow_style()
    return made


def _flow_list(text: str) -> CommentedSeq:
    made = CommentedSeq(text.split())
    made.fa.set_flow_style()
    return made


def _holds(tree: Any, path: str) -> bool:
    group, name = path.split(".")
    return isinstance(tree, dict) and isinstance(tree.get(group), dict) and name in tree[group]


def _take(group: CommentedMap, name: str) -> tuple[Any, str]:
    """Removes a key; returns its value and the comment on its line. Lines below it stay where they are."""
    found = group.ca.items.pop(name, None)
    text = found[2].value if found and found[2] else ""
    comment, _, below = text.partition("\n")
    before = list(group)[: list(group).index(name)]
    value = group.pop(name)
    if below and before:
        _extend(group, below, before[-1])
    elif below:
        comment += "\n" + below.rstrip("\n")
    return value, comment


def _extend(group: CommentedMap, text: str, name: str | None = None) -> None:
    """Puts lines below a key of a group (its last one), which may be a group itself."""
    name = list(group)[-1] if name is None else name
    if isinstance(group[name], CommentedMap) and group[name]:
        _extend(group[name], text)
        return
    held = group.ca.items.setdefault(name, [None, None, None, None])
    held[2] = _token((held[2].value.rstrip("\n") if held[2] else "") + "\n" + text)


def _token(comment: str) -> CommentToken:
    return CommentToken(comment if comment.endswith("\n") else comment + "\n", CommentMark(24), None)
