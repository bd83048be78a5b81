"""Links between the nodes of a cluster: mutual TLS, messages, and where a session's home is."""
