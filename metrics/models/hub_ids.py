"""The table of every Hub id that this repository names, and its comparison with the Hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from metrics.util.config import Config, read_yaml, validate
from metrics.util.errors import InputError, one_line
from metrics.util.hub import is_hub_failure, require_sendable_token

_TABLE = Path(__file__).with_name("hub_ids.yaml")


class HubEntry(Config):
    """An entry of the table; the comment at the top of hub_ids.yaml explains the fields."""

    kind: Literal["model", "dataset"]
    revision: str | None
    licence: str | None
    seen: str | None = None
    use: str


def hub_ids() -> dict[str, HubEntry]:
    """Return the table: Hub id -> entry."""
    return {name: validate(HubEntry, entry, f"{_TABLE.name}: {name}") for name, entry in read_yaml(_TABLE).items()}


@dataclass(frozen=True)
class HubState:
    """What the Hub says of an id.

    Attributes:
        found: What differs, in words: "as in the table", or what moved, and what the table lacks.
        wrong: Whether the suite can no longer read what the table names, or its licence changed.
    """

    name: str
    found: str
    wrong: bool = False


def check_hub_ids() -> Iterator[HubState]:
    """Compare each entry of the table with the Hub.

    Raises:
        InputError: The Hub cannot be reached.
    """
    import huggingface_hub as hub

    require_sendable_token()
    api = hub.HfApi()
    for name, entry in hub_ids().items():
        yield _check(api, name, entry)


def _check(api: Any, name: str, entry: HubEntry) -> HubState:
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    try:
        info = api.repo_info(name, repo_type=entry.kind, timeout=30)
        if entry.revision is not None:
            api.repo_info(name, repo_type=entry.kind, revision=entry.revision, timeout=30)
    except GatedRepoError:
        return HubState(name, "gated: accept its terms on the Hub and set HF_TOKEN", wrong=True)
    except RevisionNotFoundError:
        return HubState(name, f"revision {entry.revision} is gone; main is {info.sha}", wrong=True)
    except RepositoryNotFoundError:
        return HubState(name, f"no such {entry.kind} that you may read", wrong=True)
    except Exception as error:
        if not is_hub_failure(error):
            raise
        raise InputError(f"{name}: the Hub cannot be reached ({one_line(error)}); nothing was checked") from None
    found = []
    # A moved main changes nothing for a pinned revision; without one, first uses from now on read another commit.
    if entry.revision is None:
        found.append(f"main is {info.sha}; the table pins none")
    elif info.sha != entry.revision:
        found.append(f"main moved to {info.sha}; the pinned revision is still there")
    licence = getattr(info.card_data, "license", None)
    wrong = entry.licence is not None and licence != entry.licence
    if licence != entry.licence:
        found.append(f"its card says licence {licence}, the table {entry.licence}")
    return HubState(name, "; ".join(found) or "as in the table", wrong)
