"""Settings of the infrastructure, with keys of their own."""

from __future__ import annotations

from materia_infra.settings import Settings, Supervisor
from materia_providers.cloud_init import generate_key

KEY = generate_key()
ACCOUNT = "0123456789abcdef0123456789abcdef"
SETTINGS = Settings(organization="acme", stack="prod", account=ACCOUNT)
SUPERVISOR = Supervisor(
    server_type="cx23",
    image="debian-12",
    location="nbg1",
    ipv4=True,
    login_key=f"{generate_key().public} operator",
    host_key=KEY.private,
    ssh_from=("203.0.113.7/32",),
)
