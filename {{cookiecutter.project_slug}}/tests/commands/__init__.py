"""Tests of `app/commands`."""
