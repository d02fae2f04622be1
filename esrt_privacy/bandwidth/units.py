"""Units of size and rate, said in full: a table that writes MB may mean either of two."""

MB = 1_000_000  # B, decimal
MIB = 1_048_576  # B, 2^20
BITS = 8  # of a byte
MBIT = 1_000_000  # bit; network rates are decimal
MS = 1_000  # milliseconds of a second


def shown_bytes(count: float) -> str:
    """ "122,880 B", "9.91 MB": bytes to a million, decimal megabytes above."""
    if abs(count) < MB:
        return f"{count:,.0f} B"
    return f"{count / MB:,.2f} MB" if abs(count) < 10 * MB else f"{count / MB:,.1f} MB"


def shown_seconds(seconds: float) -> str:
    """ "0.043 s", "8.19 s", "41.7 s", "2,064 s": about three figures."""
    decimals = 3 if seconds < 1 else 2 if seconds < 10 else 1 if seconds < 100 else 0
    return f"{seconds:,.{decimals}f} s"
