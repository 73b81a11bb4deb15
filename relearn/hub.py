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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from relearn.errors import InputError
from relearn.files import file_hash, write_json

if TYPE_CHECKING:
    from huggingface_hub._tree_cache import TreeCacheEntry

Kind = Literal["model", "dataset"]

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
    file = memory / _SAFE.sub(
        "_", f"{kind}s--{repo_id.replace('/', '--')}@{revision.replace('/', '--')}.json"
    )
    question = {"kind": kind, "repository": repo_id, "revision": revision, "server": api.endpoint}
    known = _recall(file)
    if known is not None and all(known.get(name) == value for name, value in question.items()):
        return known["commit"]
    with explain_errors(repo_id, revision, kind):
        commit = api.repo_info(repo_id, repo_type=kind, revision=revision).sha
    if commit is None or not _COMMIT.fullmatch(commit):
        raise InputError(
            f"{_describe(repo_id, kind)}: the hub named no commit for revision {revision}; try again later"
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
        folder = Path(
            snapshot_download(repo_id, repo_type=kind, revision=commit, allow_patterns=list(patterns))
        )
    tree = read_tree_cache(str(folder.parent.parent), commit) or {}
    wanted = sorted(filter_repo_objects(tree, allow_patterns=list(patterns)))
    if not wanted:
        raise InputError(
            f"{_describe(repo_id, kind)} at {commit[:12]}: no file matches {', '.join(patterns)}; it holds {_shorten(sorted(tree))}"
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
        f"{_describe(repo_id, kind)}: {path} is not the file that was published (hash {found[:12]}…, "
        f"expected {expected[:12]}…); it was removed from the cache: run again, and if it stays wrong ask whoever "
        f"runs {os.environ.get('HF_ENDPOINT', 'the hub or the proxy before it')}"
    )


def _blob_hash(file: Path) -> str:
    """Git's hash of a file's content: https://git-scm.com/book/en/v2/Git-Internals-Git-Objects"""
    start = b"blob %d\0" % file.stat().st_size
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.sha1(start, usedforsecurity=False)).hexdigest()


@contextmanager
def explain_errors(repo_id: str, revision: str, kind: Kind) -> Iterator[None]:
    """Turns what goes wrong between here and the hub into an InputError of one line that says what to do."""
    import httpx2
    from huggingface_hub import errors

    name = _describe(repo_id, kind)
    page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repo_id}"
    try:
        yield
    except errors.GatedRepoError as error:
        if error.response.status_code == 403:
            advice = (
                f"your account has not been given access; ask for it at {page}, and wait until it is granted"
            )
        else:
            advice = f"accept its terms at {page}, then log in with `hf auth login` or set HF_TOKEN"
        raise InputError(f"{name} is gated ({error.response.status_code}): {advice}") from None
    except errors.RepositoryNotFoundError as error:
        raise InputError(
            f"{name}: the hub has no such repository, or it is private ({error.response.status_code}); check the name "
            f"at {page}, and for a private one log in with `hf auth login` or set HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise InputError(
            f"{name} has no revision {revision}; name a branch, tag or commit listed at {page}/commits/main"
        ) from None
    except errors.HFValidationError as error:
        raise InputError(f"{name}: not a repository name ({_first_line(error)}); write owner/name") from None
    except (
        errors.LocalEntryNotFoundError,
        errors.OfflineModeIsEnabled,
        httpx2.TransportError,
    ) as error:
        offline = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE")
        advice = (
            "HF_HUB_OFFLINE is set and the cache does not hold it; unset it once to fetch it"
            if offline
            else "check the network (and HF_ENDPOINT), or use local files instead (source kind files, or a model folder)"
        )
        raise InputError(f"{name}: the hub cannot be reached ({type(error).__name__}): {advice}") from None
    except errors.EntryNotFoundError as error:
        raise InputError(
            f"{name} at {revision[:12]}: a file is missing ({_first_line(error)}); check {page}/tree/main"
        ) from None
    except errors.HfHubHTTPError as error:
        raise InputError(
            f"{name}: the hub answered {error.response.status_code} ({_first_line(error)}); "
            "for 401 or 403 check HF_TOKEN, otherwise try again later"
        ) from None


def _describe(repo_id: str, kind: Kind) -> str:
    return f"hub {'data set' if kind == 'dataset' else kind} {repo_id}"


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _shorten(names: Sequence[str]) -> str:
    return (
        ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        if names
        else "no files"
    )
