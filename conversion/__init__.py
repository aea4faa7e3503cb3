"""Code that runs inside builds and images: extract, rebuild, patch and verify.

Imports nothing of the other packages: the standard library (Python 3.8 and later), and torch where models are
concerned.
"""
