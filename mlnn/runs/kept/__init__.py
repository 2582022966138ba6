"""The state of a run while it trains: kept in its own folder, so that it goes on after whatever has ended it."""
