"""Prompts: Jinja2 files whose blocks are the messages, rendered in a sandbox.

A file holds the blocks `user` and, if wanted, `system` and others named for their role. It sees the fields of the
source by name, and `tag`, which makes a fence no text can close: hex digits of a hash of the fields that it shows, found
in no field. Between `<text-{{ tag }}>` and `</text-{{ tag }}>`, whatever a text writes or orders stays a text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from relearn.endpoint.request import Message
from relearn.errors import InputError

ROLES = ("system", "developer", "user", "assistant")
CANARY = "Canary 5417 went home before the credits."


def make_tag(fields: Mapping[str, str], shown: Iterable[str]) -> str:
    """At least eight hex digits of the hash of the fields shown: as many as it takes not to be in any field."""
    digest = hashlib.sha256(
        "\n".join(fields[name] for name in shown if name in fields).encode("utf-8", "surrogatepass")
    ).hexdigest()
    for length in range(8, len(digest) + 1):
        tag = digest[:length]
        if not any(tag in text for text in fields.values()):
            return tag
    raise AssertionError("a text that holds its own SHA-256")


class PromptTemplate:
    """A prompt file for sources with the given fields, checked when it is read; `setting` is the key that names it.

    Raises InputError when it is missing, is not a valid template, has no `user` block, uses an unknown variable, or
    shows no field of the source.
    """

    def __init__(self, path: Path, fields: Iterable[str], setting: str = "generate.<task>.prompt") -> None:
        self.path = path
        self.shown = tuple(fields)
        try:
            source = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            others = ", ".join(sorted(other.stem for other in path.parent.glob("*.j2"))) or "none"
            raise InputError(f"{path}: no such prompt ({setting}); there are: {others}") from None
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
            raise InputError(f"{path}: block {unknown[0]!r} is not a role of a message; use one of {', '.join(ROLES)}")
        if "user" not in roles:
            raise InputError(f"{path}: no block `user`; put the question into {{% block user %}}…{{% endblock %}}")
        canaries = {name: f"{CANARY} ({name})" for name in self.shown}
        messages = self.messages(canaries)
        if not any(canary in content for role, content in messages if role == "user" for canary in canaries.values()):
            names = " or ".join(f"{{{{ {name} }}}}" for name in self.shown)
            raise InputError(f"{path}: the block `user` never shows {names}; the teacher would answer blindly")
        self.shown = tuple(
            name for name, canary in canaries.items() if any(canary in content for _, content in messages)
        )

    def messages(self, fields: Mapping[str, str]) -> tuple[Message, ...]:
        """The messages for a source, in the order of the file's blocks."""
        values = {**fields, "tag": make_tag(fields, self.shown)}
        try:
            return tuple(
                (role, "".join(block(self._template.new_context(values))).strip("\n"))
                for role, block in self._template.blocks.items()
            )
        except TemplateError as error:
            known = ", ".join(f"`{name}`" for name in values)
            raise InputError(f"{self.path}: {error.message}; it knows {known}") from None
        except (TypeError, ValueError, ArithmeticError, LookupError, OverflowError) as error:
            raise InputError(f"{self.path}: {error}; the template cannot be rendered") from None
