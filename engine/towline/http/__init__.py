"""HTTP/1.1 to hosts that are not registries too: client, connections, TLS, proxies, addresses."""
