"""What pages call the tasks, models and metrics, for a reader who does not know the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from relearn.evaluation.roles import ModelRoles, ScoredTask
from relearn.metrics.metric import label

METRICS = {
    "codebleu": "likeness to the reference program in words, syntax and data flow",
    "pass_at_1": "share of programs that run and pass their tests",
    "code_rate": "share of answers that contain code",
    "checks": "share of answers that pass the checks of their question",
    "exact_match": "share of answers equal to the reference",
    "rouge_l": "words in common with the reference, in order",
    "bertscore": "likeness in meaning to the reference, by a text encoder",
    "bleu": "word sequences in common with the references",
    "chrf": "characters in common with the references, in order",
    "helpfulness": "does it do what was asked? 1 to 5, by people",
    "correctness": "is it right? 1 to 5, by people",
    "stance": "share of replies that take the side asked for",
    "bpb": "how much the reference surprises the model; lower is better",
}
GROUPS = {
    "pooled": "all prompts of all tasks together; it mixes skills that move in opposite directions, so judge by the single tasks",
    "human": "scores that people gave, not knowing which model they read",
}
NUMBERS = "no one two three four five six seven eight nine ten".split()


@dataclass(frozen=True)
class TaskText:
    """A task in words: what a sentence calls it (`writing code`), and what it is (`the old skill, which …`)."""

    label: str
    about: str


@dataclass(frozen=True)
class Words:
    """The tasks in the table's order, the models by their parts, and the profile's words for tasks, where it has any."""

    tasks: Sequence[ScoredTask]
    roles: ModelRoles
    texts: Mapping[str, TaskText] = field(default_factory=dict)

    def label(self, task: str) -> str:
        """What a sentence calls a task."""
        return self.texts[task].label if task in self.texts else task.replace("_", " ")

    def labels(self, tasks: Sequence[str], last: str = "and") -> str:
        """Tasks in a sentence: `a, b and c`."""
        return join([self.label(task) for task in tasks], last)

    def about(self, task: str) -> str:
        """What a task is, or what the table has in place of a task's name."""
        if task in self.texts:
            return self.texts[task].about
        if task in GROUPS:
            return GROUPS[task]
        role = next(one.role for one in self.tasks if one.name == task)
        if role == "new":
            return f"a new skill, which {self.roles.tuned} is trained on"
        if role == "replayed" and self.roles.replayed is not None:
            return f"an old skill, which {self.roles.replayed} replays"
        return "an old skill, which is never replayed"

    def model(self, name: str) -> str:
        """What a model is, as the end of a sentence that its name begins."""
        part = self.roles.part(name)
        if part == "base":
            return "is the model before"
        if part == "tuned":
            return (
                f"is {self.roles.base} fine-tuned on {self.labels([task.name for task in self.tasks if task.is_new])}"
            )
        if part == "replayed":
            old = self.labels([task.name for task in self.tasks if task.role == "replayed"])
            return f"is {self.roles.tuned}, trained further on old data ({old})"
        return f"is compared with {self.roles.base}"

    def metric(self, name: str) -> str:
        """A metric as tables call it."""
        return label(name)

    def explain(self, metric: str) -> str:
        """A metric in half a sentence; empty where there is none."""
        return METRICS.get(metric, "")


def join(parts: Sequence[str], last: str = "and") -> str:
    """`a, b and c`."""
    return f" {last} ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def number(count: int) -> str:
    """A small number as a word."""
    return NUMBERS[count] if count < len(NUMBERS) else str(count)
