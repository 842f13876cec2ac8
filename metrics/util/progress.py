"""Progress on standard error. The only module that draws progress bars.

On a terminal each stage has one line with its rate and an estimate of the time it still takes. Elsewhere, as in a log
file, a stage that takes at least a second leaves one line when it ends.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, ClassVar, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress, Task, TaskID
    from rich.text import Text

T = TypeVar("T")
_SHORT = 1.0  # seconds; a shorter stage leaves no line in a log


def progress(items: Iterable[T], description: str, unit: str = "items") -> Iterator[T]:
    """Yield `items` and show how many have been processed.

    Args:
        items: What the stage processes, one after the other.
        description: The name of the stage.
        unit: The plural of what is counted.
    """
    with ProgressBar(description, len(items) if isinstance(items, Sized) else None, unit=unit) as bar:
        for item in items:
            yield item
            bar.update()


class ProgressBar:
    """A context manager that shows a stage's progress. A bar inside another one disappears when it ends.

    Args:
        description: The name of the stage.
        total: How many units the stage has; None if unknown.
        completed: How many of them are already done, as in a run that resumes.
        unit: The plural of what is counted.
    """

    # All bars on the terminal belong to one display: rich allows no second one.
    _display: ClassVar[Progress | None] = None
    _open: ClassVar[int] = 0

    def __init__(self, description: str, total: int | None, *, completed: int = 0, unit: str = "items") -> None:
        self._description, self._total, self._unit = description, total, unit
        self._initial = self._completed = completed
        self._start = 0.0
        self._task: TaskID | None = None

    def __enter__(self) -> ProgressBar:
        self._start = time.monotonic()
        if sys.stderr.isatty():
            if ProgressBar._display is None:
                ProgressBar._display = _new_display()
                ProgressBar._display.start()
            self._task = ProgressBar._display.add_task(
                self._description, total=self._total, completed=self._completed, unit=self._unit, note=""
            )
        ProgressBar._open += 1
        return self

    def update(self, n: int = 1, note: str | None = None) -> None:
        """Add `n` completed units; `note` is shown at the end of the line, such as "loss 0.41"."""
        self._completed += n
        if self._task is not None and ProgressBar._display is not None:
            ProgressBar._display.update(self._task, advance=n)
            if note is not None:
                ProgressBar._display.update(self._task, note=note)

    def __exit__(self, *error: object) -> None:
        ProgressBar._open -= 1
        outermost = ProgressBar._open == 0
        if self._task is not None and ProgressBar._display is not None:
            if outermost:
                ProgressBar._display.stop()
                ProgressBar._display = None
            else:
                ProgressBar._display.remove_task(self._task)
        elif outermost and (seconds := time.monotonic() - self._start) >= _SHORT:
            n = self._completed - self._initial
            print(f"{self._description}: {n} {self._unit} in {seconds:.1f} s, {_rate(n / seconds)}", file=sys.stderr)


def _rate(per_second: float) -> str:
    if per_second == 0:
        return "0 per second"
    return f"{per_second:.3g} per second" if per_second >= 1 else f"{1 / per_second:.3g} s each"


def _new_display() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(_rate(speed) if speed else "")

    return Progress(
        # No markup: a description may hold a system's name with brackets.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}", markup=False),
        RateColumn(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn("{task.fields[note]}", markup=False),
        console=Console(stderr=True),
        refresh_per_second=4,
        # One slow batch must not leave the estimate without data.
        speed_estimate_period=600,
        # Standard output that goes to a file must not be diverted to the terminal.
        redirect_stdout=sys.stdout.isatty(),
    )
