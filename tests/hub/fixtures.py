"""Fixtures for tests with the local Hub: `hub` and `waits`."""

from __future__ import annotations

import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.server import HubServer


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A new local Hub, to which this process's huggingface_hub sends all requests, even if HF_HUB_OFFLINE is set.

    alice (tokens hf_alice, and hf_alice_read that may only read) writes in the organisation lab, bob (hf_bob) only in
    his own name space. Nobody is logged in: use `hub.api(token)`, or set HF_TOKEN. What is downloaded goes to tmp_path.
    """
    import huggingface_hub
    from huggingface_hub import constants, hf_api

    with HubServer() as server:
        server.add_user("alice", {"lab": "write"}, write="hf_alice", read="hf_alice_read")
        server.add_user("bob", write="hf_bob")
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        # Functions such as huggingface_hub.whoami belong to an HfApi that was made at import.
        monkeypatch.setattr(hf_api.api, "endpoint", server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_OIDC_RESOURCE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
        # A session of this process may have been opened before NO_PROXY was set.
        huggingface_hub.close_session()
        yield server
        huggingface_hub.close_session()
    assert server.errors == [], "\n".join(server.errors)


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The client does not sleep before it retries; the list has the seconds for which it would sleep."""
    seconds: list[float] = []
    clock = types.SimpleNamespace(sleep=seconds.append)
    monkeypatch.setattr("huggingface_hub.utils._http.time", clock)
    monkeypatch.setattr("huggingface_hub.file_download.time", clock)
    return seconds
