"""Tests of `app/examples`."""
