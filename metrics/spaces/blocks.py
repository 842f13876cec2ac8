"""A gradio app that refuses a call it cannot answer in one line of the log, and not with a stack trace."""

import sys
import traceback
from pathlib import Path
from typing import Any

import gradio as gr

from metrics.util.characters import printable


class Blocks(gr.Blocks):
    """A `gr.Blocks` that anybody may call: with too few values, with others than the browser sends, or with none."""

    async def process_api(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Answer a call as gradio does; raise gr.Error, which it passes on without a stack trace, for every failure."""
        try:
            return await super().process_api(*args, **options)
        except Exception as error:
            # Where it happened, for the case that the page is wrong and not the call.
            place = traceback.extract_tb(error.__traceback__)[-1]
            reason = printable(" ".join(str(error).split()), 200)
            where = f"{Path(place.filename).name}:{place.lineno}"
            print(f"refused a call: {type(error).__name__}: {reason} ({where})", file=sys.stderr)
            if not isinstance(error, gr.Error):
                raise gr.Error("the page cannot answer this call", print_exception=False) from None
            error.print_exception = False
            raise
