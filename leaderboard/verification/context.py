"""What verification needs besides the leaderboard: test sets, and evaluators of profiles."""

from collections.abc import Iterable

from metrics.data.test_sets import TestSet, load_test_set
from metrics.profiles import Profile, load_profile, profile_names
from metrics.scoring.cache import ScoreCache
from metrics.scoring.evaluator import Evaluator
from metrics.util.errors import InputError
from metrics.util.files import cache_dir


class VerificationContext:
    """The test sets of `data_dir` and evaluators, also of the profiles in the files `profiles`, each loaded once."""

    def __init__(self, data_dir: str | None = None, profiles: Iterable[str] = ()) -> None:
        self._data_dir = data_dir
        self._profiles: dict[str, Profile] = {f"{p.name}.v{p.version}": p for p in map(load_profile, profiles)}
        self._test_sets: dict[str, TestSet] = {}
        self._evaluators: dict[str, Evaluator] = {}

    def test_set(self, name: str) -> TestSet:
        """Return the test set called `name`.

        Raises:
            InputError: It is not built in and not in the data folder.
        """
        if name not in self._test_sets:
            self._test_sets[name] = load_test_set(name, self._data_dir)
        if self._test_sets[name].name != name:
            raise InputError(f"test set {name} is not here; give --data-dir or SRO_DATA_DIR")
        return self._test_sets[name]

    def evaluator(self, profile: str) -> Evaluator:
        """Return the evaluator of a profile, as signatures name it (`name.vN`).

        Raises:
            InputError: There is no such profile or version, or its models are not available.
        """
        if profile not in self._evaluators:
            name = profile.rpartition(".v")[0]
            # `load_profile` also reads files: a row must not name one.
            if profile not in self._profiles and name not in profile_names():
                raise InputError(f"profile {profile}: not built in; give its file with --profile")
            loaded = self._profiles.get(profile) or load_profile(name)
            if f"{loaded.name}.v{loaded.version}" != profile:
                raise InputError(f"profile {profile}: this program has version {loaded.version} of it")
            # A separate cache: scores that were computed for publishing must not confirm themselves.
            self._evaluators[profile] = Evaluator(loaded, ScoreCache(cache_dir() / "verified-scores.sqlite"))
        return self._evaluators[profile]
