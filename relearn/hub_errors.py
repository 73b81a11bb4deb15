"""What goes wrong between here and the Hugging Face hub, in one line that says what to do."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from relearn.errors import InputError, first_line

Kind = Literal["model", "dataset"]


@contextmanager
def explain_errors(repo_id: str, revision: str, kind: Kind) -> Iterator[None]:
    """Turns what goes wrong between here and the hub into an InputError of one line that says what to do."""
    import httpx2
    from huggingface_hub import errors

    name = name_repository(repo_id, kind)
    page = f"https://huggingface.co/{'datasets/' if kind == 'dataset' else ''}{repo_id}"
    try:
        yield
    except errors.GatedRepoError as error:
        if error.response.status_code == 403:
            advice = f"your account has not been given access; ask for it at {page}, and wait until it is granted"
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
        raise InputError(f"{name}: not a repository name ({first_line(error)}); write owner/name") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled, httpx2.TransportError) as error:
        offline = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE")
        advice = (
            "HF_HUB_OFFLINE is set and the cache does not hold it; unset it once to fetch it"
            if offline
            else "check the network (and HF_ENDPOINT), or use local files instead (source kind files, or a model folder)"
        )
        raise InputError(f"{name}: the hub cannot be reached ({type(error).__name__}): {advice}") from None
    except errors.EntryNotFoundError as error:
        raise InputError(
            f"{name} at {revision[:12]}: a file is missing ({first_line(error)}); check {page}/tree/main"
        ) from None
    except errors.HfHubHTTPError as error:
        raise InputError(
            f"{name}: the hub answered {error.response.status_code} ({first_line(error)}); "
            "for 401 or 403 check HF_TOKEN, otherwise try again later"
        ) from None


def name_repository(repo_id: str, kind: Kind) -> str:
    """The repository as messages name it."""
    return f"hub {'data set' if kind == 'dataset' else kind} {repo_id}"


def list_some(names: Sequence[str]) -> str:
    """The first eight names, and how many more there are."""
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "") if names else "no files"
