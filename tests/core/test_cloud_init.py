from typing import Any

import pytest
from materia_providers.cloud_init import user_data
from materia_testing.emulation.ssh_machines.cloud_init import CloudInit, File, User, parse


def parsed(config: dict[str, object] | None, login: str = "debian") -> CloudInit:
    text = "" if config is None else user_data(config)
    return parse(text, login=login, authorized_keys=("ssh-ed25519 API",))


def test_without_user_data_the_images_own_user_gets_the_keys_of_the_api() -> None:
    assert parsed(None) == CloudInit(users=(User(name="debian", keys=("ssh-ed25519 API",)),))


@pytest.mark.parametrize(
    ("config", "users"),
    [
        ({}, ["root"]),
        ({"disable_root": False}, ["root"]),
        ({"disable_root": True}, []),
    ],
)
def test_root_gets_in_where_the_image_says_so_and_the_user_data_does_not_forbid(
    config: dict[str, object], users: list[str]
) -> None:
    assert [user.name for user in parsed(config, login="root").users] == users


def test_listed_users_take_the_place_of_the_images_own() -> None:
    found = parsed({"users": [{"name": "materia", "ssh_authorized_keys": ["k"]}]})

    assert found.users == (User(name="materia", keys=("k",)),)


def test_the_images_own_user_stays_when_it_is_listed() -> None:
    found = parsed({"users": ["default", {"name": "materia"}], "ssh_authorized_keys": ["k"]})

    assert found.users == (
        User(name="debian", keys=("ssh-ed25519 API", "k")),
        User(name="materia", keys=()),
    )


def test_everything_that_a_boot_does_is_in_the_value() -> None:
    found = parsed(
        {
            "users": [],
            "ssh_keys": {"ed25519_private": "private", "ed25519_public": "public"},
            "write_files": [{"path": "/etc/a", "content": "x", "permissions": "0600"}],
            "runcmd": ["echo a", ["echo", 1]],
            "power_state": {"mode": "poweroff", "delay": 90},
            "package_update": False,
            "ssh_pwauth": False,
        }
    )

    assert found == CloudInit(
        users=(),
        host_key="private",
        files=(File(path="/etc/a", content="x", mode=0o600),),
        commands=("echo a", ("echo", "1")),
        power_off_minutes=90,
    )


def test_the_host_key_is_not_in_the_repr() -> None:
    assert "private" not in repr(parsed({"ssh_keys": {"ed25519_private": "private"}}))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"swap": {}, "ntp": {}}, "cloud-config: this machine does not support ntp, swap"),
        ({"users": [{"name": "a", "sudo": "ALL"}]}, "users: .* support sudo"),
        ({"users": ["other"]}, "users: 'other' is not a mapping"),
        ({"users": "materia"}, "users must be a list"),
        ({"ssh_keys": {"rsa_private": "x"}}, "ssh_keys: .* support rsa_private"),
        ({"ssh_keys": {"ed25519_private": 3}}, "ed25519_private must be text"),
        ({"write_files": [{"path": "/a", "owner": "x"}]}, "write_files: .* support owner"),
        ({"power_state": {"mode": "reboot"}}, "power_state.mode must be poweroff, is 'reboot'"),
        ({"runcmd": "reboot"}, "runcmd must be a list"),
    ],
)
def test_what_is_not_understood_is_refused(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parsed(config)


def test_a_power_off_now_is_a_power_off_after_0_minutes() -> None:
    assert parsed({"power_state": {"mode": "poweroff"}}).power_off_minutes == 0
