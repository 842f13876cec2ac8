"""The process in which chat templates are rendered; `metrics.generation.chat` starts it and runs this file.

A template is a program that a model's authors wrote. This process has limits of time and memory, and what a template
could read from the machine is fixed: the date, the seed of random numbers, and that of hashes.
"""

import datetime
import json
import random
import resource
import signal
import sys
from pathlib import Path
from typing import Any

# The date that a template reads: the one that Llama's templates state where they find none.
DATE = (2024, 7, 26)
# Seconds of computation for a request, and for each conversation in it beyond the first.
SECONDS, SECONDS_PER_CHAT = 5.0, 0.05
# Bytes of memory beyond what the process has when it starts.
MEMORY = 2**30
# Characters of a rendered conversation, beyond eight times those of its messages.
CHARACTERS = 1_000_000


class FixedDate(datetime.datetime):
    """A `datetime` whose clock stands still."""

    @classmethod
    def now(cls, tz: Any = None) -> "FixedDate":
        """Return midnight of `DATE`."""
        return cls(*DATE, tzinfo=tz)


def render(request: dict[str, Any]) -> dict[str, Any]:
    """Return the rendered `conversations` of a request as `texts`, or why the template fails as `error`."""
    from transformers.utils.chat_template_utils import render_jinja_template

    texts = []
    try:
        for conversation in request["conversations"]:
            random.seed(0)
            (text,), _ = render_jinja_template(
                [conversation], chat_template=request["template"], add_generation_prompt=True, **request["variables"]
            )
            given = sum(len(message["content"]) for message in conversation)
            if len(text) > CHARACTERS + 8 * given:
                return {"error": f"it writes {len(text):,} characters for a conversation of {given:,}"}
            texts.append(text)
    except MemoryError:
        return {"error": "it takes too much memory"}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"texts": texts}


def main() -> None:
    """Answer requests, a JSON object a line, until the input ends."""
    from transformers.utils import chat_template_utils

    chat_template_utils.datetime = FixedDate  # type: ignore[misc, attr-defined]
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        # The system kills the process when the time is over, also where Python does not look at signals.
        limit = SECONDS + SECONDS_PER_CHAT * (len(request["conversations"]) - 1)
        signal.setitimer(signal.ITIMER_PROF, limit)
        reply = json.dumps(render(request))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(reply + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
