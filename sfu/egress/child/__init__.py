"""What runs in the processes that record: one process for each archive."""
