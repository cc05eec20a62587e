"""From an email to PostStack, and what PostStack reports afterwards."""
