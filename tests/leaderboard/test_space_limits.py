"""What a hostile client of the page gets: no upload, no route beside the page's own, no endless work."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from leaderboard.space.data import Group, open_leaderboard
from leaderboard.space.page import MAX_BODY, Page, launch
from leaderboard.space.stage import write_page_space
from leaderboard.space.views.ranking import render_ranking
from leaderboard.space.views.selection import MAX_SEARCH, MAX_WORDS, Filters, TableState
from metrics.spaces import gate
from metrics.spaces.gate import BURST, Gate
from tests.hub.server import HubServer
from tests.leaderboard.space_boards import system, write

API = "/gradio_api"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("board")
    write(folder, system("org/polite", [1.0, 0.5]), system("org/rude", [0.0, 0.5]))
    demo = Page(open_leaderboard(local=folder)).build()
    launch(demo, prevent_thread_lock=True, quiet=True, server_name="127.0.0.1")
    with httpx.Client(base_url=demo.local_url, timeout=30) as made:
        yield made
    demo.close()


def search(client: httpx.Client, text: Any, path: str = f"{API}/run/predict") -> httpx.Response:
    """Call the event of the filters as the browser does."""
    config = client.get("/config").json()
    by_id = {part["props"].get("elem_id"): part["id"] for part in config["components"] if "props" in part}
    event = next(d for d in config["dependencies"] if [by_id["filtered"], "ranking"] in d["targets"])
    values = {part["id"]: part["props"].get("value") for part in config["components"]}
    data = [text if i == by_id["search"] else values[i] for i in event["inputs"]]
    return client.post(path, json={"data": data, "fn_index": event["id"], "session_hash": "s"})


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_routes_that_take_or_give_files_are_closed(client: httpx.Client, method: str) -> None:
    for path in (
        f"{API}/upload", f"{API}/upload/", f"{API}//upload", "/upload", f"{API}/upload?upload_id=x", f"{API}/%75pload",
        f"{API}/upload_progress?upload_id=x", f"{API}/process_recording", f"{API}/stream/x", f"{API}/component_server",
        f"{API}/component_server/", f"{API}/file=/etc/passwd", f"{API}/file/etc/passwd", f"{API}/proxy=https://x.hf.space",
        f"{API}/vibe-edit", f"{API}/deep_link", "/monitoring", "/login", f"{API}/dev/reload", f"{API}/runs",
    ):  # fmt: skip
        files = {"files": ("x.html", b"<script>", "text/html")} if method == "POST" else None
        response = client.request(method, path, files=files)
        assert response.status_code in (404, 405), (method, path, response.status_code)


def test_addresses_of_pages_that_do_not_exist_are_no_errors_of_the_server(client: httpx.Client) -> None:
    for address in ("/?page=2", "/config?page=2", "/?a=b&page=2", "/?p%61ge=2"):
        assert (address, client.get(address).status_code) == (address, 404)
    assert client.get("/?q=page").status_code == 200


def test_calls_that_no_event_takes_are_refused_in_one_line(
    client: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    """Events that do not exist, without event data, with too few values and with values of another type."""
    config = client.get("/config").json()
    values = {part["id"]: part["props"].get("value") for part in config["components"]}
    sort = next(d for d in config["dependencies"] if any(name == "sort" for _, name in d["targets"]))
    good = {"data": [values[i] for i in sort["inputs"]], "fn_index": sort["id"], "session_hash": "s"}
    for path, body in (
        *(
            (path, good | {"fn_index": index})
            for path in ("run/predict", "queue/join")
            for index in (-1, 99_999, 10**30)
        ),
        *(("run/predict", good | {"event_data": data}) for data in (None, 3, {}, [], {"values": 1}, "x")),
        ("run/predict", good | {"data": []}),
        ("run/predict", good | {"data": [{"a": 1}] * len(good["data"])}),
        *((path, {"data": []}) for path in ("run/predict", "call/x", "call/v2/x")),
    ):
        capfd.readouterr()
        response = client.post(f"{API}/{path}", json=body)
        shown = capfd.readouterr()
        assert response.status_code == 400, (path, body, response.text)
        assert "Traceback" not in shown.out + shown.err and shown.err.count("\n") == 1, (path, body, shown)
        assert shown.err.startswith("refused ")
    # The queue answers first; the failure of the call reaches the log only.
    queued = next(d for d in config["dependencies"] if any(name == "pick" for _, name in d["targets"]))
    good = {"data": [values[i] for i in queued["inputs"]], "fn_index": queued["id"], "session_hash": "s"}
    assert client.post(f"{API}/queue/join", json=good).status_code == 200
    shown = ""
    for _ in range(100):
        shown += "".join(capfd.readouterr())
        if shown:
            break
        time.sleep(0.1)
    assert shown.startswith("refused a call: ") and shown.count("\n") == 1


def test_the_page_and_its_filters_work_through_the_gate(client: httpx.Client) -> None:
    assert client.get("/").status_code == 200
    found = search(client, "polite")
    assert found.status_code == 200 and "org/polite" in found.text and "org/rude" not in found.text


def test_a_search_beyond_the_limits_is_refused_on_the_server(client: httpx.Client) -> None:
    start = time.monotonic()
    for text in ("x" * (MAX_SEARCH + 1), "a " * (MAX_WORDS + 1), "a " * 10_000, ["a"] * 200):
        response = search(client, text)
        assert "Search takes at most" in response.text and "org/polite" not in response.text
    for size in (MAX_BODY, 1_000_000):
        assert search(client, "x" * size).status_code == 413
    body = (b"x" * 1_000 for _ in range(1_000))  # without Content-Length
    assert client.post(f"{API}/run/predict", content=body).status_code == 413
    assert time.monotonic() - start < 20


def test_the_work_of_a_search_is_bounded() -> None:
    class Counted(str):
        looked = 0

        def __contains__(self, word: object) -> bool:
            Counted.looked += 1
            return True

    group = Group("k", "label", tuple({"system": str(i), "comparable": ""} for i in range(50)))
    group.__dict__["search_texts"] = tuple(Counted("a") for _ in range(50))
    for text in ("a " * 100_000, "a " * MAX_WORDS, " ".join("abcdefghijklmnopqrstuvwxyz"), "abcdefghijklmnop"):
        Counted.looked = 0
        Filters(text).apply(group)
        assert Counted.looked <= 50 * MAX_WORDS
    assert "Search takes at most" in render_ranking(group, Filters("a " * 100), (), TableState())


async def _ok(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0.05)
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def flood(made: Gate, path: str, count: int, address: str, method: str = "POST") -> list[int]:
    """The status of `count` requests at once."""

    async def run() -> list[int]:
        transport = httpx.ASGITransport(made, client=(address, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as one:
            answers = await asyncio.gather(*(one.request(method, path) for _ in range(count)))
        return [answer.status_code for answer in answers]

    return asyncio.run(run())


def test_an_address_that_floods_the_queue_is_refused_and_others_are_served() -> None:
    made = Gate(_ok, max_body=100)
    statuses = [status for _ in range(6) for status in flood(made, f"{API}/queue/join", 20, "1.1.1.1")]
    assert statuses.count(429) >= 120 - BURST - 20 and statuses.count(200) >= BURST
    assert flood(made, f"{API}/queue/join", 5, "2.2.2.2") == [200] * 5
    # Filters are not queued, and have a limit of their own: open at once.
    assert flood(made, f"{API}/run/predict", 5, "1.1.1.1") == [200] * 5
    assert flood(made, f"{API}/run/predict", 200, "1.1.1.1").count(200) == gate.MAX_REQUESTS
    assert flood(made, f"{API}/heartbeat/x", 200, "1.1.1.1", "GET").count(200) == gate.MAX_STREAMS


def test_a_space_tells_visitors_apart_by_what_its_proxy_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Gate(_ok, max_body=100)
    scope = {"client": ("10.0.0.1", 1), "headers": [(b"x-forwarded-for", b"6.6.6.6, 1.2.3.4")]}
    assert made._client(scope) is made._client({**scope, "headers": []})
    monkeypatch.setenv("SPACE_ID", "org/space")
    assert made._client(scope) is made._client({**scope, "headers": [(b"x-forwarded-for", b"1.2.3.4")]})
    assert made._client(scope) is not made._client({**scope, "headers": []})


@pytest.fixture
def staged(hub: HubServer, tmp_path: Path) -> Iterator[httpx.Client]:
    """The staged Space as its platform runs it, with a leaderboard on the local Hub, and a proxy's header."""
    write_page_space(tmp_path / "space")
    write(tmp_path / "board", system("org/polite", [1.0, 0.5]), system("org/rude", [0.0, 0.5]))
    api = hub.api("hf_alice")
    api.create_repo("lab/board", repo_type="dataset")
    api.upload_folder(repo_id="lab/board", repo_type="dataset", folder_path=tmp_path / "board")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    own = {key: value for key, value in hub.environment(None, tmp_path / "home").items() if key != "PYTHONPATH"}
    own |= {"SRO_LEADERBOARD": "lab/board", "GRADIO_SERVER_PORT": port, "GRADIO_SERVER_NAME": "127.0.0.1"}
    with subprocess.Popen(
        [sys.executable, "app.py"],
        cwd=tmp_path / "space",
        env={**own, "SPACE_ID": "lab/page"},
        stdout=subprocess.DEVNULL,
    ) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as made:
            for _ in range(240):
                assert process.poll() is None
                try:
                    made.get("/config")
                    break
                except httpx.ConnectError:
                    time.sleep(0.25)
            yield made
        process.kill()


@pytest.mark.full
def test_the_staged_space_runs_behind_the_gate(staged: httpx.Client) -> None:
    """It takes no file and gives none, bounds bodies and calls, and tells visitors apart by its proxy's header."""
    assert "org/polite" in search(staged, "polite").text
    files = {"files": ("x.html", b"<script>", "text/html")}
    assert staged.post(f"{API}/upload", files=files).status_code == 404
    for path in (f"{API}/file=/etc/passwd", f"{API}/proxy=https://x.hf.space", "/monitoring"):
        assert staged.get(path).status_code == 404
    assert search(staged, "x" * MAX_BODY).status_code == 413
    assert "Search takes at most" in search(staged, "a " * (MAX_WORDS + 1)).text
    flood, other = ({"x-forwarded-for": f"9.9.9.9, {address}"} for address in ("1.1.1.1", "2.2.2.2"))
    joins = [staged.post(f"{API}/queue/join", json={}, headers=flood).status_code for _ in range(3 * BURST)]
    assert joins[0] != 429 and joins.count(429) > BURST // 2
    assert staged.post(f"{API}/queue/join", json={}, headers=other).status_code != 429
