"""Places that hold a leaderboard: a local folder or a Hub data set."""

from pathlib import Path

from leaderboard.stores.base import Store
from leaderboard.stores.hub import HubStore
from leaderboard.stores.local import LocalStore
from metrics.util.errors import InputError

# The folder that `tox -e reproduce` leaves.
DEFAULT_FOLDER = "runs/smollm2-cpu/leaderboard"


def open_store(*, repo: str | None = None, local: str | Path | None = None, create: bool = False) -> Store:
    """Return the store in the Hub data set `repo` (ORG/NAME) or the folder `local`; `create` allows a missing folder.

    Raises:
        InputError: Both or neither are given, the folder does not exist, or the id is not ORG/NAME.
    """
    if repo is not None and local is None:
        return HubStore(repo)
    if repo is not None or local is None:
        raise InputError("give the leaderboard: either --local DIR or --repo ORG/NAME")
    folder = Path(local)
    try:
        is_folder, exists = folder.is_dir(), folder.exists()
    except OSError as error:
        raise InputError(f"{str(folder)[:80]}: not a valid path ({error.strerror})") from None
    if not is_folder and (exists or not create):
        raise InputError(f"{folder}: no such folder; give the leaderboard folder that a run left")
    return LocalStore(folder)
