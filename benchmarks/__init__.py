"""The template and its services against their limits: each script prints ratios of medians."""
