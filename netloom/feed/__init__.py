"""The wire between server and hosts: one TLS connection a host, on which it follows slices and reports back.

    host                                   server
    hello   what I have (revision, digest) ─▶
            ◀─ slice | delta | gone …, then at: all you follow is at revision N
    ack     what is wired at N, what waits ─▶

`messages.py` is the protocol, `codec.py` its frames, `hub.py` the server's end, `client.py` the host's, `relay.py` both
in one, `pki.py` the certificates that say who is who. A bad frame closes its connection and nothing else.
"""
