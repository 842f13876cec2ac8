"""The leaderboard's page in headless Chromium: hostile rows, filters, keyboard, contrast, phone, the staged Space."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from leaderboard.rows.row import About
from leaderboard.space.frame import asset
from leaderboard.space.stage import write_page_space
from metrics.util.characters import printable
from tests.browser import errors, free_port, serve, visit
from tests.conftest import ROOT
from tests.hub.server import HubServer
from tests.leaderboard.space_boards import COMMIT, COPIED, HOSTILE, published_row, system, tamper, write

RTL = "org/\u202egpj.exe"
# Ratio of the brightness of each text and what is behind it, for all that is on the screen.
CONTRAST = """
const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
const rgba = (colour) => {
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data; return [r, g, b, a / 255];
};
const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const over = (front, back) => [0, 1, 2].map((i) => front[i] * front[3] + back[i] * (1 - front[3]));
const behind = (element) => {
  if (!element) return [255, 255, 255];
  const colour = rgba(getComputedStyle(element).backgroundColor);
  return colour[3] === 1 ? colour : over(colour, behind(element.parentElement));
};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const faint = [];
let seen = 0;
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  const style = getComputedStyle(element);
  const text = walker.currentNode.textContent.trim();
  const off = element.closest(':disabled, .rude, title, style, script, noscript');
  if (!text || off || !element.checkVisibility({checkVisibilityCSS: true, checkOpacity: true})) continue;
  const svg = element.closest('svg') !== null;
  const back = behind(element);
  const [a, b] = [light(over(rgba(svg ? style.fill : style.color), back)), light(back)].sort((x, y) => y - x);
  seen += 1;
  if ((a + 0.05) / (b + 0.05) < 4.5) faint.push([text.slice(0, 40), style.color, back.join(), (a + 0.05) / (b + 0.05)]);
}
return [seen, faint];
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 rows of one group, eleven of them hostile, two of another group, published figures."""
    folder = tmp_path_factory.mktemp("board")
    about = About(note=HOSTILE[0], base=HOSTILE[1], licence=HOSTILE[5], training_data=(HOSTILE[2],))
    hostile = [
        system(name, [1, 1, 0, 0, 0, 0], about=about, kind="model", revision=COMMIT, outputs=(name, COPIED) * 3)
        for name in HOSTILE
    ]
    write(
        folder,
        system("reference", [1] * 6, kind="human"),
        system(
            "org/polite", [1, 1, 1, 1, 1, 0], kind="model", revision=COMMIT,
            about=About(size=135_000_000, parallel_data=True, contamination="clean"),
        ),
        system("delete", [1, 1, 1, 0, 0, 0], kind="baseline", about=About(size=0, parallel_data=False)),
        system("right to left", [1, 0, 0, 0, 0, 0]),
        system("without-fl", [1] * 6, drop=("fl",)),
        *hostile,
        *(system(f"filler-{i:02}", [0] * 6) for i in range(48)),
        system("delete", [1, 0], kind="baseline", profile="s2"),
        system("other", [1, 1], kind="outputs", profile="s2"),
        published_row("CondBERT", 0.5, title=HOSTILE[0]),
        verified={"org/polite": "verified", "delete": "mismatch"},
    )  # fmt: skip
    tamper(folder, "right to left", system=RTL, note=f"{RTL} {'long ' * 200_000}", path="../../../etc/passwd.json")
    return folder


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    port = free_port()
    with serve(["-m", "leaderboard.space", "--local", str(folder), "--port", port], port) as served:
        yield served


class Visitor:
    """A visitor of the page, who finds controls by their labels and names."""

    def __init__(self, chrome: Any, address: str) -> None:
        self.chrome = chrome
        self.address = address

    def open(self, theme: str = "light") -> None:
        visit(self.chrome, f"{self.address}?__theme={theme}")
        self.until(lambda: self.all("#ranking tbody tr") or "No measured rows" in self.text("#ranking"))
        # Buttons work once the page's own script has taken them over.
        self.until(lambda: self.chrome.execute_script("return document.readyState === 'complete'"))
        time.sleep(0.3)

    def all(self, css: str) -> list[Any]:
        return list(self.chrome.find_elements("css selector", css))

    def one(self, css: str) -> Any:
        return self.until(lambda: next((e for e in self.all(css) if e.is_displayed()), None))

    def text(self, css: str) -> str:
        # As it is shown; a node may be replaced while it is read.
        return str(self.chrome.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", css))

    def until(self, true: Callable[[], Any]) -> Any:
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self.chrome, 30, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda _: true())

    def tab(self, name: str) -> None:
        button = self.until(lambda: next((b for b in self.all("button[role=tab]") if b.text.strip() == name), None))
        button.click()

    def choose(self, elem_id: str, choice: str) -> None:
        # A node may be replaced before it is clicked.
        self.until(lambda: self.one(f"#{elem_id} input").click() or True)
        self.until(lambda: self._click_option(choice))

    def _click_option(self, choice: str) -> bool:
        option = next((o for o in self.all("[role=option]") if choice in o.text), None)
        if option is not None:
            option.click()
        return option is not None

    def systems(self) -> list[str]:
        return [str(cell) for cell in self.chrome.execute_script(
            "return [...document.querySelectorAll('#ranking tbody th[scope=row]')].map((cell) => cell.innerText)"
        )]  # fmt: skip

    def hacked(self) -> Any:
        return self.chrome.execute_script("return window.hacked")


@pytest.fixture
def visitor(driver: Any, address: str) -> Visitor:
    visitor = Visitor(driver, address)
    driver.set_window_size(1280, 1000)
    visitor.open()
    return visitor


def test_hostile_rows_run_no_script(visitor: Visitor) -> None:
    shown = visitor.systems()
    assert set(HOSTILE) <= set(shown) and printable(RTL) in shown
    visitor.tab("Published")
    visitor.until(lambda: visitor.text("#published").count(HOSTILE[0]) == 1)
    visitor.tab("Ranking")
    visitor.one("#columns-menu button").click()
    visitor.one("#columns label")
    for label in ("Base model", "Licence", "Training data", "Note"):
        next(box for box in visitor.all("#columns label") if box.text.strip() == label).click()
    visitor.until(lambda: HOSTILE[2] in visitor.text("#ranking"))
    visitor.tab("Charts")
    visitor.until(lambda: len(visitor.all("#charts svg[role=img]")) == 2)
    for number, name in enumerate((*HOSTILE, printable(RTL))):
        visitor.tab("Ranking")
        buttons = visitor.until(lambda: visitor.all("#ranking .name"))
        # By script: the heading of a table that scrolls in its box may cover the button.
        visitor.chrome.execute_script("arguments[0].click()", buttons[visitor.systems().index(name)])
        visitor.until(lambda name=name: name in visitor.text("#details h2"))  # type: ignore[misc]
        if name == printable(RTL):
            visitor.until(lambda: "no sentences are stored" in visitor.text("#sentences"))
            continue
        visitor.until(lambda name=name: f"Outputs of {name}" in visitor.text("#sentences"))  # type: ignore[misc]
        cells = [cell.text for cell in visitor.all("#sentences td.text")]
        assert name in cells and printable(COPIED) in cells, number
        if number == 0:
            assert "python -m metrics.score '<script>window.hacked = 1</script>'" in visitor.text("#details")
    visitor.one("#system input").click()
    options = visitor.until(lambda: visitor.all("[role=option]"))
    # A list to choose from folds white space, and marks the chosen one.
    assert {" ".join(name.split()) for name in HOSTILE} <= {option.text.removeprefix("✓").strip() for option in options}
    assert visitor.hacked() is None
    links = visitor.chrome.execute_script("return [...document.links].map((link) => link.href)")
    assert all(link.startswith(("https://", "http://127.0.0.1")) for link in links)
    # Nobody else was asked for anything, and nothing went wrong on the way.
    hosts = visitor.chrome.execute_script(
        "return performance.getEntriesByType('resource').map((entry) => new URL(entry.name).host)"
    )
    assert set(hosts) == {visitor.address.split("/")[2]}
    assert errors(visitor.chrome) == []


def test_filters_profiles_and_pages(visitor: Visitor) -> None:
    # Reference and delete stand above the systems, on every page.
    assert len(visitor.systems()) == 52 and "Systems: 1–50 of 62" in visitor.text("#ranking")
    visitor.one("#ranking .pager button:last-child").click()
    visitor.until(lambda: "Systems: 51–62 of 62" in visitor.text("#ranking"))
    search = visitor.one("#search textarea")
    search.send_keys("polite")
    visitor.until(lambda: visitor.systems() == ["org/polite"])
    search.clear()
    search.send_keys("<script>")
    visitor.until(lambda: HOSTILE[0] in visitor.systems() and "org/polite" not in visitor.systems())
    search.clear()
    search.send_keys(" ")
    visitor.until(lambda: len(visitor.systems()) == 52)
    visitor.one("#filters button").click()
    visitor.choose("filter-verification", "verified")
    visitor.until(lambda: visitor.systems() == ["org/polite"])
    visitor.choose("filter-verification", "mismatch")
    visitor.until(lambda: visitor.systems() == ["delete"])
    assert "no rank" in visitor.text("#ranking tbody")
    visitor.choose("filter-verification", "any")
    visitor.choose("group", "s2")
    visitor.until(lambda: visitor.systems() == ["delete", "other"])
    assert "t (2 sentences), s2" in visitor.text("#ranking caption")


def test_columns_are_sorted_with_the_keyboard(visitor: Visitor) -> None:
    from selenium.webdriver.common.keys import Keys

    chrome = visitor.chrome
    visitor.one("#search textarea").send_keys("fil")
    visitor.until(lambda: len(visitor.systems()) == 48)
    for _ in range(80):
        chrome.switch_to.active_element.send_keys(Keys.TAB)
        if chrome.switch_to.active_element.get_attribute("data-value") == "system":
            break
    outline = chrome.execute_script("return getComputedStyle(document.activeElement).outlineStyle")
    assert chrome.switch_to.active_element.text == "System" and outline == "solid"
    for order, first in (("ascending", "filler-00"), ("descending", "filler-47")):
        chrome.switch_to.active_element.send_keys(Keys.ENTER)
        visitor.until(lambda order=order: visitor.all(f'#ranking th.c-system[aria-sort="{order}"]'))  # type: ignore[misc]
        assert visitor.systems()[0] == first
        # The focus stays where it was.
        assert chrome.switch_to.active_element.get_attribute("data-value") == "system"
    assert chrome.execute_script("return document.documentElement.lang") == "en"


def test_comparison_and_rude_words(visitor: Visitor) -> None:
    visitor.tab("Compare")
    # The leader and the next system.
    visitor.until(lambda: "First: org/polite" in visitor.text("#comparison"))
    assert "Second: reference" not in visitor.text("#comparison")
    visitor.choose("left", "reference")
    visitor.choose("right", "org/polite")
    # J .5 against 5/12 on six sentences: one sentence apart.
    visitor.until(lambda: "The test finds no difference between their J (p = 1.000)" in visitor.text("#comparison"))
    visitor.choose("right", "delete")
    visitor.until(lambda: "Second: delete" in visitor.text("#comparison"))
    visitor.choose("right", printable(RTL))
    visitor.until(lambda: "no sentences are stored" in visitor.text("#comparison"))
    visitor.choose("right", "reference")
    visitor.until(lambda: "both are the same row" in visitor.text("#comparison"))
    visitor.choose("right", "delete")
    visitor.until(lambda: "Second: delete" in visitor.text("#comparison"))
    visitor.choose("pair-order", "First ahead")
    visitor.until(lambda: visitor.text("#comparison .sentences tbody th") == "4")

    def blur(element: Any) -> str:
        return str(visitor.chrome.execute_script("return getComputedStyle(arguments[0]).filter", element))

    word = visitor.one("#comparison .rude")
    assert blur(word) == "blur(5px)" and word.accessible_name == "rude word"
    word.send_keys("\n")
    visitor.until(lambda: blur(word) == "none")
    assert word.accessible_name in ("fool", "idiot")
    visitor.one("#pair-rude input").click()
    visitor.until(lambda: not visitor.all("#comparison .rude"))
    visitor.choose("group", "s2")
    visitor.until(lambda: "First: other" in visitor.text("#comparison"))


def test_ranking_downloads(visitor: Visitor) -> None:
    visitor.one("#search textarea").send_keys("polite")
    visitor.until(lambda: visitor.systems() == ["org/polite"])
    for button in ("csv", "parquet"):
        visitor.one(f"#{button}").click()
        visitor.until((visitor.chrome.downloads / f"leaderboard.{button}").exists)
    text = (visitor.chrome.downloads / "leaderboard.csv").read_text("utf-8-sig")
    assert [row["system"] for row in csv.DictReader(text.splitlines())] == ["org/polite"]


# What a tab shows once its part has more than eighty characters.
PARTS = {
    "Ranking": "#ranking", "Charts": "#fault-table", "Sentences": "#sentence", "System": "#details",
    "Compare": "#comparison", "Published": "#published", "Submit": "#submit",
    "Try it": "#scores", "Judge": "#judge",
}  # fmt: skip
AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ['violations']}).then(({violations}) => done(
  violations.map(({id, nodes}) => [id, ...nodes.slice(0, 3).map((node) => node.html.slice(0, 200))])));
"""


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_no_violation(visitor: Visitor, look: str) -> None:
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    if look == "phone":
        visitor.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        visitor.open("dark" if look == "dark" else "light")
        if look == "phone":
            # The controls are folded until the heading is opened, also by the keyboard.
            assert not any(element.is_displayed() for element in visitor.all("#search, #group, #filters"))
            visitor.one("#controls-fold summary").send_keys("\n")
        visitor.chrome.execute_script((ROOT / "tests" / "axe" / "axe.min.js").read_text("utf-8"))
        visitor.one("#filters button").click()
        visitor.one("#columns-menu button").click()
        for name, part in PARTS.items():
            visitor.tab(name)
            visitor.until(lambda part=part: len(visitor.text(part)) > 80)  # type: ignore[misc]
            # Parts that wait for the server are pale.
            visitor.until(lambda: not visitor.all(".part.pending, .part .pending, .generating"))
            time.sleep(0.5)
            assert visitor.chrome.execute_async_script(AXE) == [], name
            # axe does not look at the text of charts.
            seen, faint = visitor.chrome.execute_script(CONTRAST)
            assert seen > 15 and faint == [], (name, faint)
    finally:
        visitor.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_sentences_are_explored(visitor: Visitor) -> None:
    visitor.tab("Sentences")
    visitor.until(lambda: "6 sentences" in visitor.text("#list"))
    # The leader's rewrites, the lowest J first: the last of the six has STA 0.
    assert visitor.text("#list li[aria-current] button") == "Sentence 6"
    assert "STA: still rude" in visitor.text("#sentence tr.chosen") and "org/polite" in visitor.text(
        "#sentence tr.chosen"
    )
    visitor.choose("explored", HOSTILE[0])
    visitor.until(lambda: HOSTILE[0] in visitor.text("#sentence tr.chosen"))
    visitor.choose("explorer-sunk", "none")
    visitor.until(lambda: "2 of 6 sentences" in visitor.text("#list"))
    visitor.all("#list li button[data-event=pick]")[1].click()
    visitor.until(lambda: "Sentence 2" in visitor.text("#sentence h2") and "sentence=2" in visitor.chrome.current_url)
    address = visitor.chrome.current_url
    visit(visitor.chrome, address)
    visitor.until(lambda: "Sentence 2" in visitor.text("#sentence h2") and "2 of 6" in visitor.text("#list"))
    assert HOSTILE[0] in visitor.text("#sentence tr.chosen") and visitor.hacked() is None
    word = visitor.one("#list .rude, #sentence .rude")
    word.send_keys("\n")
    visitor.until(lambda: word.get_attribute("class") == "rude known")
    visitor.one("#sentence .name").click()
    visitor.until(lambda: visitor.one("#details h2"))


def test_page_fits_a_phone(visitor: Visitor) -> None:
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    visitor.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        visitor.open()
        visitor.one("#controls-fold summary").click()
        visitor.one("#filters button").click()
        for name in PARTS:
            visitor.tab(name)
            time.sleep(0.7)
            width = visitor.chrome.execute_script(
                "window.scrollTo(100, 0); return [document.documentElement.scrollWidth, window.scrollX]"
            )
            assert width == [360, 0], name
        visitor.tab("Ranking")
        inside = visitor.chrome.execute_script(
            "const box = document.querySelector('#ranking .box'); box.scrollLeft = 200; return [box.scrollLeft,"
            "document.querySelector('#ranking th[scope=row]').getBoundingClientRect().left]"
        )
        assert inside[0] == 200 and 0 < inside[1] < 120
    finally:
        visitor.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_address_opens_the_view_again(visitor: Visitor) -> None:
    visitor.one("#search textarea").send_keys("fil")
    visitor.until(lambda: len(visitor.systems()) == 48)
    visitor.one('#ranking button[data-value="system"]').click()
    visitor.one('#ranking button[data-value="system"]').click()
    visitor.until(lambda: visitor.systems()[0] == "filler-47")
    visitor.until(
        lambda: "sort=system" not in visitor.chrome.current_url and "sort=-system" in visitor.chrome.current_url
    )
    assert "search=fil" in visitor.chrome.current_url and "group=" not in visitor.chrome.current_url
    # In a Space the browser shows another address than that of the view.
    visitor.one("#top .link").click()
    visitor.until(lambda: "Copied" in visitor.text("#top .link"))
    assert "The newest result is of 20" in visitor.text("#top")
    ranking = visitor.chrome.current_url
    visitor.all("#ranking .name")[0].click()
    visitor.until(lambda: "Outputs of filler-47" in visitor.text("#sentences"))
    visitor.choose("outputs-order", "Lowest J first")
    visitor.until(lambda: "outputs-order=Lowest" in visitor.chrome.current_url)
    address = visitor.chrome.current_url
    assert "tab=system" in address
    visitor.chrome.back()
    visitor.until(lambda: visitor.systems()[:1] == ["filler-47"] and visitor.one("#ranking").is_displayed())
    assert visitor.chrome.current_url == ranking
    visit(visitor.chrome, address)
    visitor.until(lambda: "Outputs of filler-47" in visitor.text("#sentences"))
    assert visitor.chrome.current_url == address
    # What stands in an address comes from anybody.
    hostile = (
        "?tab=nobody&group=x&sort=__class__.1&search=<script>window.hacked%3D1</script>&system=x&columns=x,j&kind=x"
    )
    visit(visitor.chrome, visitor.address + hostile)
    visitor.until(lambda: visitor.systems() == [HOSTILE[0]] or "none" in visitor.text("#ranking"))
    assert visitor.hacked() is None


def test_a_table_with_other_rows_keeps_the_hint_that_it_goes_on(driver: Any) -> None:
    """A table that keeps its size lost the hint at its right end with its first new value."""
    from selenium.webdriver.support.ui import WebDriverWait

    driver.get("data:text/html,<style>.box{overflow:auto;width:100px}table{width:500px}</style><div id=block></div>")
    block = "window.block = {value: '<div class=box><table><tbody><tr><td>old</td></tr></tbody></table></div>'};"
    given = "const element = document.getElementById('block'), props = window.block, trigger = () => {};"
    watch = "const watch = (name, changed) => { window.changed = changed; };"
    driver.execute_script(f"{block}{given}{watch}{asset('page.js')}")
    hint = "return document.querySelector('.box.more')?.innerText"
    wait = WebDriverWait(driver, 30, poll_frequency=0.05)
    wait.until(lambda _: driver.execute_script(hint) == "old")
    driver.execute_script("window.block.value = window.block.value.replace('old', 'new'); window.changed();")
    wait.until(lambda _: driver.execute_script(hint) == "new")


def test_staged_space_shows_a_data_set_at_one_commit(driver: Any, hub: HubServer, tmp_path: Path) -> None:
    write_page_space(tmp_path / "space")
    write(tmp_path / "board", system("reference", [1, 1], kind="human"), system("polite", [1, 0]))
    api = hub.api("hf_alice")
    api.create_repo("lab/board", repo_type="dataset")
    api.upload_folder(repo_id="lab/board", repo_type="dataset", folder_path=tmp_path / "board")
    port = free_port()
    own = {"SRO_LEADERBOARD": "lab/board", "GRADIO_SERVER_PORT": port, "GRADIO_SERVER_NAME": "127.0.0.1"}
    env = {**hub.environment("hf_alice", tmp_path / "home"), **own}
    with serve(["app.py"], port, tmp_path / "space", env) as served:
        # What happens to the data set from now on is not mixed into what is shown.
        api.delete_folder("results", repo_id="lab/board", repo_type="dataset")
        read = hub.count("HEAD", "/resolve/")
        # The table, and the sentences of the leader, from which the first screen has its examples; there is no
        # other system, whose sentences would be read to tell how far it is behind.
        assert read == 2
        visitor = Visitor(driver, served)
        visitor.open()
        assert "read from lab/board" in visitor.text("#top")
        visitor.all("#ranking .name")[1].click()
        visitor.until(lambda: "polite 1" in visitor.text("#sentences"))
        # The references' sentences, and the table of all rows for the history.
        assert hub.count("HEAD", "/resolve/") == read + 2
