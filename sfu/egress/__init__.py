"""Media that leaves clear sessions: jobs, and the processes that do them.

The server's own process loads no codec: only `sfu.egress.child` and `sfu.egress.zygote`, which run
in processes of their own, import `av`.
"""
