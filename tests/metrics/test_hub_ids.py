"""The table of Hub ids: it holds every id that the repository names, with the profiles' revisions, and no other."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from metrics.data.sources import HUB_DATASETS
from metrics.models.__main__ import main
from metrics.models.hub_ids import HubEntry, hub_ids
from metrics.models.prompts import KNOWN_PROMPTS
from metrics.profiles import load_profile, profile_names
from metrics.util.errors import InputError
from metrics.util.hub import HUB_ID
from repro.config.recipe import load_recipe, recipe_names
from tests.hub.server import HubServer

ROOT = Path(__file__).resolve().parents[2]
# Repositories of GitHub whose owner has the same name on the Hub.
GITHUB = {"s-nlp/detox", "s-nlp/multilingual_detox"}
# Owners of models that a change is likely to name next, beside those of the table.
OWNERS = {
    "google", "meta-llama", "Qwen", "mistralai", "FacebookAI", "Helsinki-NLP", "cardiffnlp", "unitary", "intfloat",
    "SkolkovoInstitute", "Unbabel", "openai-community", "google-bert", "google-t5", "allenai", "HuggingFaceH4",
}  # fmt: skip
# Examples in docs and code that name no repository the suite reads.
EXAMPLES = {"google/jigsaw_toxicity_pred"}


def ids_in_settings() -> set[str]:
    """The ids in profiles, recipes, data sets and prompts: of any owner, because these fields hold nothing else."""
    names = {*HUB_DATASETS.values(), *KNOWN_PROMPTS}
    for profile in map(load_profile, profile_names()):
        names |= {profile.sta_model, profile.sim_model, profile.fl_model}
    for recipe in map(load_recipe, recipe_names()):
        names |= {recipe.leader, recipe.screener, recipe.toxic_corpus, *recipe.systems}
    facts = yaml.safe_load((ROOT / "leaderboard" / "rows" / "systems.yaml").read_text("utf-8"))["systems"]
    for name, about in facts.items():
        names |= {name, about.get("base", ""), *about.get("training_data", ())}
    return {name for name in names if "/" in name and HUB_ID.match(name)}


def ids_in_text() -> dict[str, str]:
    """Each OWNER/NAME, with an owner that is known, in code, YAML and docs, and a file that names it."""
    files = subprocess.check_output(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, text=True).split("\n")
    owners = "|".join(map(re.escape, sorted({name.partition("/")[0] for name in hub_ids()} | OWNERS)))
    pattern = re.compile(rf"(?<![\w.@-])(?<!github\.com/)(?<!\w/)((?:{owners})/[A-Za-z0-9][\w.-]*\w)")
    found = {}
    for file in files:
        if file.endswith((".py", ".yaml", ".md", ".html", ".json")) and not file.startswith(("tests/", "bench/")):
            text = (ROOT / file).read_text("utf-8")
            found.update({match: file for match in pattern.findall(text) if file != "metrics/models/hub_ids.yaml"})
    return found


def test_every_id_is_in_the_table_and_no_other() -> None:
    in_text = {name: file for name, file in ids_in_text().items() if name not in GITHUB | EXAMPLES}
    assert len(in_text) > 12  # the pattern finds what it should
    assert {name: file for name, file in in_text.items() if name not in hub_ids()} == {}
    assert ids_in_settings() - hub_ids().keys() == set()
    assert hub_ids().keys() - in_text.keys() == set()


def test_profiles_pin_the_revisions_of_the_table() -> None:
    pinned = 0
    for profile in map(load_profile, profile_names()):
        for metric in ("sta", "sim", "fl"):
            model, revision = getattr(profile, f"{metric}_model"), getattr(profile, f"{metric}_revision")
            if model in hub_ids():
                assert hub_ids()[model].revision == (None if revision == "main" else revision), (profile.name, metric)
                pinned += 1
    assert pinned >= 8


def test_the_check_says_what_moved(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    api = hub.api("hf_alice")

    def commit(name: str, text: str, kind: str = "model") -> str:
        return str(
            api.upload_file(path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id=name, repo_type=kind).oid
        )

    for name in ("lab/same", "lab/moved", "lab/licence"):
        api.create_repo(name)
    api.create_repo("lab/texts", repo_type="dataset")
    same = commit("lab/same", "---\nlicense: mit\n---\n")
    before = commit("lab/moved", "---\nlicense: mit\n---\n")
    after = commit("lab/moved", "---\nlicense: mit\n---\nmore\n")
    changed = commit("lab/licence", "---\nlicense: cc-by-nc-4.0\n---\n")
    texts = commit("lab/texts", "---\nlicense: openrail++\n---\n", "dataset")
    table = {
        "lab/same": ("model", same, "mit"), "lab/moved": ("model", before, "mit"),
        "lab/licence": ("model", changed, "mit"), "lab/gone": ("model", None, None),
        "lab/texts": ("dataset", None, "openrail++"), "lab/same-revision": ("model", "a" * 40, "mit"),
    }  # fmt: skip
    api.create_repo("lab/same-revision")
    entries = {n: HubEntry(kind=k, revision=r, licence=li, use="test") for n, (k, r, li) in table.items()}
    monkeypatch.setattr("metrics.models.hub_ids.hub_ids", lambda: entries)
    with pytest.raises(SystemExit) as end:
        main(["--check"])
    assert end.value.code == 1
    lines = [line.split("\t") for line in capsys.readouterr().out.strip().split("\n")]
    found = {name: (verdict, text) for verdict, name, text in lines}
    assert found["lab/same"] == ("ok", "as in the table")
    assert found["lab/moved"] == ("ok", f"main moved to {after}; the pinned revision is still there")
    assert found["lab/licence"] == ("WRONG", "its card says licence cc-by-nc-4.0, the table mit")
    assert found["lab/gone"] == ("WRONG", "no such model that you may read")
    assert found["lab/texts"] == ("ok", f"main is {texts}; the table pins none")
    assert found["lab/same-revision"][1].startswith(f"revision {'a' * 40} is gone; main is ")


def test_a_hub_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch, hub: HubServer) -> None:
    hub.stop()
    with pytest.raises(InputError, match=r"the Hub cannot be reached .*; nothing was checked"):
        main(["--check"])


def test_the_table_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    lines = capsys.readouterr().out.strip().split("\n")
    assert lines[0].split("\t") == ["id", "kind", "revision", "licence", "seen", "use"]
    assert len(lines) == 1 + len(hub_ids())
    # No page of it was found: nothing is claimed of its licence.
    (unseen,) = [line.split("\t") for line in lines if "\tunseen\t" in line]
    assert (unseen[0], unseen[3]) == ("myyycroft/XCOMET-lite", "-")
