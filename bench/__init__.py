"""Benchmarks: what forwarding costs, by real clients over real sockets."""
