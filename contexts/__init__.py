"""One folder per kind of target: the template of its Dockerfile, and the files that it copies."""
