"""Tests of the sandbox itself, with the real SDK over real HTTP."""
