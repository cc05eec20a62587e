"""Send and wait: the caller learns that PostStack accepted the mail."""
