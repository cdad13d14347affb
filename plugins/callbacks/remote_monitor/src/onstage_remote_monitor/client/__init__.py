"""The sending side: encoded events, a queue on disk, HTTP."""
