"""What every HTTP route stands on: listeners, the gates before them, bodies, answers and files."""
