"""What black-box tests of the running server are made of. Nothing in here knows the server's sources: only its API and its files."""
