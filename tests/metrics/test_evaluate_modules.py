"""The four `evaluate` modules, their cards, and their staged Spaces."""

from __future__ import annotations

import base64
import doctest
import importlib
import importlib.util
import io
import json
import os
import re
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import metrics
from metrics.profiles import load_profile
from metrics.scoring import METRICS
from metrics.spaces.bundle import METRIC_BUNDLE, bundle, write_metric_space
from metrics.spaces.private_import import import_archive
from metrics.stage import main
from metrics.util.errors import InputError
from tests.browser import browser, wait_for
from tests.bundles import import_every_module, missing_modules

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCES = ["shut up, idiot", "you are a fool", "what the hell is this crap"]
PREDICTIONS = ["please be quiet", "you are a fool", ""]
# Runs in a process that cannot import this project: four staged folders, alone and combined.
STAGED = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "metrics" or name.startswith("metrics."):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import evaluate
folders, texts = json.loads(sys.argv[1]), json.loads(sys.argv[2])
modules = [evaluate.load(folder) for folder in folders]
result = evaluate.combine(modules).compute(**texts, per_sentence=True)
assert result["j"] == evaluate.load(folders[-1]).compute(**texts)["j"]
packages = {name.partition(".")[0] for name in sys.modules if name.startswith("detox_suite_")}
assert len(packages) == 1, packages
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the four staged Spaces, outside the repository."""
    folder = tmp_path_factory.mktemp("spaces")
    for name in METRICS:
        main([name, str(folder / name)])
    return folder


def environment(**extra: str) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    return {**own, "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False", "OMP_WAIT_POLICY": "PASSIVE", **extra}


# Both processes below take a while to import their libraries: they start before the first test needs them.
@pytest.fixture(scope="module", autouse=True)
def staged_modules(spaces: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    texts = json.dumps({"sources": SOURCES, "predictions": PREDICTIONS})
    with subprocess.Popen(
        [sys.executable, "-I", "-c", STAGED, json.dumps([str(spaces / name) for name in METRICS]), texts],
        cwd=elsewhere, env=environment(HF_HOME=str(elsewhere)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as process:  # fmt: skip
        yield process
        process.kill()


@pytest.fixture(scope="module", autouse=True)
def page(spaces: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The staged J page: its process and its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    with subprocess.Popen(
        [sys.executable, "app.py"], cwd=spaces / "j", stdout=subprocess.DEVNULL,
        env=environment(GRADIO_SERVER_PORT=port, GRADIO_SERVER_NAME="127.0.0.1"),
    ) as process:  # fmt: skip
        yield process, f"http://127.0.0.1:{port}/"
        process.kill()


def own_profile(folder: Path, **changes: Any) -> str:
    """A profile file of fast scorers; its FL is not a fluency."""
    profile = load_profile("offline-v2").model_dump() | {
        "name": "quick", "max_tokens": 64, "sta_scorer": "profanity-check", "sta_model": "alt-profanity-check",
        "sta_label": 0, "sta_rule": "probability", "sta_threshold": 0.5, "fl_scorer": "profanity-check",
        "fl_model": "alt-profanity-check", "fl_label": 0, "fl_rule": "soft",
    }  # fmt: skip
    path = folder / "quick.yaml"
    path.write_text(yaml.safe_dump(profile | changes))
    return str(path)


@pytest.fixture
def quick(tmp_path: Path) -> str:
    return own_profile(tmp_path)


def load(name: str, profile: str | None = None) -> Any:
    import evaluate

    return evaluate.load(str(ROOT / "metrics" / name), profile)


def test_modules_return_the_values_of_the_functions(quick: str) -> None:
    expected = {
        "sta": metrics.style_accuracy(PREDICTIONS, profile=quick),
        "sim": metrics.similarity(SOURCES, PREDICTIONS, profile=quick),
        "fl": metrics.fluency(PREDICTIONS, profile=quick),
    }
    expected["j"] = expected["sta"] * expected["sim"] * expected["fl"]
    assert expected["sta"].tolist() == [1, 0, 0]
    modules = {name: load(name, quick) for name in METRICS}
    assert len({str(module.features) for module in modules.values()}) == 1
    for name, module in modules.items():
        assert module.name == name and list(module.features) == ["sources", "predictions"]
        texts = {"sources": SOURCES, "predictions": PREDICTIONS}
        assert module.compute(**texts) == {name: pytest.approx(expected[name].mean())}
        both = module.compute(**texts, per_sentence=True, references=["not", "looked", "at"])
        assert both == {name: float(expected[name].mean()), f"{name}_per_sentence": expected[name].tolist()}


def test_combined_modules_return_four_means_and_values(quick: str) -> None:
    import evaluate

    four = evaluate.combine([load(name, quick) for name in METRICS])
    assert set(four.compute(sources=SOURCES, predictions=PREDICTIONS)) == set(METRICS)
    for source, prediction in zip(SOURCES, PREDICTIONS, strict=True):
        four.add(sources=source, prediction=prediction)
    result = four.compute(per_sentence=True)
    parts = [np.array(result[f"{name}_per_sentence"]) for name in ("sta", "sim", "fl")]
    assert result["j"] == pytest.approx((parts[0] * parts[1] * parts[2]).mean(), abs=1e-12)
    assert len(result) == 8


def test_profiles_that_use_references_require_them(tmp_path: Path) -> None:
    profile = own_profile(tmp_path, sim_anchor="references")
    modules = {name: load(name, profile) for name in METRICS}
    assert len({str(module.features) for module in modules.values()}) == 1
    sim = modules["sim"]
    assert list(sim.features) == ["sources", "predictions", "references"]
    texts: dict[str, Any] = {"sources": SOURCES[:2], "predictions": SOURCES[:2]}
    one = sim.compute(**texts, references=["be quiet", SOURCES[1]], per_sentence=True)["sim_per_sentence"]
    # One reference, a list of one, and both kinds in one call are the same; of several the nearest counts.
    assert one == sim.compute(**texts, references=[["be quiet"], SOURCES[1]], per_sentence=True)["sim_per_sentence"]
    arrays = [np.array(["be quiet"]), np.array([SOURCES[1]])]
    assert one == sim.compute(**texts, references=arrays, per_sentence=True)["sim_per_sentence"]
    for source, reference in zip(SOURCES, ("be quiet", SOURCES[1]), strict=False):
        sim.add(source=source, prediction=source, reference=reference)
    assert one == sim.compute(per_sentence=True)["sim_per_sentence"]
    best = sim.compute(**texts, references=[["be quiet", SOURCES[0]], SOURCES[1]], per_sentence=True)
    assert one[0] < 0.9 and best["sim_per_sentence"] == pytest.approx([1, 1], abs=1e-6)
    for missing in (None, ["only one"], [[], "none for the first"]):
        with pytest.raises((InputError, ValueError), match="references"):
            sim.compute(**texts, references=missing)


def test_invalid_input_raises_and_leaves_the_module_usable(quick: str) -> None:
    import evaluate

    sta = load("sta", quick)
    wrong: list[tuple[Any, Any, str]] = [
        (SOURCES, PREDICTIONS[:2], r"Mismatch in the number of sources \(3\) and predictions \(2\)"),
        (SOURCES, None, "predictions: a list"),
        (SOURCES, "please", "predictions: a list"),
        (SOURCES, ["a", "b", 3], "predictions: int in place of a string"),
        ([], [], "no sentence was given"),
    ]
    for sources, predictions, message in wrong:
        with pytest.raises((InputError, ValueError), match=message):
            sta.compute(sources=sources, predictions=predictions)
        assert sta.compute(sources=SOURCES[:2], predictions=PREDICTIONS[:2]) == {"sta": pytest.approx(0.5, abs=0.01)}
    with pytest.raises(InputError, match="did you mean offline"):
        evaluate.load(str(ROOT / "metrics" / "j"), "offlin")
    # What UTF-8 cannot hold, a tweet cut in the middle of an emoji, is scored.
    assert sta.compute(sources=["a"], predictions=["nice \ud83d"]) == {"sta": 1}


def test_modules_load_from_any_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate

    own_profile(tmp_path)
    for folder, path in ((ROOT, "metrics/j"), (tmp_path, str(ROOT / "metrics" / "j"))):
        monkeypatch.chdir(tmp_path)
        profile = Path("quick.yaml").resolve()
        monkeypatch.chdir(folder)
        module = evaluate.load(path, str(profile) if folder == ROOT else "quick.yaml")
        monkeypatch.chdir("/")
        assert 0 < module.compute(sources=SOURCES[:1], predictions=PREDICTIONS[:1])["j"] < 1


@pytest.mark.parametrize("name", METRICS)
def test_examples_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    folder = ROOT / "metrics" / name
    spec = importlib.util.spec_from_file_location(f"example_{name}", folder / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    card = "\n".join(re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL))
    for text in (module.__doc__ or "", card):
        examples = doctest.DocTestParser().get_doctest(text, {}, name, None, 0)
        assert len(examples.examples) > 2
        assert doctest.DocTestRunner().run(examples).failed == 0


@pytest.mark.parametrize("name", METRICS)
def test_cards_and_requirements_are_complete(name: str) -> None:
    folder = ROOT / "metrics" / name
    _, front, card = (folder / "README.md").read_text("utf-8").split("---\n", 2)
    pins = (ROOT / "constraints.txt").read_text().split("\n")
    head = yaml.safe_load(front)
    assert {"evaluate", "metric"} <= set(head["tags"]) and head["title"].lower().startswith(f"{name}: ")
    assert head["sdk"] == "gradio" and head["app_file"] == "app.py" and f"gradio=={head['sdk_version']}" in pins
    sections = ["Description", "How to use", "Inputs", "Outputs", "Limits", "Citation"]
    assert re.findall(r"^## (.*)$", card, re.MULTILINE) == sections
    assert set((folder / "requirements.txt").read_text().split()) <= set(pins)


def test_stage_starts_fast_and_overwrites_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "metrics.stage", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0 and "usage:" in done.stdout
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.split("\n")}
    assert not imported & {"torch", "numpy", "evaluate", "datasets", "gradio", "yaml"}
    (tmp_path / "mine.txt").write_text("keep me")
    for taken in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(InputError, match="is not an empty folder"):
            write_metric_space("sta", taken)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    write_metric_space("sta", tmp_path / "empty")
    assert (tmp_path / "empty" / "empty.py").is_file()
    with pytest.raises(InputError, match="the name of a file in it"):
        write_metric_space("sta", tmp_path / "app")


def test_a_staged_folder_may_have_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import evaluate

    write_metric_space("sta", tmp_path / "my-space")
    monkeypatch.chdir(tmp_path)
    module = evaluate.load(str(tmp_path / "my-space"))
    assert module.compute(sources=SOURCES[:2], predictions=PREDICTIONS[:2]) == {"sta": pytest.approx(0.5, abs=0.01)}


def test_staged_folder_is_complete_and_imports_nothing_outside(spaces: Path) -> None:
    files = bundle(METRIC_BUNDLE)
    for name in METRICS:
        folder = spaces / name
        assert {path.name for path in folder.iterdir()} == {
            f"{name}.py", "packed.py", "app.py", "README.md", "requirements.txt", "metrics"
        }  # fmt: skip
        # Tests that run the Space leave compiled modules in it.
        own = [path for path in (folder / "metrics").rglob("*") if path.is_file() and path.suffix != ".pyc"]
        assert {path.relative_to(folder).as_posix() for path in own} == set(files)
        for path in folder.rglob("*.py"):
            assert not re.search(r"^\s*(from|import) (repro|leaderboard)\b", path.read_text("utf-8"), re.M)
        # What evaluate loads may not name the project at all.
        for text in ((folder / f"{name}.py").read_text("utf-8"), (folder / "packed.py").read_text("utf-8")):
            assert not re.search(r"^\s*(from|import) metrics\b", text, re.M)
        # Four equal texts: loaded together they share one package and its models.
        assert (folder / "packed.py").read_bytes() == (spaces / "sta" / "packed.py").read_bytes()
    assert {"__init__.py", "scoring/functions.py", "scoring/measures.py", "scorers/__init__.py"} <= {
        path.removeprefix("metrics/") for path in files
    }
    assert not {"score.py", "stage.py", "spaces/bundle.py"} & {path.removeprefix("metrics/") for path in files}
    weights = [path.name for path in (ROOT / "metrics" / "scorers" / "heads").glob("*.safetensors")]
    assert weights and all((spaces / "j" / "metrics" / "scorers" / "heads" / name).is_file() for name in weights)
    assert missing_modules(files) == set()
    import_every_module(spaces / "j")


def test_private_imports_do_not_touch_an_installed_package(tmp_path: Path) -> None:
    def archive(**modules: str) -> str:
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as files:
            for name, text in modules.items():
                files.writestr(f"metrics/{name}.py", text)
        return base64.b64encode(data.getvalue()).decode("ascii")

    modules = {
        "__init__": "from metrics.numbers import ONE\n",
        "numbers": "ONE = {}\n",
        "late": "import metrics.numbers as numbers\nimport metrics.numbers\n\n"
        "def one():\n    from metrics import numbers as own\n    assert own is numbers is metrics.numbers\n"
        "    return own.ONE\n",
    }
    first, second = (
        import_archive(archive(**{**modules, "numbers": modules["numbers"].format(one)}), tmp_path) for one in (1, 2)
    )
    assert first.ONE == 1 and second.ONE == 2 and first is not second
    assert [importlib.import_module(f"{package.__name__}.late").one() for package in (first, second)] == [1, 2]
    assert sys.modules["metrics"] is metrics and not hasattr(metrics, "numbers")
    assert import_archive(archive(**{**modules, "numbers": "ONE = 1\n"}), tmp_path) is first


def test_staged_page_scores_typed_sentences(page: tuple[subprocess.Popen[bytes], str]) -> None:
    process, address = page
    with browser() as chromium:
        from selenium.webdriver.common.by import By
        from selenium.webdriver.support.ui import WebDriverWait

        wait_for(address, process)
        chromium.get(address)
        until = WebDriverWait(chromium, 90).until
        # By label, as a screen reader finds them.
        areas = until(lambda c: c.find_elements(By.XPATH, "//label[.//textarea]"))
        by_label = {area.text.strip(): area.find_element(By.TAG_NAME, "textarea") for area in areas}
        assert set(by_label) == {"Source sentences", "Rewrites"}
        assert chromium.title == "J: joint score"

        def score(sources: str, rewrites: str) -> None:
            for label, text in (("Source sentences", sources), ("Rewrites", rewrites)):
                by_label[label].clear()
                by_label[label].send_keys(text)
            chromium.find_element(By.ID, "score").click()

        # Values of the example are there at once; others follow the button, an empty rewrite too.
        assert "the mean of 2 sentences" in chromium.find_element(By.ID, "result").text
        score("\n".join(SOURCES), "\n".join(PREDICTIONS))
        until(lambda c: "the mean of 3 sentences" in c.find_element(By.ID, "result").text)
        cells = [
            [c.text for c in row.find_elements(By.CSS_SELECTOR, "th, td")]
            for row in chromium.find_elements(By.CSS_SELECTOR, "#result tr")
        ]
        assert cells[0] == ["Source", "Rewrite", "STA", "SIM", "FL", "J"]
        assert cells[1][:3] == [SOURCES[0], PREDICTIONS[0], "1.000"] and cells[3][2:] == ["0.000"] * 4
        assert float(chromium.find_element(By.CSS_SELECTOR, "#result caption strong").text) == pytest.approx(
            sum(float(row[-1]) for row in cells[1:]) / 3, abs=0.001
        )
        if os.environ.get("SRO_SCREENSHOT"):
            chromium.save_screenshot(os.environ["SRO_SCREENSHOT"])
        score("<b>one</b>", "<i>two</i>")
        until(lambda c: "<i>two</i>" in c.find_element(By.ID, "result").text)
        score("one\ntwo\nthree", "one")
        until(lambda c: "sources: 3, rewrites: 1; each line" in c.find_element(By.TAG_NAME, "body").text)


def test_the_staged_page_has_an_api(page: tuple[subprocess.Popen[bytes], str]) -> None:
    from gradio_client import Client

    process, address = page
    wait_for(address, process)
    values = Client(address, verbose=False).predict(["shut up, idiot"], ["please be quiet"], api_name="/score")
    assert list(values) == ["sta", "sim", "fl", "j"] and values["sta"] == [pytest.approx(1, abs=0.01)]
    assert values["j"][0] == pytest.approx(values["sta"][0] * values["sim"][0] * values["fl"][0], abs=1e-5)


def test_staged_folders_load_where_the_project_is_not_installed(staged_modules: subprocess.Popen[str]) -> None:
    out, errors = staged_modules.communicate(timeout=200)
    assert staged_modules.returncode == 0, errors
    result = json.loads(out.strip().split("\n")[-1])
    assert result["sta_per_sentence"] == metrics.style_accuracy(PREDICTIONS, sources=SOURCES).tolist()
    assert result["j"] == pytest.approx(metrics.joint(SOURCES, PREDICTIONS), abs=1e-6)
