"""What a recording costs on the wire: real encoders, a real connection, break-even, transfer times, arithmetic.

Bodies are counted as an application hands them to its connection, beside them what the connection made of them:
`connection.py` sends, `passages.py` says what crosses, `crossings.py` what is multiplied, and `tcp_ip.py` estimates the
headers of TCP and IP.
"""
