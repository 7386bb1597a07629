"""ETags, 304 answers and broken transfers: further promises of `fetch`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from materia.data import Fetched, Refused, Unchanged
from materia.errors import SourceError
from materia.kit.files import sha256_of
from materia.protocols import Source

from materia_testing.contracts.contract import Contract
from materia_testing.contracts.sources.world import (
    World,
    fetch,
    partition_of,
    refused_before,
    remembered,
)


def needs(world: World, ability: str) -> None:
    """Skip a test that this world does not support."""
    if ability in world.lacks:
        pytest.skip(world.lacks[ability])


class TransferContract(Contract):
    """The promises of `fetch` about validators and broken transfers."""

    section = "a-source-of-your-own-code"

    def test_what_is_asked_for_without_validators_is_read_again(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It compares with the file in use though no ETag was given."""
        key = world.keys[0]
        world.publish(key, 1)
        first = fetch(source, world, key, tmp_path / "first")
        assert isinstance(first, Fetched)
        sent = world.sent()
        bare = replace(remembered(first.raw), etag=None, last_modified=None)
        again = fetch(source, world, key, tmp_path / "again", bare)

        assert isinstance(again, Fetched | Unchanged)
        found = again.raw.sha256 if isinstance(again, Fetched) else again.sha256
        assert found == first.raw.sha256
        if "count" not in world.lacks:
            assert world.sent() > sent

    def test_not_modified_is_not_believed_of_another_file(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It believes a 304 whose ETag is not the one that it sent."""
        needs(world, "contradict")
        key = world.keys[0]
        world.publish(key, 2)
        second = fetch(source, world, key, tmp_path / "second")
        assert isinstance(second, Fetched)
        world.publish(key, 1)
        first = fetch(source, world, key, tmp_path / "first")
        assert isinstance(first, Fetched)
        world.contradict(key, 2)
        result = fetch(source, world, key, tmp_path / "contradicted", remembered(first.raw))
        world.heal()

        assert isinstance(result, Fetched)
        assert result.raw.sha256 == second.raw.sha256

    def test_an_answer_that_ends_early_without_a_length_is_not_taken_for_the_file(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It takes the end of a connection for the end of the file."""
        needs(world, "tear")
        key = world.keys[0]
        world.publish(key, 1)
        whole = fetch(source, world, key, tmp_path / "whole")
        assert isinstance(whole, Fetched)
        partition = partition_of(source, world, key)
        world.tear()
        known = None
        try:
            torn = fetch(source, world, key, tmp_path / "torn")
        except SourceError as error:
            assert partition.url in str(error)  # noqa: PT017 -- or it is refused
        else:
            assert isinstance(torn, Refused)
            known = refused_before(partition, torn)
        world.heal()
        result = fetch(source, world, key, tmp_path / "healed", known)

        assert isinstance(result, Fetched)
        assert result.raw.sha256 == whole.raw.sha256

    def test_a_refused_file_that_is_still_there_costs_no_bytes(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It forgets the ETag of a file that it refused."""
        key = world.keys[0]
        refused = None
        for how in world.damages:
            world.damage(key, how)
            result = fetch(source, world, key, tmp_path / how)
            if isinstance(result, Refused) and result.etag:
                refused = result
                break
        if refused is None:
            pytest.skip("no damage is found by fetch alone, or its answers have no ETag")
        known = replace(
            refused_before(partition_of(source, world, key), refused),
            etag=refused.etag,
            last_modified=refused.last_modified,
        )
        sent = world.sent()

        assert isinstance(fetch(source, world, key, tmp_path / "again", known), Unchanged)
        assert world.sent() == sent

    def test_a_refused_file_that_nothing_confirmed_is_read_again(
        self, source: Source, world: World, tmp_path: Path
    ) -> None:
        """It answers from memory for a file that it refused once."""
        key = world.keys[0]
        for how in world.damages:
            world.damage(key, how)
            result = fetch(source, world, key, tmp_path / how)
            if isinstance(result, Refused):
                known = refused_before(partition_of(source, world, key), result)
                again = fetch(source, world, key, tmp_path / f"{how} again", known)
                assert isinstance(again, Refused | Unchanged)
                found = again.sha256
                if isinstance(again, Refused) and again.path is not None:
                    found = sha256_of(again.path)
                assert found == known.refused_sha256
                world.publish(key, 1)
                good = fetch(source, world, key, tmp_path / f"{how} good", known)
                assert isinstance(good, Fetched)
