"""Why and where two objectives differ: supposed causes put to the test, and the share of every entry in the gap."""
