"""Media that leaves clear sessions: jobs, and the processes that do them.

No process of the server loads a codec: media is written as it came, by `sfu.egress.child` in
processes of their own, which `sfu.egress.zygote` forks.
"""
