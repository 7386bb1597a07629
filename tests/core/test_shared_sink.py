"""The sink at home, which workers side by side use in turn."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, cast

from materia_runner.run.workers.shared_sink import SharedSink

if TYPE_CHECKING:
    from materia.protocols import Sink


class OneWriter:
    """A sink that notes when two threads are in it at once."""

    def __init__(self) -> None:
        self.inside = threading.Semaphore(1)
        self.calls: list[bool] = []

    def find_raw(self, *_: str) -> Path | None:
        alone = self.inside.acquire(blocking=False)
        threading.Event().wait(0.001)  # lets another thread come in
        if alone:
            self.inside.release()
        self.calls.append(alone)
        return None


def test_workers_call_the_sink_one_at_a_time() -> None:
    sink = OneWriter()
    shared = SharedSink(cast("Sink", sink))

    def work() -> None:
        for _ in range(10):
            shared.find_raw("ones", "2024", "file", "0" * 64)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sink.calls == [True] * 40
