"""Is everything there that a profile's pipeline needs on a cluster? It looks, and changes nothing."""
