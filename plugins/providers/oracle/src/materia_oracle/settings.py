"""Check the settings and secrets of the `oracle` provider, and open it."""

from __future__ import annotations

import os

# Before the first import of `oci`: otherwise it imports the clients of every service.
os.environ.setdefault("OCI_PYTHON_SDK_NO_SERVICE_IMPORTS", "true")

from materia import Opening
from materia.errors import ConfigError, CredentialsError
from materia_providers.settings import read_api_url, read_ssh_port

from materia_oracle.catalog.shapes import PROVIDER
from materia_oracle.launch import TABLE
from materia_oracle.provider import Oracle


def open_provider(opening: Opening) -> Oracle:
    """The provider; this sends no request to Oracle.

    Raises:
        ConfigError: a setting cannot be used.
        CredentialsError: the SDK does not accept the credentials.
    """
    secrets, settings = opening.secrets, opening.settings
    for name, kinds in (("compartment", ("compartment", "tenancy")), ("subnet", ("subnet",))):
        value = str(settings.get(name) or "")
        if value and not value.startswith(tuple(f"ocid1.{kind}." for kind in kinds)):
            raise ConfigError(
                f"oracle: {name} in {TABLE} must be the OCID of a {kinds[0]}, ocid1.{kinds[0]}..., "
                f"is {value!r}"
            )
    return Oracle(
        {
            # A copied line end would go into a header, which cannot be sent.
            "user": secrets["OCI_CLI_USER"].strip(),
            "tenancy": secrets["OCI_CLI_TENANCY"].strip(),
            "fingerprint": secrets["OCI_CLI_FINGERPRINT"].strip(),
            "key_content": _key(secrets["OCI_CLI_KEY_CONTENT"]),
            "region": secrets["OCI_CLI_REGION"].strip(),
        },
        compartment=str(settings.get("compartment") or ""),
        subnet=str(settings.get("subnet") or ""),
        image=str(settings.get("image") or "Canonical Ubuntu 24.04"),
        ssh_port=read_ssh_port(settings, provider=PROVIDER),
        api_url=read_api_url(
            settings,
            provider=PROVIDER,
            default="",
            example="https://iaas.eu-frankfurt-1.oraclecloud.com",
        ),
        price_list_url=str(settings.get("price_list_url") or ""),
        once=opening.once,
    )


def _key(text: str) -> str:
    """The PEM text; variables of CI systems often write line ends as backslash and n.

    Raises:
        CredentialsError: it is not PEM text.
    """
    if not text.isascii():
        raise CredentialsError(
            "oracle: OCI_CLI_KEY_CONTENT contains a character that no key has; set it to the text "
            "of the whole .pem file"
        )
    return text if "\n" in text.strip() else text.replace("\\n", "\n")
