"""Tests of `app/queue`: real brokers, and real worker processes."""
