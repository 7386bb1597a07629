"""cloud-init user data of the supervisor: a user, packages, and the first host key. Pure.

Every process on the machine can read it from the metadata address, so it has no token. The host key
in it is for the first connection: `materia schedule enroll` replaces it by one that never leaves
the machine. A change here makes Pulumi replace the machine; what changes often comes with enroll.
"""

from __future__ import annotations

import json

from materia_infra.settings import Supervisor, public_part

HEADER = "#cloud-config\n"
USER = "materia"  # whom the runs belong to; it cannot log in


def user_data(supervisor: Supervisor) -> str:
    """The user data; JSON is YAML, too, and needs no quoting of its own."""
    config = {
        "disable_root": False,  # the person who enrolls it logs in as root, with a key
        "package_update": True,
        "packages": ["python3", "ca-certificates", "unattended-upgrades"],
        "ssh_deletekeys": True,
        "ssh_keys": {
            "ed25519_private": supervisor.host_key.strip() + "\n",
            "ed25519_public": public_part(supervisor.host_key),
        },
        "ssh_pwauth": False,
        "users": [
            {
                "name": USER,
                "system": True,
                "lock_passwd": True,
                "shell": "/usr/sbin/nologin",
                "homedir": "/var/lib/materia",
            },
        ],
    }
    return f"{HEADER}{json.dumps(config, indent=1, sort_keys=True)}\n"
