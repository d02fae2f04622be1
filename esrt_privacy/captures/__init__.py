"""What an interceptor holds, on disk: the store, and importers of what others have written."""

from esrt_privacy.captures.capture import Capture, CapturedUtterance, capture
from esrt_privacy.captures.importers import open_capture, with_labels
from esrt_privacy.captures.store import TapStore

__all__ = ["Capture", "CapturedUtterance", "TapStore", "capture", "open_capture", "with_labels"]
