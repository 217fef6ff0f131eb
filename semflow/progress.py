"""Progress of long work: a bar on a terminal, a line now and then in a log."""

import sys
import time
from contextlib import suppress

from tqdm import tqdm

LINE_EVERY_S = 15.0


class Progress:
    """Counts images, or what `unit` says: rate and time left. Use as a context manager; `update` after every batch."""

    def __init__(self, what: str, total: int, done: int = 0, silent: bool = False, unit: str = "images") -> None:
        self.what, self.unit, self.note = what, unit, ""
        self.silent = silent
        self.interactive = sys.stderr.isatty() and not silent
        self.bar = tqdm(total=total, initial=done, desc=what, unit=f" {unit}", unit_scale=True, disable=not self.interactive)
        self.total, self.done, self.first = total, done, done
        self.started = self.last_line = time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()
        if not self.interactive:
            self._print_line()

    @property
    def images_per_s(self) -> float:
        """Mean rate since the start."""
        return (self.done - self.first) / max(time.monotonic() - self.started, 1e-9)

    def update(self, n_images: int, note: str = "") -> None:
        """Count `n_images` more; `note` (a loss, say) stays until the next one."""
        self.done += n_images
        if note:
            self.note = note
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(n_images)
        if not self.interactive and time.monotonic() - self.last_line > LINE_EVERY_S:
            self._print_line()

    def _print_line(self) -> None:
        if self.silent:
            return
        self.last_line = time.monotonic()
        rate = self.images_per_s
        left = int((self.total - self.done) / rate) if rate else 0
        share = f"{100 * self.done / self.total:.0f} %" if self.total else "0 %"
        speed = f"{rate:.1f} {self.unit}/s, {left // 60}:{left % 60:02d} left"
        line = f"{self.what}: {self.done}/{self.total} {self.unit} ({share}), {speed} {self.note}".rstrip()
        with suppress(OSError):  # a reader that is gone (Ctrl-C may end `tee` first) or a full disk is no reason to lose the work
            print(line, file=sys.stderr, flush=True)
