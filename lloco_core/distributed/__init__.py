"""The only package that imports ray: the session, the compression graph, clustering, and training.

Everything it runs on workers is a plain function or class of the other packages.
"""
