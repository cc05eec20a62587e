"""The template: what it asks, refuses and makes, and how a service is updated."""
