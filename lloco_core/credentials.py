"""Recognising credentials where an address is expected: userinfo, and query parameters that hold a secret.

Whatever takes a URI from outside calls `refuse_credentials` before it repeats the URI in a message or writes it down.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from lloco_core.errors import ConfigurationError

MESSAGE = "a URI must not carry credentials; put them into AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or LLOCO_TEACHER_API_KEY"

_SECRET_NAME = re.compile(
    r"secret|passw|token(?!s)|signature|credential|access[-_]?key|api[-_]?key|^(sig|key|auth|authorization|pwd|jwt)$", re.IGNORECASE
)
_NO_PORT = re.compile(r":(?!\d*$)[^\]]*$")
"""A secret key may hold a '/': then the authority ends before the '@'."""
_PARAMETER = re.compile(r"[?&#]([^=?&#]+)=[^&#]")


def has_credentials(uri: str) -> bool:
    """Whether a URI has userinfo or a query parameter that names a secret. Plain paths have no userinfo."""
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return False
    rest = unquote(rest)
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in authority or (scheme.lower().endswith("s3") and ":" in authority) or _NO_PORT.search(authority):
        return True
    return any(is_secret_name(name) for name in _PARAMETER.findall(rest))


def is_secret_name(name: str) -> bool:
    """Whether a key or parameter of this name holds a secret."""
    return bool(_SECRET_NAME.search(name.strip()))


def refuse_credentials(uri: str) -> str:
    """Return a URI that has none.

    Raises:
        ConfigurationError: it has; the message does not repeat it.
    """
    if has_credentials(uri):
        raise ConfigurationError(MESSAGE)
    return uri
