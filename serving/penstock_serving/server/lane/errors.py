"""What is raised where there is no front."""


class NoFrontError(Exception):
    """Why Python answers every request."""
