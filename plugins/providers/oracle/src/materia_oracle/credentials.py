"""API key of an Oracle Cloud user, in the form of the SDK's configuration."""

from __future__ import annotations

from collections.abc import Mapping

from materia.errors import CredentialsError


def read_credentials(secrets: Mapping[str, str]) -> dict[str, str]:
    """The credentials in the variables that the plugin declares, as the SDK's configuration.

    Raises:
        CredentialsError: the key contains characters that no key has.
    """
    return {
        # A copied line end would go into a header, which cannot be sent.
        "user": secrets["OCI_CLI_USER"].strip(),
        "tenancy": secrets["OCI_CLI_TENANCY"].strip(),
        "fingerprint": secrets["OCI_CLI_FINGERPRINT"].strip(),
        "key_content": _key(secrets["OCI_CLI_KEY_CONTENT"]),
        "region": secrets["OCI_CLI_REGION"].strip(),
    }


def _key(text: str) -> str:
    """The PEM text; variables of CI systems often write line ends as backslash and n."""
    if not text.isascii():
        raise CredentialsError(
            "oracle: OCI_CLI_KEY_CONTENT contains a character that no key has; set it to the text "
            "of the whole .pem file"
        )
    return text if "\n" in text.strip() else text.replace("\\n", "\n")
