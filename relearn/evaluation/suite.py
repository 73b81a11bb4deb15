"""A suite of skills: one YAML file a skill, in a folder; each item an instruction and the checks of its answer.

    name: ordering
    about: putting numbers, words and dates in order
    max_new_tokens: 64
    items:
      - id: ascending-1
        cluster: ascending
        instruction: Sort these numbers from smallest to largest. 14, 3, 27
        check: {type: order, of: ["3", "14", "27"]}
        answer: 3, 14, 27

`docs/skills.md` has every key. The suite that comes with the package is in `relearn/skills/`.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from relearn.errors import InputError
from relearn.evaluation.check_files import load_yaml, read_checks, validate
from relearn.records import Message, Record, Row, make_turns, show_turns

SHIPPED = Path(__file__).parents[1] / "skills"
MOST = 2_000
NAME = re.compile(r"[a-z][a-z0-9_]*")


class Item(BaseModel):
    """One question of a skill. `cluster` names the template or the text that items share, which intervals resample (by
    itself an item is its own); `answer` is a right answer, which people and tests see and no model does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    cluster: str = Field(min_length=1)
    messages: tuple[Message, ...] = Field(min_length=1)
    check: Sequence[Any] = Field(min_length=1)  # of `checks.CHECKS`
    answer: str = ""

    @model_validator(mode="after")
    def _turns(self) -> Item:
        roles = [message.role for message in self.messages]
        talk = roles[1:] if roles[0] == "system" else roles
        if talk != [("user", "assistant")[number % 2] for number in range(len(talk))] or len(talk) % 2 == 0:
            raise ValueError(
                "messages: user and assistant take turns, after a system message or none; the user is last"
            )
        if not all(message.content.strip() for message in self.messages):
            raise ValueError("messages: a message is empty")
        return self

    @property
    def instruction(self) -> str:
        """What is asked, for people: all turns with their roles where there is more than one."""
        return show_turns(list(self.messages))


class Skill(BaseModel):
    """A skill: `about` is its label for people, `floor` the share of items that guessing passes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    about: str = Field(min_length=1)
    max_new_tokens: int = Field(default=128, ge=1)
    floor: float = Field(default=0.0, ge=0, lt=1)
    items: tuple[Item, ...] = Field(min_length=1)

    def draw(self, limit: int | None, seed: int) -> list[Item]:
        """At most `limit` items in the file's order, drawn under the seed: of every cluster one before any gets a second."""
        if limit is None or limit >= len(self.items):
            return list(self.items)
        generator = random.Random(f"{seed} {self.name}")
        ranks: dict[str, int] = {}
        order: list[tuple[int, int, int]] = []
        for index in generator.sample(range(len(self.items)), len(self.items)):
            cluster = self.items[index].cluster
            ranks[cluster] = ranks.get(cluster, 0) + 1
            order.append((ranks[cluster], len(order), index))
        return [self.items[index] for index in sorted(index for *_, index in sorted(order)[:limit])]


class SkillItem(Record):
    """What a scorer must know of a held-out row that is an item of a skill, by the row's id. `checks` are as the file
    has them."""

    id: str
    task: str
    skill: str
    about: str
    floor: float
    max_new_tokens: int
    checks: list[dict[str, Any]]


def make_rows(skills: Sequence[Skill], task: str, limit: int | None, seed: int) -> tuple[list[Row], list[SkillItem]]:
    """The items of a suite as held-out rows of a watched task, at most `limit` of each skill, and what scores them.

    A row's answer is the item's own, which may be empty; its group is the cluster.
    """
    rows: list[Row] = []
    items: list[SkillItem] = []
    for skill in skills:
        for item in skill.draw(limit, seed):
            identity = f"{task}-{skill.name}-{item.id}"
            answer = Message(role="assistant", content=item.answer)
            rows.append(
                Row(
                    id=identity, task=task, role="watched", group=f"{skill.name}/{item.cluster}", split="test",
                    messages=[*item.messages, answer], tests=[],
                )
            )  # fmt: skip
            checks = [check.model_dump(mode="json", exclude_unset=True) for check in item.check]
            items.append(
                SkillItem(
                    id=identity, task=task, skill=skill.name, about=skill.about, floor=skill.floor,
                    max_new_tokens=skill.max_new_tokens, checks=checks,
                )
            )  # fmt: skip
    return rows, items


def find_folder(path: str | None, sources: Path) -> Path:
    """The folder of a suite: the package's own where `path` is None, else one below `sources`."""
    return SHIPPED if path is None else sources / path


def read_suite(folder: Path) -> list[Skill]:
    """The skills of a folder's `*.yaml` files, by name.

    Raises InputError, naming file and item, for a folder without any, a file that is not YAML, a key that is missing or
    unknown, an unknown check or a value that it does not take, an id used twice, more than 2,000 items.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a folder with one YAML file per skill (docs/skills.md)")
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise InputError(f"{folder}: holds no .yaml file; write one per skill (docs/skills.md)")
    return [read_skill(file) for file in files]


def read_skill(path: Path) -> Skill:
    """The skill of one file; InputError as `read_suite`."""
    values = load_yaml(path, "write a skill there (docs/skills.md)")
    if not isinstance(values, dict) or not isinstance(values.get("items"), list) or not values["items"]:
        raise InputError(f"{path}: expected name, about and a list of items (docs/skills.md)")
    if not NAME.fullmatch(str(values.get("name"))) or values["name"] != path.stem:
        raise InputError(f"{path}: name: expected the file's own name, {path.stem}, in lower case, digits and _")
    if len(values["items"]) > MOST:
        raise InputError(f"{path}: {len(values['items'])} items, more than {MOST}; split the skill or drop some")
    items = [_read_item(path, number, item) for number, item in enumerate(values["items"], 1)]
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise InputError(f"{path}, item {item.id}: this id is used twice; give each item its own")
        seen.add(item.id)
    return validate(Skill, {**values, "items": items}, f"{path}: ")


def _read_item(path: Path, number: int, item: object) -> Item:
    where = f"{path}, item {item['id'] if isinstance(item, dict) and item.get('id') else f'number {number}'}"
    if not isinstance(item, dict):
        raise InputError(f"{where}: not a mapping; expected id, cluster, instruction or messages, and check")
    if ("instruction" in item) == ("messages" in item):
        raise InputError(f"{where}: expected either instruction or messages; give one of them")
    values = {"cluster": item.get("id"), **item}
    if "instruction" in item:
        if not isinstance(item["instruction"], str):
            raise InputError(f"{where}: instruction: expected a text; put it in quotes")
        values["messages"] = make_turns(values.pop("instruction"))
    return validate(Item, {**values, "check": read_checks(item.get("check"), where)}, f"{where}: ")
