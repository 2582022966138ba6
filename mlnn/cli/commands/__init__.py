"""One file a command: what it runs, writes and prints."""
