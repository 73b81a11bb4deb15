"""The Hugging Face hub: one commit for a name, files checked against their published hashes, errors in one line.

A profile may name a branch. `resolve` asks the hub once which commit that is, and remembers the answer in a small
file of its own, so that a rerun reads the same data after the branch has moved; deleting the file, or writing a
commit into the profile, is how to choose another. What was read is recorded by the stages as the commit.

`huggingface_hub` checks a download's size only. `download` also checks what it fetched against the repository's
tree: SHA-256 for large files (git LFS, Xet), git's blob hash for small ones.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relearn.errors import InputError
from relearn.files import file_hash, write_json
from relearn.hub_errors import Kind, explain_errors, list_some, name_repository

if TYPE_CHECKING:
    from huggingface_hub._tree_cache import TreeCacheEntry

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SAFE = re.compile(r"[^A-Za-z0-9._-]+")


def resolve(repo_id: str, revision: str, kind: Kind, memory: Path) -> str:
    """The commit (40 hex digits) that `revision` of a repository stands for; asked once, then remembered.

    A commit is returned as it is, without a request. The answer for a branch or tag is kept under `memory`, together
    with the server that gave it; an answer of another server is not used.

    Raises InputError when the repository or revision is missing, gated, or the hub cannot be reached.
    """
    if _COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    api = HfApi()
    file = memory / _SAFE.sub("_", f"{kind}s--{repo_id.replace('/', '--')}@{revision.replace('/', '--')}.json")
    question = {"kind": kind, "repository": repo_id, "revision": revision, "server": api.endpoint}
    known = _recall(file)
    if known is not None and all(known.get(name) == value for name, value in question.items()):
        return known["commit"]
    with explain_errors(repo_id, revision, kind):
        commit = api.repo_info(repo_id, repo_type=kind, revision=revision).sha
    if commit is None or not _COMMIT.fullmatch(commit):
        raise InputError(
            f"{name_repository(repo_id, kind)}: the hub named no commit for revision {revision}; try again later"
        )
    write_json(file, {**question, "commit": commit})
    return commit


def _recall(file: Path) -> dict[str, str] | None:
    try:
        value = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: cannot be read ({error}); delete it to ask the hub again") from None
    if not isinstance(value, dict) or not _COMMIT.fullmatch(str(value.get("commit"))):
        raise InputError(f"{file}: holds no commit; delete it to ask the hub again")
    return value


def list_files(repo_id: str, commit: str, kind: Kind) -> list[str]:
    """The paths in a repository at a commit, sorted. Raises InputError as `resolve` does."""
    from huggingface_hub import HfApi, RepoFile

    with explain_errors(repo_id, commit, kind):
        tree = HfApi().list_repo_tree(repo_id, recursive=True, revision=commit, repo_type=kind)
        return sorted(entry.path for entry in tree if isinstance(entry, RepoFile))


def download(repo_id: str, commit: str, kind: Kind, patterns: Sequence[str]) -> Path:
    """Fetches the files that match `patterns` (fnmatch), checks each, and returns the folder that holds them.

    The folder is the hub cache's own (`HF_HOME`), and may hold other files fetched before. What is there already is
    not fetched again, so this works offline once it has worked online.

    Raises InputError as `resolve` does, when nothing matches, and when a file is not the one published; that file is
    then removed from the cache.
    """
    from huggingface_hub import snapshot_download

    # the listing that snapshot_download kept; its public reader, get_cached_repo_tree, leaves the SHA-256 out
    from huggingface_hub._tree_cache import read_tree_cache
    from huggingface_hub.utils._paths import filter_repo_objects
    from huggingface_hub.utils.tqdm import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    with explain_errors(repo_id, commit, kind):
        folder = Path(snapshot_download(repo_id, repo_type=kind, revision=commit, allow_patterns=list(patterns)))
    tree = read_tree_cache(str(folder.parent.parent), commit) or {}
    wanted = sorted(filter_repo_objects(tree, allow_patterns=list(patterns)))
    if not wanted:
        raise InputError(
            f"{name_repository(repo_id, kind)} at {commit[:12]}: no file matches {', '.join(patterns)}; it holds {list_some(sorted(tree))}"
        )
    for path in wanted:
        _check(folder / path, path, tree[path], repo_id, kind)
    return folder


def _check(file: Path, path: str, entry: TreeCacheEntry, repo_id: str, kind: Kind) -> None:
    if entry.lfs_sha256 is not None:
        found, expected = file_hash(file), entry.lfs_sha256
    else:
        found, expected = _blob_hash(file), entry.blob_id
    if found == expected:
        return
    blob = file.resolve()
    file.unlink()
    blob.unlink(missing_ok=True)
    raise InputError(
        f"{name_repository(repo_id, kind)}: {path} is not the file that was published (hash {found[:12]}…, "
        f"expected {expected[:12]}…); it was removed from the cache: run again, and if it stays wrong ask whoever "
        f"runs {os.environ.get('HF_ENDPOINT', 'the hub or the proxy before it')}"
    )


def _blob_hash(file: Path) -> str:
    """Git's hash of a file's content: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects"""
    start = b"blob %d\0" % file.stat().st_size
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.sha1(start, usedforsecurity=False)).hexdigest()
