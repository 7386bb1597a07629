"""What is remembered of a release, whatever happens to it on the server, with the sink's help."""

from __future__ import annotations

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

from fakes.psd import balances, csv_text, zip_text
from fakes.psd_world import asked
from fakes.usda import Fault, UsdaServer
from hypothesis import given, settings
from hypothesis import strategies as st
from materia.data import FetchRequest, Refused, Unchanged
from materia.errors import SourceError
from materia_duckdb.sink import DuckDBSink
from materia_http.download import Patience
from materia_psdonline.release_file.archive import read_text
from materia_psdonline.settings import read_settings
from materia_psdonline.source import PsdOnline
from materia_runner.worker.fetch import to_ask_with, to_keep

FILE = "psd_alldata_csv.zip"
TEXTS = [csv_text(balances("2025-11", seed=seed)) for seed in range(2)]
ACTIONS = st.sampled_from(
    ["publish 0", "publish 1", "again", "rewrap", "cut", "page", "remove", "break", "heal", "run"]
)
DATES = [f"2025-11-{day:02} 11:37" for day in range(1, 29)]


class Story:
    """A server with one release, and a source and a sink that follow it."""

    def __init__(self, usda: UsdaServer, folder: Path) -> None:
        self.usda = usda
        self.source = PsdOnline(
            read_settings(
                {"base_url": usda.base_url, "first_release": "2025-11", "files": [FILE]},
                directory=folder,
            ),
            Patience(attempts=2, first_wait=0),
        )
        [self.partition] = asked(self.source)
        self.sink = DuckDBSink(database=folder / "materia.duckdb", raw=folder / "raw")
        self.folder = folder
        self.dates = itertools.cycle(DATES)
        self.date = DATES[0]
        self.good: bytes | None = None  # the text that has to be in use

    def act(self, action: str) -> None:
        path = f"2025/11/{FILE}"
        current = self.usda.files.get(path)
        match action.split():
            case ["publish", number]:
                self.usda.publish(path, zip_text(TEXTS[int(number)], when=self.date))
            case ["again"] if current:
                self.usda.publish(path, current.content)
            case ["rewrap"]:
                self.date = next(self.dates)
                self.usda.publish(path, zip_text(TEXTS[0], when=self.date))
            case ["cut"]:
                self.usda.publish(path, zip_text(TEXTS[0])[:-50])
            case ["page"]:
                self.usda.fail(Fault(kind="html"))
            case ["break"]:
                self.usda.fail(Fault(kind="status", status=503))
            case ["remove"]:
                self.usda.remove(path)
            case ["heal"]:
                self.usda.heal()
            case ["run"]:
                self.run()

    def run(self) -> None:
        """Fetch and record, as the extract stage does; then see what a second time costs."""
        self.fetch()
        served = self.usda.files.get(f"2025/11/{FILE}")
        undisturbed = served is not None and not self.usda.faults
        good = [
            text for text in TEXTS if served and served.content == zip_text(text, when=self.date)
        ]
        if undisturbed and good:
            [self.good] = good
        assert self.in_use() == self.good
        if served is None or not undisturbed:
            return
        refused = self.known_refusal()
        assert (refused is None) == bool(good)
        count = len(self.usda.requests)
        assert isinstance(self.fetch(), Unchanged)
        # What arrived damaged may be whole there: it is taken once more at each run.
        sent = 0 if good else len(served.content)
        assert [request.sent for request in self.usda.since(count)] == [sent]
        assert self.known_refusal() == refused

    def fetch(self) -> object:
        known = self.sink.known("psdonline").get(self.partition.key)
        directory = self.folder / "in"
        directory.mkdir(exist_ok=True)
        asked = to_ask_with(known, self.partition, everything=False)
        try:
            result = self.source.fetch(
                FetchRequest(partition=self.partition, known=asked, directory=directory)
            )
        except SourceError as error:
            assert list(directory.iterdir()) == []
            return error
        kept = to_keep(known, self.partition, result, everything=False)
        self.sink.record("psdonline", self.partition, kept)
        if isinstance(result, Refused) and result.path is not None:
            result.path.unlink(missing_ok=True)
        assert list(directory.iterdir()) == []
        return kept

    def in_use(self) -> bytes | None:
        known = self.sink.known("psdonline").get(self.partition.key)
        if known is None or known.raw is None:
            return None
        path = self.sink.find_raw("psdonline", self.partition.key, FILE, known.raw.sha256)
        assert path is not None
        return b"".join(read_text(path, FILE))

    def known_refusal(self) -> str | None:
        known = self.sink.known("psdonline").get(self.partition.key)
        return known.refused if known else None


@settings(max_examples=40, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=12))
def test_the_newest_good_file_is_in_use_and_what_is_in_use_is_never_sent_again(
    actions: list[str],
) -> None:
    with UsdaServer() as usda, TemporaryDirectory() as folder:
        story = Story(usda, Path(folder))
        ending = ["run", "heal", "publish 1", "run", "cut", "run", "publish 1", "run"]
        for action in [*actions, *ending]:
            story.act(action)

        assert story.in_use() == TEXTS[1]
