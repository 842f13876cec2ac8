"""The command `python bench/space.py`: compares the leaderboard's page with `gr.Dataframe`, both with 10,000 rows.

This machine serves both pages, one after the other, to headless Chromium. The browser measures two times: from the
start of the navigation to the frame that shows the first row (cold: with an empty browser cache), and from an action
(a typed letter, a selected filter, a click on a heading) to the last frame that it changes. In the sentence explorer,
the first 24 systems have 2,000 sentences each; opening it, which reads them, is measured apart. `gr.Dataframe` has its
built-in search only. Before, the command measures how long the staged Space takes from the start of its process to its
first response; a Space downloads its table from the Hub as well. It prints medians, worst cases and ratios.

`--hostile` measures instead, without a browser, how long filters take for one client while six others send the largest
searches, downloads and comparisons that the page takes, one after the other.

`--screenshots DIR --local BOARD` takes the screenshots of the documentation instead.
"""

import multiprocessing
import os
import random
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
from PIL import Image
from pyarrow import parquet
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from leaderboard.board.board import Board
from leaderboard.board.tables import TABLES, derive
from leaderboard.rows.sentences import Sentences
from leaderboard.space.page import TABS
from leaderboard.space.stage import write_page_space
from leaderboard.space.views.columns import DEFAULT, FIXED
from leaderboard.space.views.texts.explorer import MAX_SYSTEMS
from metrics.util.console import command_parser
from metrics.util.errors import InputError, run_command

ROOT = Path(__file__).resolve().parent.parent
LIMIT_PAINT, LIMIT_FILTER, LIMIT_EXPLORER, LIMIT_HOSTILE = 1_000, 100, 200, 300
LIMIT_START_SECONDS = 20
# As many as ParaDetox's and Jigsaw's test sets have.
SENTENCES = 2_000
VOCABULARY = (
    "you idiot are the a stupid of fool what damn people why so liar this is my day with it never was good".split()
)
BACKSPACE = "\ue003"
# Each letter leaves fewer rows.
WORD = "lab12"
PEER = """
import sys, gradio as gr, pandas
table = pandas.read_parquet(sys.argv[1])[sys.argv[2].split(",")]
with gr.Blocks() as demo:
    gr.Dataframe(table, elem_id="ranking", show_search="filter", pinned_columns=2, interactive=False)
demo.launch(server_port=int(sys.argv[3]), quiet=True)
"""

# What app.py of the Space does, with a folder in place of a data set.
SPACE = """
import sys
from leaderboard.space.data import open_leaderboard
from leaderboard.space.page import Page, launch
launch(Page(open_leaderboard(local=sys.argv[1])).build(), server_port=int(sys.argv[2]))
"""


def write_leaderboard(folder: Path, n: int) -> Path:
    """Write a leaderboard of n rows in one group, 500 in another, and 30 published figures; return its table."""
    draw = random.Random(1)
    rows = [_row(draw, i, "offline.v2" if i < n else "paradetox.v1", published=i >= n + 500) for i in range(n + 530)]
    rows.sort(key=lambda row: (row["record"], row["profile"], -row["j"]))
    for i, row in enumerate(rows):
        letter = chr(97 + i * 26 // len(rows))
        row |= {"rank": i + 1, "ties": f"{letter} {letter}{i % 9}"}
    path = folder / TABLES["latest"]
    path.parent.mkdir(parents=True)
    schema = parquet.read_schema(BytesIO(derive(Board())[TABLES["latest"]]))
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    sources = [_sentence(draw) for _ in range(SENTENCES)]
    for row in rows[:MAX_SYSTEMS]:
        _write_sentences(draw, sources, folder / row["path"].replace(".json", ".parquet"))
    return path


def _sentence(draw: random.Random) -> str:
    return " ".join(draw.choice(VOCABULARY) for _ in range(draw.randrange(4, 24)))


def _write_sentences(draw: random.Random, sources: list[str], path: Path) -> None:
    """Write the sentences of one made-up system: each word of a source stays with a probability of .8."""
    outputs = [" ".join(word for word in source.split() if draw.random() < 0.8) for source in sources]
    scores = [[draw.random() for _ in sources] for _ in range(3)]
    values = {name: np.array(column) for name, column in zip(("sta", "sim", "fl"), scores, strict=True)}
    values |= {"j": values["sta"] * values["sim"] * values["fl"], "soft_sta": values["sta"], "soft_fl": values["fl"]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(Sentences(tuple(sources), tuple(outputs), values).to_parquet())


def _row(draw: random.Random, i: int, profile: str, published: bool) -> dict[str, Any]:
    org = draw.choice(("lab", "uni", "company", "group", "team")) + str(draw.randrange(400))
    base = draw.choice(("t5-base", "bart-large", "llama-3.2-1B", "mistral-7B", "gemma-2-2B", "smollm2-135M"))
    sta, sim, fl = draw.uniform(0.2, 1), draw.uniform(0.4, 1), draw.uniform(0.4, 1)
    signature = f"profile:{profile}|" + "|".join(f"{name}:{'x' * 60}" for name in ("sta", "sim", "fl", "joint", "test"))
    row = {
        "system": f"{org}/{base}-detox-{i}", "kind": "model", "revision": f"{i:040x}", "submitter": org, "n": 2000,
        "base": f"{org}/{base}", "size": draw.choice((135_000_000, 1_200_000_000, 7_000_000_000, None)),
        "licence": draw.choice(("apache-2.0", "mit", "openrail++", "")),
        "parallel_data": draw.choice((True, False, None)),
        "training_data": draw.sample(("s-nlp/paradetox", "jigsaw-toxic", "ParaNMT", "own corpus"), 2),
        "contamination": draw.choice(("clean", "contaminated", "unknown")),
        "note": draw.choice(("", "Tuned on paired sentences.", "Prompted by its chat template, without training.")),
        "verification": draw.choice(("verified", "verified", "unchecked", "mismatch")), "verification_note": "as found",
        "test_set": "paradetox-test", "lang": "en", "test_set_origin": "Hub", "test_set_size": 2000, "profile": profile,
        "decoding": '{"batch_size": 32, "do_sample": false, "max_new_tokens": 48, "num_beams": 1}',
        "signature": signature, "comparable": signature, "soft_sta": sta, "soft_fl": fl, "length_ratio": 0.9,
        "copies": 0.02, "empty": 0, "seconds": draw.uniform(5, 500), "device": "cuda", "date": "2026-11-24 12:00:00",
        "provenance": f'{{"git_commit": "{i:040x}", "packages": {{"torch": "2.13.0", "transformers": "5.23.0"}}}}',
        "record": "published" if published else "measured", "source": f"Paper {i}", "run_id": f"{i:016x}",
        "path": f"results/{org}__{base}-detox-{i}/{i:016x}.json", "schema_version": 2,
    }  # fmt: skip
    for metric, mean in (("sta", sta), ("sim", sim), ("fl", fl), ("j", sta * sim * fl)):
        row[metric] = mean
        if not published:
            row |= {f"{metric}_low": max(0.0, mean - 0.03), f"{metric}_high": min(1.0, mean + 0.03)}
    return row


# -- the browser ------------------------------------------------------------------------------------------------------
def browser() -> Any:
    """Start headless Chromium; raises InputError if it is not installed."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        raise InputError("no chromium and chromedriver here (Debian: apt-get install chromium chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in "headless=new no-sandbox disable-dev-shm-usage hide-scrollbars window-size=1280,1000".split():
        options.add_argument(f"--{argument}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


@contextmanager
def serving(command: list[str], cwd: Path = ROOT) -> Iterator[str]:
    """Run the server of a page, `command` and a free port, while the block runs; yields its address."""
    environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(cwd)}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    with subprocess.Popen([*command, str(port)], cwd=cwd, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            while True:
                with suppress(OSError):
                    urllib.request.urlopen(address, timeout=5).close()
                    break
                if process.poll() is not None:
                    raise InputError("the page's server ended; run it alone to see why")
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()


class Stopwatch:
    """Measures one page; `times` are in milliseconds, by the name of what was measured."""

    def __init__(self, chrome: Any) -> None:
        self.chrome = chrome
        self.times: dict[str, list[float]] = {}

    def paint(self, address: str, cache: str) -> None:
        """Open the page and measure the time until its first row is painted, with a "cold" or "warm" cache."""
        if cache == "cold":
            self.chrome.execute_cdp_cmd("Network.clearBrowserCache", {})
        self.chrome.get(address)
        script = "return window.painted > 0 ? window.painted : null"
        painted = WebDriverWait(self.chrome, 60, 0.01).until(lambda chrome: chrome.execute_script(script))
        self.times.setdefault(f"first paint, {cache}", []).append(float(painted))

    def action(self, name: str, act: Callable[[], None], patience: float = 3) -> None:
        """Measure the time until the last frame that the action changes; an action without any is left out."""
        self.chrome.execute_script("window.shown = 0")
        act()
        deadline = time.monotonic() + patience
        while not self.chrome.execute_script("return window.shown"):
            if time.monotonic() > deadline:
                return
            time.sleep(0.02)
        # Without a change for this long, that was the last frame.
        while self.chrome.execute_script("return performance.now() - window.shown") < 250:
            time.sleep(0.05)
        took = self.chrome.execute_script("return window.shown - window.acted")
        self.times.setdefault(name, []).append(float(took))

    def click(self, name: str, css: str) -> None:
        """Measure a click on an element."""
        self.action(name, self.chrome.find_element("css selector", css).click)

    def pick(self, name: str, elem_id: str, choice: int) -> None:
        """Open a menu and measure the selection of one of its choices."""
        self.chrome.find_element("css selector", f"#{elem_id} input").click()
        time.sleep(0.3)
        self.action(name, self.chrome.find_elements("css selector", "[role=option]")[choice].click)

    def search(self, css: str) -> None:
        """Measure each letter of `WORD` that is typed into a field, and deleted."""
        field = self.chrome.find_element("css selector", css)
        for letter in [*WORD, *[BACKSPACE] * len(WORD)]:
            self.action("search, per letter", partial(field.send_keys, letter))


def measure_page(watch: Stopwatch, repeats: int) -> None:
    """Measure every filter, sort and page turn of the page `repeats` times."""
    for menu in ("filters", "columns-menu"):
        watch.chrome.find_element("css selector", f"#{menu} button").click()
    time.sleep(0.8)
    for _ in range(repeats):
        watch.search("#search textarea")
        for field in ("kind", "size", "parallel", "verification", "contamination"):
            # A choice that keeps some rows (no row, for the kind), then the one that keeps all.
            for choice in (2, 0):
                watch.pick(f"filter {field}", f"filter-{field}", choice)
        for choice in (1, 0):
            watch.pick("profile", "group", choice)
        for column in ("system", "j", "size", "verification", "rank"):
            watch.click("sort", f'#ranking thead button[data-value="{column}"]')
        watch.click("next page", "#ranking .pager button:last-child")
        for _ in range(2):
            watch.click("columns", "#columns label:nth-of-type(14)")
    measure_explorer(watch, repeats)


def measure_explorer(watch: Stopwatch, repeats: int) -> None:
    """Measure the sentence explorer `repeats` times, after it has been opened once."""
    tab = next(t for t in watch.chrome.find_elements("css selector", "button[role=tab]") if t.text == "Sentences")
    watch.action("open the explorer", tab.click, 30)
    for _ in range(repeats):
        for place in (2, 4):
            watch.click("explorer: pick a sentence", f"#list li:nth-child({place}) button[data-event=pick]")
        watch.click("explorer: next page", "#list .pager button:last-child")
        for choice in (1, 0):
            watch.pick("explorer: kind of toxicity", "explorer-toxicity", choice)
            watch.pick("explorer: length", "explorer-length", choice)
            watch.pick("explorer: sunk by", "explorer-sunk", choice + 1)
        watch.pick("explorer: order", "explorer-order", 3)
        for choice in (1, 0):
            watch.pick("explorer: system", "explored", choice)
        watch.pick("explorer: order", "explorer-order", 0)


def measure_peer(watch: Stopwatch, repeats: int) -> None:
    """Measure the search of `gr.Dataframe`."""
    for _ in range(repeats):
        watch.search("#ranking input.search-input, #ranking input[type=text]")


def measure_start(board: Path, repeats: int) -> None:
    """Print how long a newly staged Space takes to its first response, each time from a folder without bytecode."""
    times, before = [], resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as name:
            space = Path(name) / "space"
            write_page_space(space)
            start = time.perf_counter()
            with serving([sys.executable, "-c", SPACE, str(board)], space):
                times.append(time.perf_counter() - start)
    # Other programs make the start slower, but not its work more.
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    work = (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) / repeats
    over = f"{sum(value > LIMIT_START_SECONDS for value in times)} of {len(times)} over"
    print(
        f"start of the Space: limit {LIMIT_START_SECONDS} s, median {statistics.median(times):.1f} s, "
        f"worst {max(times):.1f} s, {over}; {work:.1f} s of a processor"
    )


def compare(rows: int, repeats: int) -> None:
    """Measure both pages on a leaderboard of `rows` rows and print the report."""
    with tempfile.TemporaryDirectory() as name:
        table = write_leaderboard(Path(name), rows)
        print(f"{rows:,} rows in one group, 500 in another, 30 published; load {os.getloadavg()[0]:.1f} at the start")
        measure_start(Path(name), repeats)
        page = [sys.executable, "-m", "leaderboard.space", "--local", name, "--port"]
        peer = [sys.executable, "-c", PEER, str(table), ",".join((*FIXED, *DEFAULT))]
        found: dict[str, dict[str, list[float]]] = {}
        for title, command, measure in (("page", page, measure_page), ("gr.Dataframe", peer, measure_peer)):
            with serving(command) as address, browser() as chrome:
                recorder = (ROOT / "bench" / "space_recorder.js").read_text("utf-8")
                chrome.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": recorder})
                watch = Stopwatch(chrome)
                for cache in ("cold", "warm"):
                    for _ in range(repeats):
                        watch.paint(address, cache)
                time.sleep(1)
                measure(watch, repeats)
            found[title] = watch.times
            print(f"\n{title}")
            for what, times in watch.times.items():
                median = statistics.median(times)
                print(f"{what:34s} median {median:7.0f} ms   worst {max(times):7.0f} ms   n = {len(times)}")
    report(found["page"], found["gr.Dataframe"])


def report(page: dict[str, list[float]], peer: dict[str, list[float]]) -> None:
    """Print the ratios, and how many times exceed the limits."""
    print()
    for what in ("first paint, cold", "first paint, warm", "search, per letter"):
        ratio = statistics.median(peer[what]) / statistics.median(page[what])
        print(f"{what}: gr.Dataframe takes {ratio:.1f} times as long")
    for what, part, limit in (
        ("first paint", "first paint", LIMIT_PAINT),
        ("any action in the explorer", "explorer: ", LIMIT_EXPLORER),
        ("any other action", "", LIMIT_FILTER),
    ):
        own = {name: page.pop(name) for name in list(page) if name.startswith(part) and name != "open the explorer"}
        values = [value for times in own.values() for value in times]
        over = f"{sum(value > limit for value in values)} of {len(values)} over"
        print(f"{what}: limit {limit} ms, worst {max(values):.0f} ms, {over}; load {os.getloadavg()[0]:.1f}")


# -- hostile clients --------------------------------------------------------------------------------------------------
class Client:
    """Calls the events of a page as the browser does."""

    def __init__(self, address: str) -> None:
        self.http = httpx.Client(base_url=address, timeout=120)
        config = self.http.get("/config").json()
        self.ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
        self.values = {part["id"]: part["props"].get("value") for part in config["components"]}
        self.events = config["dependencies"]
        self.session = f"{random.getrandbits(40):x}"

    def call(self, elem_id: str, event: str, **inputs: Any) -> int:
        """Trigger an event of a component and return the status of the response; queued ones are only begun."""
        # Some events only run in the browser.
        found = next(e for e in self.events if [self.ids[elem_id], event] in e["targets"] and e["backend_fn"])
        values = {**self.values, **{self.ids[name]: value for name, value in inputs.items()}}
        body = {"data": [values[i] for i in found["inputs"]], "fn_index": found["id"], "session_hash": self.session}
        path = "/gradio_api/run/predict" if found["queue"] is False else "/gradio_api/queue/join"
        return self.http.post(path, json=body).status_code


def attack(address: str, ends: float) -> None:
    """Send the most costly requests until `ends`, by `time.monotonic`."""
    client = Client(address)
    # As many words as the page takes, which every row contains; too many; and what waits in the queue.
    words = "a e o b - / 0 x"
    while time.monotonic() < ends:
        for text in (words, "a " * 100_000, "x" * 400_000, words.upper()):
            client.call("filtered", "ranking", search=text)
        client.call("csv", "click", search="")
        client.call(
            "compared", "change", compared=" ".join(client.values[client.ids[side]] for side in ("left", "right"))
        )


def hostile(rows: int, clients: int = 6, seconds: float = 30) -> None:
    """Measure the filters of one client, alone and beside hostile ones, and print median and worst."""
    with tempfile.TemporaryDirectory() as name:
        write_leaderboard(Path(name), rows)
        with serving([sys.executable, "-m", "leaderboard.space", "--local", name, "--port"]) as address:
            for count in (0, clients):
                ends = time.monotonic() + (seconds if count else 10)
                context = multiprocessing.get_context("spawn")
                others = [context.Process(target=attack, args=(address, ends)) for _ in range(count)]
                for other in others:
                    other.start()
                client, times = Client(address), []
                # The others need some seconds to start.
                time.sleep(8 if count else 0)
                while time.monotonic() < ends:
                    for text in ("lab12", "gemma", ""):
                        start = time.monotonic()
                        status = client.call("filtered", "ranking", search=text)
                        times.append((time.monotonic() - start) * 1_000)
                        if status != 200:
                            raise InputError(f"a filter was answered with {status}")
                for other in others:
                    other.join()
                median, worst = statistics.median(times), max(times)
                over = sum(value > LIMIT_HOSTILE for value in times)
                print(
                    f"{rows:,} rows, {count} hostile clients: filters median {median:.0f} ms, worst {worst:.0f} ms, "
                    f"{over} of {len(times)} over {LIMIT_HOSTILE} ms; load {os.getloadavg()[0]:.1f}"
                )


# -- screenshots ------------------------------------------------------------------------------------------------------
def screenshots(folder: Path, board: Path) -> None:
    """Take NAME-light.png, NAME-dark.png and NAME-phone.png of each tab of the page of `board` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    page = [sys.executable, "-m", "leaderboard.space", "--local", str(board.resolve()), "--port"]
    looks = {"light": ("light", 1280, 1340), "dark": ("dark", 1280, 1340), "phone": ("light", 390, 1500)}
    with serving(page) as address, browser() as chrome:
        for name in TABS:
            for look, (theme, width, height) in looks.items():
                metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": look == "phone"}
                chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
                chrome.get(f"{address}?tab={name}&__theme={theme}")
                # The address opens the tab; its parts then come from the server.
                opened = "//button[@role='tab'][@aria-selected='true'][normalize-space()='{}']"
                where = "xpath", opened.format(TABS[name][0])
                WebDriverWait(chrome, 60).until(lambda chrome, where=where: chrome.find_elements(*where))
                # Until no part waits for the server any more.
                busy = "css selector", ".pending, .generating"
                time.sleep(3)
                WebDriverWait(chrome, 60).until(lambda chrome, busy=busy: not chrome.find_elements(*busy))
                time.sleep(2)
                # A palette takes a third of the bytes; the page has few colours.
                picture = Image.open(BytesIO(chrome.get_screenshot_as_png())).convert("RGB")
                picture = picture.quantize(128, method=Image.Quantize.MAXCOVERAGE)
                picture.save(folder / f"{name}-{look}.png", optimize=True)
    print(f"{folder}: {', '.join(sorted(path.name for path in folder.glob('*.png')))}")


def main(argv: list[str]) -> None:
    """Run the command with the arguments `argv`."""
    parser = command_parser("python bench/space.py", __doc__)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    screenshots_help = "take screenshots of the leaderboard --local instead"
    parser.add_argument("--screenshots", metavar="DIR", type=Path, help=screenshots_help)
    parser.add_argument("--local", metavar="DIR", type=Path, default=ROOT / "leaderboard" / "example")
    hostile_help = "measure filters beside six hostile clients instead"
    parser.add_argument("--hostile", action="store_true", help=hostile_help)
    options = parser.parse_args(argv)
    if options.hostile:
        hostile(options.rows)
    elif options.screenshots:
        screenshots(options.screenshots, options.local)
    else:
        compare(options.rows, options.repeats)


if __name__ == "__main__":
    run_command(main)
