"""Several nodes on one database: who is alive, and who is home of a session."""
