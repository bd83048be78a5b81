"""Client of the Sealroute media server."""
