"""Bakes the template with both tools and treats each bake as a product."""
