"""Headers of TCP and IP, estimated from payload: no packet is looked at.

Ethernet's MTU of 1,500 bytes, IPv4 without options, TCP with the timestamps that Linux, macOS and Android send
(RFC 7323): 20 + 20 + 12 = 52 bytes of headers a segment, 1,448 of payload. Every second segment is acknowledged by a
packet of headers alone (RFC 9293, section 3.8.6.3). Link layers add theirs (Ethernet 38 bytes a packet with preamble
and gap), IPv6 20 bytes a packet; neither is counted, nor is anything sent twice.
"""

from __future__ import annotations

from esrt_privacy.bandwidth.carried import Carried

HEADER_BYTES = 20 + 20 + 12  # IPv4, TCP, timestamps
SEGMENT_BYTES = 1_500 - HEADER_BYTES
SEGMENTS_AN_ACK = 2
SYN_BYTES = 20 + 40  # with the options of a SYN: segment size, SACK, timestamps, window scale

# Of a connection beside its data. Up: SYN, its ACK, FIN, ACK of the other FIN. Down: SYN-ACK, FIN, ACK of the FIN.
OPENING_AND_END = Carried(SYN_BYTES + 3 * HEADER_BYTES, SYN_BYTES + 2 * HEADER_BYTES)


def segments(payload: int) -> int:
    """Packets that `payload` bytes are cut into: 122,880 B are 85."""
    return -(-payload // SEGMENT_BYTES)


def header_bytes(payload: Carried) -> Carried:
    """Of one request and its answer on an open connection: of the segments each way, and of acknowledgements the other.

    An upper estimate: an acknowledgement that rides on an answer costs nothing of its own.
    """
    up, down = segments(payload.up), segments(payload.down)
    acks_up, acks_down = -(-down // SEGMENTS_AN_ACK), -(-up // SEGMENTS_AN_ACK)
    return Carried(HEADER_BYTES * (up + acks_up), HEADER_BYTES * (down + acks_down))
