"""What a cluster needs before a profile's pipeline can run on it, asked of its own APIs."""
