"""The engines: every one a module with the functions listed in ``protocol.py``."""
