"""What can go wrong with a training run, in one line for the user."""

from esrt_privacy.errors import EsrtPrivacyError


class TrainingError(EsrtPrivacyError):
    """A training run cannot be started, gone on with, or has gone astray."""
