"""Runs the whole system on one machine in one directory: for newcomers, tests and benchmarks."""

from provisioner.stack.errors import StackError
from provisioner.stack.processes import Process
from provisioner.stack.stack import Stack

__all__ = ["Process", "Stack", "StackError"]
