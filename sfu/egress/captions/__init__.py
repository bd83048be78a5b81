"""One captioned session: a process that hears its streams and reports what is said."""
