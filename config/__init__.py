"""What an operator may turn."""
