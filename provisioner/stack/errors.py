"""The one error of this package."""


class StackError(Exception):
    """Something is in the way of the stack; the message is for the person at the terminal."""
