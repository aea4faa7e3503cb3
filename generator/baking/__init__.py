"""A bake: what it needs of the place, the build, its verification, and where the image goes."""
