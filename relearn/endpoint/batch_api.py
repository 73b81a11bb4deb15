"""A server's files and batches (OpenAI's Batch API): what is uploaded, created, listed, watched and read."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai

from relearn.endpoint.client import locate, read_break, read_refusal
from relearn.endpoint.errors import Failed, redact
from relearn.endpoint.limits import draw_backoff
from relearn.endpoint.request import Address

MARK = "relearn_batch"  # the name under which a batch's own key is in its metadata
LONGEST_S = 600.0  # for one transfer: files are large


def file_name(key: str) -> str:
    """The name of a batch's upload, by which it is found again."""
    return f"relearn-{key}.jsonl"


class BatchApi:
    """Calls to one server; a context manager. Calls that change nothing are tried again `attempts` times.

    Every call raises Failed; its `status` is that of HTTP.
    """

    def __init__(self, address: Address, attempts: int, backoff_s: float, rng: Any) -> None:
        self.address, self.attempts, self.backoff_s, self.rng = address, attempts, backoff_s, rng
        self._api = openai.OpenAI(
            **locate(address),
            max_retries=0,
            http_client=openai.DefaultHttpxClient(
                trust_env=not address.loopback, timeout=httpx2.Timeout(LONGEST_S, connect=30), follow_redirects=False
            ),
        )

    def __enter__(self) -> BatchApi:
        return self

    def __exit__(self, *_: object) -> None:
        self._api.close()

    def _once(self, call: Callable[[], httpx2.Response]) -> httpx2.Response:
        try:
            return call()
        except openai.APIStatusError as error:
            raise read_refusal(error, self.address.api_key) from None
        except openai.APIConnectionError as error:
            raise read_break(error, self.address.api_key) from None

    def _patiently(self, call: Callable[[], httpx2.Response]) -> httpx2.Response:
        for attempt in range(1, self.attempts + 1):
            try:
                return self._once(call)
            except Failed as failed:
                if failed.verdict != "retry" or attempt == self.attempts:
                    raise
                time.sleep(failed.wait or draw_backoff(attempt, self.rng, self.backoff_s))
        raise AssertionError

    def _object(self, response: httpx2.Response) -> dict[str, Any]:
        try:
            found = json.loads(response.content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            shown = redact(response.text[:80], self.address.api_key)
            raise Failed("not_json", f"the body is not a JSON object: {shown!r}")
        return found

    def upload(self, key: str, lines: bytes) -> str:
        """Uploads a batch's requests; returns the file's id. A second upload harms nothing: this is tried again."""

        def call() -> httpx2.Response:
            content = (file_name(key), lines, "application/jsonl")
            return self._api.post(
                "/files",
                cast_to=httpx2.Response,
                body={"purpose": "batch"},
                files={"file": content},
                options={"headers": {"Content-Type": "multipart/form-data"}},
            )

        return self._id(self._object(self._patiently(call)), "file")

    def create(self, key: str, file: str) -> str:
        """Creates the batch of an uploaded file, once; returns its id."""
        body = {
            "input_file_id": file,
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {MARK: key},
        }
        response = self._once(
            lambda: self._api.post(
                "/batches", cast_to=httpx2.Response, body=body, options={"headers": {"Idempotency-Key": key}}
            )
        )
        return self._id(self._object(response), "batch")

    def _id(self, found: dict[str, Any], what: str) -> str:
        if not isinstance(found.get("id"), str):
            raise Failed("no_id", f"the server gives the {what} no id")
        return str(found["id"])

    def get(self, batch: str) -> dict[str, Any]:
        """A batch as the server has it."""
        return self._object(self._patiently(lambda: self._api.get(f"/batches/{batch}", cast_to=httpx2.Response)))

    def read(self, file: str) -> bytes:
        """The content of a file."""
        return self._patiently(lambda: self._api.get(f"/files/{file}/content", cast_to=httpx2.Response)).content

    def find_batch(self, key: str, file: str) -> str | None:
        """The id of the batch that was created under this key, or from this file; None when there is none."""
        for batch in self._list("/batches"):
            metadata = batch.get("metadata")
            if (isinstance(metadata, dict) and metadata.get(MARK) == key) or batch.get("input_file_id") == file:
                return str(batch["id"])
        return None

    def find_file(self, key: str) -> str | None:
        """The id of the upload of this batch, or None."""
        found = (str(file["id"]) for file in self._list("/files") if file.get("filename") == file_name(key))
        return next(found, None)

    def _list(self, path: str) -> Iterator[dict[str, Any]]:
        """Everything listed, page by page; a server that knows no pages is asked once."""
        seen: set[str] = set()
        after: str | None = None
        while True:
            query = {"limit": "100", **({"after": after} if after else {})}
            page = self._object(
                self._patiently(
                    lambda query=query: self._api.get(path, cast_to=httpx2.Response, options={"params": query})  # type: ignore[misc]
                )
            )
            items = page.get("data")
            if not isinstance(items, list):
                raise Failed("not_listed", "the server's list holds no data", status=501)
            new = [item for item in items if isinstance(item, dict) and item.get("id") and item["id"] not in seen]
            yield from new
            seen |= {item["id"] for item in new}
            if not new or page.get("has_more") is not True:
                return
            after = str(new[-1]["id"])
