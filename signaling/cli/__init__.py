"""The command line: `sealroute` and its subcommands."""
