"""What a split-inference speech system gives away to whoever intercepts it, and what it saves on the wire."""

__version__ = "0.1.0"
