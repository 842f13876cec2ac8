"""Progress on standard error. The only module that draws progress bars.

On a terminal each stage has one line with its rate and an estimate of the time it still takes. Elsewhere, as in a log
file, a stage that takes at least a second leaves one line when it ends.
"""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import Any, ClassVar, Self, TypeVar

T = TypeVar("T")
_SHORT = 1.0  # seconds; a shorter stage leaves no line in a log


def progress(items: Iterable[T], description: str, unit: str = "items") -> Iterator[T]:
    """Yield `items` and show how many of them, counted in the plural `unit`, the stage `description` has processed."""
    with ProgressBar(description, len(items) if isinstance(items, Sized) else None, unit=unit) as bar:
        for item in items:
            yield item
            bar.update()


class ProgressBar:
    """A context manager that shows a stage's progress. A bar inside another one disappears when it ends.

    A bar without a total shows the counts of the bar inside it, which then has no line of its own.

    Args:
        total: How many units the stage has; None if unknown.
        completed: How many of them are already done, as in a run that resumes.
        unit: The plural of what is counted.
        always: Whether a log gets a line even if the stage takes less than a second.
    """

    # All bars on the terminal belong to one display: rich allows no second one.
    _display: ClassVar[Any] = None
    _open: ClassVar[list["ProgressBar"]] = []

    def __init__(
        self, description: str, total: int | None, *, completed: int = 0, unit: str = "items", always: bool = False
    ) -> None:
        self._description, self._total, self._unit, self._always = description, total, unit, always
        self._initial = self._completed = completed
        self._start = 0.0
        self._note = ""
        self._task: Any = None
        self._inner: ProgressBar | None = None

    def __enter__(self) -> Self:
        self._start = time.monotonic()
        outer = self._open[-1] if self._open else None
        self._open.append(self)
        counts: dict[str, Any] = {"total": self._total, "completed": self._completed, "unit": self._unit, "note": ""}
        if outer is not None and outer._total is None:
            outer._inner = self
            if outer._task is not None:
                self._task = outer._task
                self._display.reset(self._task, **counts)
        elif sys.stderr.isatty():
            if self._display is None:
                ProgressBar._display = _new_display()
                ProgressBar._display.start()
            self._task = ProgressBar._display.add_task(self._description, **counts)
        return self

    def update(self, n: int = 1, note: str | None = None) -> None:
        """Add `n` completed units; `note` is shown at the end of the line, such as "loss 0.41"."""
        self._completed += n
        self._note = self._note if note is None else note
        if self._task is not None:
            self._display.update(self._task, advance=n, note=self._note)

    def __exit__(self, *error: object) -> None:
        self._open.remove(self)
        outer = self._open[-1] if self._open else None
        seconds = time.monotonic() - self._start
        if self._task is not None:
            if outer is None:
                self._display.stop()
                ProgressBar._display = None
            elif self._task != outer._task:
                self._display.remove_task(self._task)
        elif outer is None and (self._always or seconds >= _SHORT):
            print(f"{self._description}: {self._summary(seconds)}", file=sys.stderr, flush=True)

    def _summary(self, seconds: float) -> str:
        shown = self._inner or self
        if shown._total is None and not shown._completed:
            return f"{seconds:.1f} s"
        n = shown._completed - shown._initial
        rate = f", {_rate(n / seconds)}" if n > 1 and seconds >= _SHORT else ""
        note = f", {shown._note}" if shown._note else ""
        return f"{n} {shown._unit} in {seconds:.1f} s{rate}{note}"


def _rate(per_second: float) -> str:
    return f"{per_second:.3g} per second" if per_second >= 1 else f"{1 / per_second:.3g} s each"


def _new_display() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class RateColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(_rate(speed) if speed else "")

    class CountColumn(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text("" if task.total is None else f"{task.completed:.0f}/{task.total:.0f} {task.fields['unit']}")

    return Progress(
        # No markup: a description may hold a system's name with brackets.
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        CountColumn(),
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
