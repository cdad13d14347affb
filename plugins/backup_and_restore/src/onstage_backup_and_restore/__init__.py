"""Continues a killed training to the bit."""
