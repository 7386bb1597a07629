import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)
from hypothesis import given
from hypothesis import strategies as st
from materia.errors import ConfigError, ProviderError
from materia_providers.cloud_init import (
    KeyPair,
    check_size,
    cloud_config,
    generate_key,
    read_user_data,
    user_data,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOST_KEY = generate_key()
LOGIN_KEY = generate_key()


def a_config(expires_at: datetime = NOW + timedelta(hours=2)) -> dict[str, object]:
    return cloud_config(
        login_key=LOGIN_KEY.public, host_key=HOST_KEY, now=NOW, expires_at=expires_at
    )


def test_both_halves_of_a_key_belong_together() -> None:
    key = generate_key()

    private = load_ssh_private_key(key.private.encode(), password=None)

    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    assert key.public == public
    assert key.public.startswith("ssh-ed25519 AAAA")


def test_no_two_keys_are_the_same() -> None:
    assert len({generate_key().public for _ in range(20)}) == 20


def test_the_private_half_of_a_key_is_not_in_its_repr() -> None:
    key = generate_key()

    assert "PRIVATE" not in repr(key)
    assert key.private.splitlines()[3] not in repr(key)


def test_user_data_is_a_cloud_config_that_json_reads_as_yaml_does() -> None:
    text = user_data(a_config())

    first, _, rest = text.partition("\n")
    assert first == "#cloud-config"
    assert json.loads(rest) == a_config()


def test_user_data_holds_no_secret_but_the_host_key() -> None:
    text = user_data(a_config())

    assert text.count("PRIVATE KEY") == 2  # its first and its last line
    assert LOGIN_KEY.private.splitlines()[3] not in text


def test_a_machine_gets_our_host_key_and_no_other() -> None:
    config = a_config()

    assert config["ssh_deletekeys"] is True
    assert config["ssh_keys"] == {
        "ed25519_private": HOST_KEY.private,
        "ed25519_public": HOST_KEY.public,
    }


def test_a_machine_lets_in_one_user_by_key_and_nobody_by_password() -> None:
    config = a_config()

    (user,) = json.loads(json.dumps(config["users"]))
    assert user["name"] == "materia"
    assert user["ssh_authorized_keys"] == [LOGIN_KEY.public]
    assert user["lock_passwd"] is True
    assert (config["ssh_pwauth"], config["disable_root"]) == (False, True)


@pytest.mark.parametrize(
    ("left", "minutes"),
    [
        (timedelta(hours=2), 120),
        (timedelta(hours=2, seconds=1), 121),
        (timedelta(seconds=1), 1),
        (timedelta(0), 1),
        (timedelta(hours=-3), 1),
    ],
)
def test_a_machine_powers_off_at_its_deadline_in_whole_minutes(
    left: timedelta, minutes: int
) -> None:
    state = json.loads(user_data(a_config(NOW + left)).partition("\n")[2])["power_state"]

    assert (state["mode"], state["delay"]) == ("poweroff", minutes)


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.lists(st.text())))
def test_user_data_is_read_back_as_it_was_written(config: dict[str, object]) -> None:
    assert read_user_data(user_data(config)) == config


def test_the_same_config_is_the_same_text() -> None:
    config = a_config()

    assert user_data(dict(reversed(config.items()))) == user_data(config)


@pytest.mark.parametrize(
    "text", ["", "#!/bin/sh\ntrue\n", '{"users": []}', "#cloud-config\n[]", "#cloud-config\na: 1"]
)
def test_what_is_no_user_data_of_ours_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="user data"):
        read_user_data(text)


def test_user_data_fits_the_smallest_limit_many_times() -> None:
    # Hetzner 32 KiB, Oracle 32,000 bytes with the rest of the metadata, OVH 65,535 as base64.
    assert len(base64.b64encode(user_data(a_config()).encode())) < 3_000


def test_user_data_of_exactly_the_limit_passes_and_one_byte_more_does_not() -> None:
    text = "ä" * 50

    check_size(text, provider="acme", limit_bytes=100)
    with pytest.raises(ProviderError, match="acme: user data has 100 bytes, the limit is 99"):
        check_size(text, provider="acme", limit_bytes=99)


def test_the_limit_may_count_the_base64_form() -> None:
    check_size("x" * 30, provider="acme", limit_bytes=40, encoded=True)
    with pytest.raises(ProviderError, match="44 bytes as base64"):
        check_size("x" * 31, provider="acme", limit_bytes=40, encoded=True)


def test_a_key_pair_compares_by_both_halves() -> None:
    assert KeyPair(public="a", private="b") == KeyPair(public="a", private="b")
    assert KeyPair(public="a", private="b") != KeyPair(public="a", private="c")
