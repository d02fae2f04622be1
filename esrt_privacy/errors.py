"""The package's own errors: one line for the user, saying what is wrong, where, and what to do."""


class EsrtPrivacyError(Exception):
    """Base of every error that a user can cause or mend; shown as one line, without a traceback."""

    exit_code = 1


class AudioError(EsrtPrivacyError):
    """A recording cannot be used: unreadable, truncated, empty, or with NaN among its samples."""


class CorpusError(EsrtPrivacyError):
    """A corpus, manifest or split file is missing, malformed or empty."""


class AssetError(EsrtPrivacyError):
    """Model weights are missing, or are not the file that was expected."""


class CaptureError(EsrtPrivacyError):
    """A capture is damaged, or was made from another system or corpus."""


class SystemUnavailable(EsrtPrivacyError):
    """A system under audit is unknown or cannot be built with what is installed."""


class LanguageError(EsrtPrivacyError):
    """A language that is unknown, or that the model has no tag for."""


class ModelError(EsrtPrivacyError):
    """A model cannot take what it was given: more than its context, or than the machine's memory."""


class AttackError(EsrtPrivacyError):
    """An attack cannot be run on the data given."""


class ReportError(EsrtPrivacyError):
    """A run folder or its findings cannot be written or read."""


class PolicyError(EsrtPrivacyError):
    """A policy cannot be read, or asks what cannot be meant of the run's figures."""


def shown(text: object, limit: int = 200) -> str:
    """Text from a file, or another library's error, made fit for one line of a terminal."""
    flat = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"
