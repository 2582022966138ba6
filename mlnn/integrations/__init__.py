"""`mlnn.record` in the words of other people's trainers: one file a library, none of which is imported unless you import it."""
