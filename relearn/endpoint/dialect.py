"""What a server refuses of a request, and how the request is put instead: learned once, kept for the run.

The journal is keyed by what the profile asks (`Request.key`), never by the dialect, which is stored beside the answer.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any

from relearn.endpoint.errors import Problem
from relearn.endpoint.request import Request, ServerAnswer

_ROLES = ("system", "developer")
_REFUSES = re.compile(
    r"not (currently |yet )?(support|allow|permit|accept|available|enabled|recogni[sz]ed|valid|implemented)|unsupport"
    r"|unknown|unrecogni[sz]ed|unexpected|invalid|extra (inputs|fields)|forbidden|deprecated|only .{0,30}(allowed|supported|1)"
    r"|cannot (both )?be (used|specified|set)|must alternate|unavailable|does not (support|accept|exist)|no longer|is not one of"
    r"|may only be|must be (1|one)\b|can ?not|doesn't|don't|must contain",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"between|range|less than|greater than|at most|at least|<=|>=|maximum|minimum|too (large|long|small|high|low)",
    re.IGNORECASE,
)
_FORMAT = re.compile(
    r"response_?format|json_schema|json_object|json mode|json schema|structured output|guided|grammar", re.IGNORECASE
)
_ROLE = re.compile(r"\brole\b|\broles\b|system (message|prompt|role|instruction)|developer", re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """How a request is put. The default is how the profile puts it.

    `cap` names the field for the cap; `response_format` is `json_object`, where a schema was refused, or `none`;
    `instructions` is the role that system and developer messages get: none of its own (None), another, or `user`, in
    front of the first question.
    """

    cap: str = "max_tokens"
    temperature: bool = True
    response_format: str | None = None
    instructions: str | None = None

    def put(self, body: dict[str, Any]) -> dict[str, Any]:
        """The body in this dialect."""
        body = {self.cap if name == "max_tokens" else name: value for name, value in body.items()}
        if not self.temperature:
            body.pop("temperature", None)
        if self.response_format == "none":
            body.pop("response_format", None)
        elif self.response_format is not None and "response_format" in body:
            body["response_format"] = {"type": self.response_format}
        if self.instructions is not None:
            body["messages"] = _with_role(body["messages"], self.instructions)
        return body

    def learn(
        self, body: dict[str, Any], problem: Problem, keep_temperature: bool = False
    ) -> tuple[str, Dialect] | None:
        """(what is counted, the dialect that leaves out what was refused); None when the error is not about that.

        `body` is what the profile asks. With `keep_temperature` the temperature is never left out.
        """
        about = f"{problem.param} {problem.message}"
        if not (problem.param or _REFUSES.search(about) or "unsupported" in problem.names):
            return None
        named = problem.param.replace("/", ".").split(".")[-1].lower()
        value = _RANGE.search(about)  # the value is refused, not the field
        if self.cap == "max_tokens" and re.search(r"\bmax_tokens\b", about) and not value:
            return "cap_refused", replace(self, cap="max_completion_tokens")
        sent = self.put(body)
        if "response_format" in sent and _FORMAT.search(about):
            lesser = "json_object" if sent["response_format"].get("type") == "json_schema" else "none"
            return "format_refused", replace(self, response_format=lesser)
        if "temperature" in sent and re.search(r"\btemperature\b", about) and not (value or keep_temperature):
            return "temperature_refused", replace(self, temperature=False)
        roles = {message["role"] for message in sent["messages"]}
        if roles & set(_ROLES) and (named == "role" or _ROLE.search(about) or "must alternate" in about):
            other = "developer" if "system" in roles else "system"
            takes = re.search(other, problem.message, re.IGNORECASE) is not None
            return "role_refused", replace(self, instructions=other if takes and self.instructions is None else "user")
        return None

    def mark(self, answer: ServerAnswer, request: Request | None = None) -> ServerAnswer:
        """The answer to a request put in this dialect, with the dialect beside it."""
        formatted = self.response_format is None or (request is not None and request.response_format is None)
        return replace(answer, formatted=formatted, dialect=self.dump())

    def say(self) -> list[str]:
        """What is sent differently, a phrase each."""
        said = []
        if self.cap != "max_tokens":
            said.append(f"max_tokens (sent as {self.cap})")
        if not self.temperature:
            said.append("temperature (left out)")
        if self.response_format is not None:
            instead = "left out" if self.response_format == "none" else f"sent as {self.response_format}"
            said.append(f"response_format ({instead})")
        if self.instructions is not None:
            said.append(f"the role of the instructions (sent as {self.instructions})")
        return said

    def dump(self) -> str | None:
        """What differs from the default as JSON, None for nothing."""
        plain = asdict(PLAIN)
        changed = {name: value for name, value in asdict(self).items() if value != plain[name]}
        return json.dumps(changed, sort_keys=True) if changed else None

    @classmethod
    def load(cls, text: str | None) -> Dialect:
        """The dialect that `dump` wrote."""
        return cls(**json.loads(text)) if text else PLAIN


PLAIN = Dialect()


def _with_role(messages: list[dict[str, Any]], role: str) -> list[dict[str, Any]]:
    if role != "user":
        return [{**each, "role": role} if each["role"] in _ROLES else each for each in messages]
    told = [each["content"] for each in messages if each["role"] in _ROLES]
    others = [each for each in messages if each["role"] not in _ROLES]
    for number, each in enumerate(others):
        if each["role"] == "user":
            others[number] = {**each, "content": "\n\n".join([*told, each["content"]])}
            return others
    return [{"role": "user", "content": "\n\n".join(told)}, *others]
