"""The tabs Judge and Try it in headless Chromium: keyboard, blindness, resuming, hostile texts, contrast, phone."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderboard.judgements import main
from leaderboard.judging.storage import read_judgements
from leaderboard.judging.study import Runs
from leaderboard.space.data import open_leaderboard
from leaderboard.space.stage import write_page_space
from leaderboard.space.views.people import render_people
from leaderboard.space.views.reading import study_payload
from leaderboard.space.views.try_it import _FAULTS, BUILT_IN_PROFILES, HUB_PROFILES, render_scores
from leaderboard.stores import open_store
from metrics.data.judgement_files import latest
from metrics.profiles import load_profile, profile_names
from metrics.scorers import FAULTS
from metrics.util.characters import printable
from tests.browser import errors, free_port, serve, visit
from tests.hub.server import HubServer
from tests.leaderboard.judging import ANN, BOB, add_study, answers_file
from tests.leaderboard.space_boards import COPIED, HOSTILE, system, write
from tests.leaderboard.test_space_browser import CONTRAST, Visitor

SYSTEMS = ("one", "two", HOSTILE[0])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies of three systems; outputs, titles and guidelines are hostile. The pairs have answers."""
    folder = tmp_path_factory.mktemp("people") / "board"
    outputs = [(*HOSTILE[:5], COPIED), (*HOSTILE[5:10], "plain"), tuple(f"a fine rewrite {i}" for i in range(6))]
    write(folder, *(system(name, [1, 0] * 3, outputs=own) for name, own in zip(SYSTEMS, outputs, strict=True)))
    add_study(folder, "single", SYSTEMS[:2], title=HOSTILE[0], guidelines="\n".join(HOSTILE), guidelines_version="2")
    pairs = add_study(folder, "two", SYSTEMS, form="pairs", title="Pairs", sentences=2)
    for who, answers in ((ANN, ("first", "second", "first")), (BOB, ("first", "equal", "second"))):
        given = [(place, "better", answer) for place, answer in enumerate(answers)]
        main(["import", str(answers_file(folder, pairs, given, who)), "--local", str(folder)])
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    port = free_port()
    command = ["-m", "leaderboard.space", "--local", str(folder), "--port", port, "--answers", "file"]
    with serve(command, port) as served:
        yield served


class Reader(Visitor):
    """An annotator at the tab Judge."""

    def read(self, study: str, code: str = "me", theme: str = "light") -> None:
        visit(self.chrome, f"{self.address}?tab=judge&study={study}&__theme={theme}")
        self.until(lambda: self.all(".judge-start"))
        name = self.one("#judge .code-name")
        name.clear()
        name.send_keys(code)
        self.one(".judge-start").click()
        self.until(lambda: self.all(".judge-card"))

    def press(self, keys: str) -> None:
        for key in keys:
            self.chrome.switch_to.active_element.send_keys(key)

    def count(self) -> str:
        return self.text("#judge .judge-count")

    def score(self, expected: str) -> None:
        """Press Score and wait for a text; the models may have to be loaded first."""
        self.one("#try-score").click()
        deadline = time.monotonic() + 300
        while expected not in self.text("#scores"):
            assert time.monotonic() < deadline, self.text("#scores")
            time.sleep(0.1)

    def saved(self, name: str) -> Any:
        """The file that the button saves."""
        for old in self.chrome.downloads.glob("*"):
            old.unlink()
        self.one(".judge-save").click()
        (path,) = self.until(lambda: list(self.chrome.downloads.glob(f"{name}-*.json")))
        return path


@pytest.fixture
def reader(driver: Any, address: str) -> Iterator[Reader]:
    driver.set_window_size(1280, 1000)
    visit(driver, address)
    driver.execute_script("localStorage.clear()")
    yield Reader(driver, address)
    assert driver.execute_script("return window.hacked") is None
    assert errors(driver) == []


def stored(folder: Path, study: str) -> Any:
    return latest(read_judgements(open_store(local=folder).snapshot(), study))


def test_a_reader_judges_with_the_keyboard_and_goes_on_after_a_break(reader: Reader, folder: Path) -> None:
    reader.read("single")
    assert "judge-card" in reader.chrome.switch_to.active_element.get_attribute("class")
    outline = reader.chrome.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid" and reader.count() == "0 of 12 judged"
    seen = []
    for _ in range(12):
        seen.append([element.text for element in reader.all("#judge .judge-text p")])
        reader.press("132")
    # Every rewrite of every sentence once, each shown as the text that it is.
    outputs = sorted(" ".join(output.split()) for _, output in seen)
    wanted = sorted(" ".join(printable(text).split()) for text in (*HOSTILE[:10], COPIED, "plain"))
    assert outputs == wanted and reader.count() == "12 of 12 judged"
    assert "You have judged everything" in reader.text("#judge")
    assert HOSTILE[0] in reader.text("#judge h2") and HOSTILE[9] in reader.text("#judge .judge-guidelines")
    # One answer is changed; the others stay.
    reader.press("\ue012" + "3")  # arrow left
    reader.read("single")
    assert reader.count() == "12 of 12 judged"
    file = reader.saved("single")
    main(["import", str(file), "--local", str(folder)])
    answers = stored(folder, "single")
    assert len(answers) == 36 and {one.annotator for one in answers} == {json.loads(file.read_text())["annotator"]}
    shown = {one.output: one.answer for one in answers if one.question == "polite"}
    last = next(text for text in (*HOSTILE[:10], COPIED, "plain") if " ".join(printable(text).split()) == seen[-1][1])
    assert shown.pop(last) == "no" and set(shown.values()) == {"yes"}
    assert {one.answer for one in answers if one.question == "meaning"} == {"no"}
    assert {one.answer for one in answers if one.question == "fluent"} == {"partly"}
    assert {one.guidelines for one in answers} == {"2"}


def test_readers_have_orders_of_their_own_and_learn_no_system(reader: Reader, folder: Path) -> None:
    orders = []
    for code in ("ann", "bob", "ann"):
        reader.read("two", code)
        order = []
        for _ in range(6):
            order.append(tuple(element.text for element in reader.all("#judge .judge-text p")))
            reader.press("\ue014")  # arrow right: skip
        orders.append(order)
        assert "6 were skipped" in reader.text("#judge")
    # The same pairs, in another order or the other way round; the same for the same reader.
    assert orders[0] == orders[2] != orders[1]
    assert {frozenset(texts) for texts in orders[0]} == {frozenset(texts) for texts in orders[1]}
    snapshot = open_store(local=folder).snapshot()
    study = study_payload(open_leaderboard(local=folder), "two")
    sent = json.dumps({**study, "items": [item[:2] for item in study["items"]]})
    for run in Runs(snapshot).paths:
        assert run not in sent
    assert not any(json.dumps(name)[1:-1] in sent for name in (*SYSTEMS[2:], '"one"'))


def test_answers_go_on_from_a_file_and_pairs_keep_their_order(reader: Reader, folder: Path, tmp_path: Path) -> None:
    reader.read("two", "carla")
    shown = [element.text for element in reader.all("#judge .judge-text p")]
    reader.press("12")
    file = reader.saved("two")
    copy = file.rename(file.parent.parent / "carla.json")
    reader.chrome.execute_script("localStorage.clear()")
    visit(reader.chrome, f"{reader.address}?tab=judge&study=two")
    reader.until(lambda: reader.all(".judge-start"))
    reader.one("#judge input[type=file]").send_keys(str(copy))
    reader.until(lambda: reader.count() == "2 of 6 judged")
    assert json.loads(reader.saved("two").read_text()) == json.loads(copy.read_text())
    # The first of the pair that was shown first is the better one.
    before, board = stored(folder, "two"), tmp_path / "board"
    shutil.copytree(folder, board)
    main(["import", str(copy), "--local", str(board)])
    new = [one for one in stored(board, "two") if one not in before]
    assert len(new) == 2
    first = min(new, key=lambda one: one.time)
    assert [" ".join(printable(t).split()) for t in (first.source, first.output, first.other_output)] == [
        " ".join(text.split()) for text in shown
    ]
    assert first.answer == "first"
    copy.write_text('{"study": "other"}')
    visit(reader.chrome, f"{reader.address}?tab=judge&study=two")
    reader.until(lambda: reader.all(".judge-start"))
    reader.one("#judge input[type=file]").send_keys(str(copy))
    reader.until(lambda: "This file was not read: it belongs to another study" in reader.text("#judge"))


def test_a_local_page_stores_answers_under_a_hash_of_the_name(driver: Any, folder: Path, tmp_path: Path) -> None:
    board, home, port = tmp_path / "board", tmp_path / "home", free_port()
    shutil.copytree(folder, board)
    shutil.rmtree(board / "judgements")
    add_study(board, "single", SYSTEMS[:2])
    command = ["-m", "leaderboard.space", "--local", str(board), "--port", port]
    with serve(command, port, env={"SRO_HOME": str(home)}) as served:
        reader = Reader(driver, served)
        reader.read("single", "Ann Example")
        reader.press("132" * 3)
        reader.until(lambda: "9 answers are stored" in reader.text("#judge .judge-stored"))
        first = stored(board, "single")
        assert sorted(one.answer for one in first) == ["no"] * 3 + ["partly"] * 3 + ["yes"] * 3
        # In another browser the same name goes on there; a changed answer replaces the old one, in the same file.
        reader.chrome.execute_script("localStorage.clear()")
        reader.read("single", "ann example")
        assert reader.count() == "3 of 12 judged"
        reader.press("\ue012" + "222")  # arrow left
        reader.until(lambda: [one.answer for one in stored(board, "single")].count("partly") == 5)
        (file,) = (board / "judgements" / "single").glob("*.parquet")
        assert len(stored(board, "single")) == 9 and file.name.startswith(first[0].annotator)
        assert all(b"xample" not in path.read_bytes() for path in board.rglob("*") if path.is_file())
        # The salt is not in the folder that is published.
        assert (home / "annotators.salt").is_file()
        # Answers that cannot be stored stay with the reader, who is told.
        shutil.rmtree(board / "judgements")
        reader.press("111")
        reader.until(lambda: "Not stored: study single: not in this leaderboard" in reader.text("#judge .judge-stored"))
        saved = json.loads(reader.saved("single").read_text())
        assert len(saved["answers"]) == 12 and saved["annotator"] == first[0].annotator


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_and_phone(reader: Reader, theme: str) -> None:
    reader.read("two", theme=theme)
    reader.until(lambda: reader.all("#people summary"))
    reader.one("#people summary").click()
    seen, faint = reader.chrome.execute_script(CONTRAST)
    assert seen > 50 and faint == []
    visit(reader.chrome, f"{reader.address}?tab=try&__theme={theme}")
    reader.one("#try-score")
    seen, faint = reader.chrome.execute_script(CONTRAST)
    assert seen > 10 and faint == []
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    reader.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        reader.read("single", theme=theme)
        reader.press("1")
        width = "window.scrollTo(100, 0); return [document.documentElement.scrollWidth, window.scrollX]"
        assert reader.chrome.execute_script(width) == [360, 0]
    finally:
        reader.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.full
def test_typed_rewrites_are_scored_and_stay_text(reader: Reader) -> None:
    visit(reader.chrome, f"{reader.address}?tab=try&try-profile=offline-v2")
    source, output = (reader.one(f"#try-{name} textarea") for name in ("source", "output"))
    for box, text in ((source, "you are a damn fool"), (output, f"you are wrong {HOSTILE[1]}")):
        box.clear()
        box.send_keys(text)
    reader.score("under the profile offline-v2")
    assert HOSTILE[1] in reader.text("#scores") and reader.all("#scores .rude")
    from selenium.webdriver.common.keys import Keys

    # `clear` would not tell the page that the text has changed.
    output.send_keys(Keys.CONTROL, "a")
    output.send_keys(Keys.BACKSPACE)
    reader.score("An empty rewrite scores 0 in every metric.")


def test_limits_of_the_server_hold_for_typed_texts() -> None:
    assert "At most 1,000 characters" in render_scores("x" * 1_001, "y", "offline", False)
    assert "At most 1,000 characters" in render_scores("x", "y" * 1_001, "offline", False)
    assert "Write the toxic sentence first" in render_scores(" \n", "y", "offline", False)
    assert "profile &lt;b&gt;: unknown" in render_scores("x", "y", "<b>", False)
    assert "An empty rewrite scores 0 in every metric" in render_scores("you damn fool", "", "offline-v2", False)
    html = render_scores("you damn fool", f"you damn fool {HOSTILE[1]}", "offline-v2", False)
    assert "<img" not in html and "&lt;img src=x" in html and 'class="rude"' in html
    assert "J is below 0.5, and STA is the lowest" in html and "The list of rude words has" in html
    # Each fault of the judge has a sentence; each profile is one that needs neither references nor a judge's endpoint.
    assert set(_FAULTS) == set(FAULTS)
    profiles = {name: load_profile(name) for name in profile_names()}
    usable = {name for name, profile in profiles.items() if not profile.needs_references and not profile.judged_metrics}
    assert usable == {*BUILT_IN_PROFILES, *HUB_PROFILES}


def test_what_people_said_is_shown_and_escaped(folder: Path) -> None:
    board = open_leaderboard(local=folder)
    html = render_people(board, "two")
    assert "<script" not in html and "&lt;script&gt;window.hacked = 1&lt;/script&gt;" in html
    # Ann and Bob agree about one of three pairs.
    assert "0.333" in html and "Krippendorff" in html and "Do the metrics prefer what people prefer?" in html
    assert "t (6 sentences), s1" in html
    assert render_people(board, "none") == "<p>No answers are stored for this study yet.</p>"
    assert study_payload(board, "<b>")["problem"].startswith("study <b>: not in this leaderboard")


def test_a_board_without_studies_has_trials(tmp_path: Path) -> None:
    write(tmp_path, system("one", [1, 0]), system("two", [0, 0]))
    board = open_leaderboard(local=tmp_path)
    assert len(study_payload(board, "trial")["items"]) == 4 and len(study_payload(board, "trial-pairs")["items"]) == 2
    write(tmp_path / "empty", system("one", [1, 0]))
    assert "no two rows" in study_payload(open_leaderboard(local=tmp_path / "empty"), "trial")["problem"]


@pytest.mark.full
def test_the_staged_space_scores_and_reads(driver: Any, hub: HubServer, folder: Path, tmp_path: Path) -> None:
    write_page_space(tmp_path / "space")
    api = hub.api("hf_alice")
    api.create_repo("lab/board", repo_type="dataset")
    api.upload_folder(repo_id="lab/board", repo_type="dataset", folder_path=folder)
    port = free_port()
    own = {"SRO_LEADERBOARD": "lab/board", "GRADIO_SERVER_PORT": port, "GRADIO_SERVER_NAME": "127.0.0.1"}
    env = {**hub.environment("hf_alice", tmp_path / "home"), **own}
    with serve(["app.py"], port, tmp_path / "space", env) as served:
        reader = Reader(driver, served)
        reader.read("two")
        assert reader.count() == "0 of 6 judged"
        visit(reader.chrome, f"{reader.address}?tab=try")
        reader.one("#try-score")
        reader.score("The judge sees no fault.")
