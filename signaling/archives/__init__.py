"""Archives of clear sessions: their jobs, their records and their files."""
