"""What a tag means: asked of registries, and written down in release classes and Dockerfiles."""
