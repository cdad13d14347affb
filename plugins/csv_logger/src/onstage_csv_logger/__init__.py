"""Writes one CSV row of metrics per epoch."""
