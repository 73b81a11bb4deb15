"""Prompts: Jinja2 files whose blocks are the messages, rendered in a sandbox.

A file holds the blocks `user` and, if wanted, `system` and others named for their role. It sees two variables:
`review`, the text, and `tag`, the name of a fence for it. The tag is made from the text and never stands in it, so
a review that writes a closing tag, or orders of its own, stays inside the fence.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relearn.endpoint.request import Message
from relearn.errors import InputError

ROLES = ("system", "developer", "user", "assistant")
CANARY = "Canary 5417 went home before the credits."


def make_tag(review: str) -> str:
    """`review-` and at least eight hex digits of the text's hash: as many as it takes not to stand in the text."""
    digest = hashlib.sha256(review.encode("utf-8", "surrogatepass")).hexdigest()
    for length in range(8, len(digest) + 1):
        tag = f"review-{digest[:length]}"
        if tag not in review:
            return tag
    raise AssertionError("a text that holds its own SHA-256")


class PromptTemplate:
    """A prompt file, checked when it is read.

    Raises InputError when it is missing, is no valid template, has no `user` block, uses an unknown variable, or
    leaves the review out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            source = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            others = ", ".join(sorted(other.stem for other in path.parent.glob("*.j2"))) or "none"
            raise InputError(f"{path}: no such prompt (generate.prompt); there are: {others}") from None
        except UnicodeDecodeError:
            raise InputError(f"{path}: not UTF-8; save the file as UTF-8") from None
        environment = ImmutableSandboxedEnvironment(
            undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True
        )
        try:
            self._template: Template = environment.from_string(source)
        except TemplateSyntaxError as error:
            raise InputError(f"{path}, line {error.lineno}: {error.message}") from None
        roles = list(self._template.blocks)
        unknown = [role for role in roles if role not in ROLES]
        if unknown:
            raise InputError(f"{path}: block {unknown[0]!r} is no role of a message; one of {', '.join(ROLES)}")
        if "user" not in roles:
            raise InputError(f"{path}: no block `user`; put the question into {{% block user %}}…{{% endblock %}}")
        shown = "\n".join(content for role, content in self.messages(CANARY) if role == "user")
        if CANARY not in shown:
            raise InputError(f"{path}: the block `user` never shows {{{{ review }}}}; the teacher would answer blindly")

    def messages(self, review: str) -> tuple[Message, ...]:
        """The messages for a review, in the order of the file's blocks."""
        values = {"review": review, "tag": make_tag(review)}
        try:
            return tuple(
                (role, "".join(block(self._template.new_context(values))).strip("\n"))
                for role, block in self._template.blocks.items()
            )
        except TemplateError as error:
            raise InputError(f"{self.path}: {error.message}; it knows `review` and `tag`") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, OverflowError) as error:
            raise InputError(f"{self.path}: {error}; the template cannot be rendered") from None
