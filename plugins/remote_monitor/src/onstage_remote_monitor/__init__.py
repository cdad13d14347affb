"""Streams training events to an HTTP server."""
