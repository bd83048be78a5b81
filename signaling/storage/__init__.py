"""Where projects and sessions are kept."""
