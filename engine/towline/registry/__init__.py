"""OCI registries: client, uploads, logins, and the copy of images between them."""
