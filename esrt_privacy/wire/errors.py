"""What goes wrong between edge and cloud, as one line each."""

from esrt_privacy.errors import EsrtPrivacyError


class WireError(EsrtPrivacyError):
    """A request that was not answered: the cloud is not there, not trusted, busy, or too slow."""


class MessageError(WireError):
    """Bytes from a peer that are no message, or one beyond the bounds."""


class CertificateError(WireError):
    """A certificate or key that is missing, or cannot be read or written."""
