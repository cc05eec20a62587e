"""Enqueue: durable, for mail that must not be lost."""
