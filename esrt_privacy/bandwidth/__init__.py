"""What a recording costs on the wire: arithmetic, real encoders, break-even durations, transfer times.

Counts payloads: bodies as an application hands them to its connection. What a connection adds is
measured elsewhere, through the `Carrier` of `payloads.py`.
"""
