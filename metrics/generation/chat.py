"""Render chat templates, in a process of its own with limits of time and memory (`metrics.generation.chat_worker`)."""

import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metrics.util.errors import InputError, one_line

Chat = list[dict[str, str]]
_WORKER_FILE = Path(__file__).with_name("chat_worker.py")
_lock = threading.Lock()


def render_chats(tokenizer: Any, chats: Sequence[Chat], **variables: Any) -> list[str]:
    """Return each conversation as the tokenizer's chat template renders it, with the beginning of an answer.

    The text is that of `apply_chat_template(…, add_generation_prompt=True)` on 26 July 2024: a template that states the
    date gives the same prompt every day.

    Args:
        tokenizer: A transformers tokenizer.
        chats: Conversations, each a list of messages with `role` and `content`.
        variables: Further variables of the template, such as `enable_thinking`.

    Raises:
        InputError: The tokenizer has no chat template, or it fails, or it takes too much time or memory.
    """
    try:
        template = tokenizer.get_chat_template()
    except ValueError as error:
        raise InputError(f"chat template: {one_line(error)}; give a --prompt without the prefix chat:") from None
    if not isinstance(template, str):
        raise InputError(f"chat template: {type(template).__name__} in place of a text")
    tokens = {name: value for name, value in tokenizer.special_tokens_map.items() if isinstance(value, str | list)}
    return list(_render(template, json.dumps(list(chats)), json.dumps({**tokens, **variables})))


# The same prompts are read more than once in a run: for the batch size, and for the batches.
@functools.lru_cache(maxsize=8)
def _render(template: str, chats: str, variables: str) -> tuple[str, ...]:
    request = f'{{"template": {json.dumps(template)}, "conversations": {chats}, "variables": {variables}}}\n'
    with _lock:
        worker = _start_worker(os.getpid())
        try:
            worker.stdin.write(request.encode("ascii"))
            worker.stdin.flush()
            line = worker.stdout.readline()
        except BrokenPipeError:
            line = b""
        if not line.endswith(b"\n"):
            _start_worker.cache_clear()
            worker.kill()
            code = worker.wait()
            reason = "it takes too much time" if code < 0 else f"its process ended with exit code {code}"
            raise InputError(f"chat template: cannot be rendered ({reason}); give a --prompt without the prefix chat:")
    reply = json.loads(line)
    if "error" in reply:
        reason, action = one_line(reply["error"]), "give --system, or a --prompt without the prefix chat:"
        raise InputError(f"chat template: cannot be rendered ({reason}); {action}")
    return tuple(reply["texts"])


@functools.lru_cache(maxsize=1)
def _start_worker(pid: int) -> Any:
    """Start the process that renders for the process `pid`; it ends when its input does."""
    del pid  # a forked process must not share the pipes of its parent
    environment = {**os.environ, "PYTHONHASHSEED": "0", "TZ": "UTC"}
    # -P: the folder of the file must not shadow other modules.
    return subprocess.Popen(
        [sys.executable, "-P", str(_WORKER_FILE)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
