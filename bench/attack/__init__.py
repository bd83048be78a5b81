"""Attacks on a server that carries a call: what the call notices, and what comes back.

`python -m bench.attack` writes bench/ATTACKS.md. Attackers and victims share this machine with the
server; rates that it could not give are told as they were.
"""
