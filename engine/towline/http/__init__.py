"""HTTP/1.1 client: connections, TLS, proxies, addresses, redirects; not for registries alone."""
