"""The names and one-line explanations that a reader who does not know the field needs."""

from __future__ import annotations

from relearn.metrics.metric import label

TASKS = {"code": "writing code", "reviews": "replying to reviews", "general": "general instructions"}
VERBS = {"code": "write code", "reviews": "reply to reviews", "general": "follow general instructions"}
ROLES = {
    "code": "the old skill, which 2c replays",
    "reviews": "the new skill, which 2b is trained on",
    "general": "other instructions that the base could follow, which are never replayed",
    "pooled": "all prompts of all tasks together; it mixes skills that move in opposite directions, so judge by the tasks",
    "human": "scores that people gave, not knowing which model they read",
}
MODELS = {
    "base": "is the model before",
    "2b": "is base fine-tuned on replies to reviews",
    "2c": "is 2b, trained further on the old code data",
}
METRICS = {
    "codebleu": "likeness to the reference program in words, syntax and data flow",
    "pass_at_1": "share of programs that run and pass their tests",
    "code_rate": "share of answers that contain code",
    "exact_match": "share of answers equal to the reference",
    "rouge_l": "words in common with the reference, in order",
    "bertscore": "likeness in meaning to the reference, by a text encoder",
    "bleu": "word sequences in common with the references",
    "helpfulness": "does it do what was asked? 1 to 5, by people",
    "correctness": "is it right? 1 to 5, by people",
    "stance": "share of replies that take the side asked for",
    "bpb": "how much the reference surprises the model; lower is better",
}


def metric(name: str) -> str:
    """A metric as tables call it."""
    return label(name)
