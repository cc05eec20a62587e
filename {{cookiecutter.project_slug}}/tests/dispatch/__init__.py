"""Dispatch, as it runs."""
