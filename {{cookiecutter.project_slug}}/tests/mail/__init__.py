"""Tests of `app/mail`."""
