"""Histories of registers, and whether some order of the operations explains what clients saw.

Wing and Gong, "Testing and verifying concurrent objects" (1993), with the memory of visited
configurations of Lowe, "Testing for linearizability" (2017).
"""

import threading
import time

ABSENT = ""


class Operation:
    """One call: a read saw `seen`; a write made the register `written`, a conditional one only if
    it was `expected`. `returned` is None while, or if for ever, the outcome is unknown."""

    __slots__ = ("invoked", "returned", "seen", "written", "expected")

    def __init__(self, written=None, expected=None):
        self.invoked = time.monotonic_ns()
        self.returned = None
        self.seen = None
        self.written = written
        self.expected = expected

    def succeed(self, seen=None):
        self.seen = seen
        self.returned = time.monotonic_ns()


class History:
    """What happened to one register, from many threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.operations = []

    def invoke(self, written=None, expected=None):
        operation = Operation(written, expected)
        with self.lock:
            self.operations.append(operation)
        return operation

    def forget(self, operation):
        """The call certainly had no effect and told nothing."""
        with self.lock:
            self.operations.remove(operation)

    def is_linearizable(self):
        return is_linearizable(self.operations)


def relevant(operations):
    """Leaves out what cannot matter: reads without an answer, and writes without an answer whose
    value nobody saw, as they may be taken to have had no effect."""
    known = {op.seen for op in operations if op.returned and op.written is None}
    known |= {op.expected for op in operations if op.expected is not None}
    return sorted(
        (op for op in operations if op.returned or (op.written in known and op.written != ABSENT)
         or (op.written == ABSENT and not op.returned)),
        key=lambda op: op.invoked)


def is_linearizable(operations):
    operations = relevant(operations)
    count = len(operations)
    returns = [op.returned for op in operations]
    visited = set()
    # A configuration: which operations took effect, as the index below which all did and a bit for
    # each one above it, and what the register then holds.
    stack = [(0, 0, ABSENT)]
    while stack:
        first, bits, value = stack.pop()
        while bits & 1:
            bits >>= 1
            first += 1
        if (first, bits, value) in visited:
            continue
        visited.add((first, bits, value))
        deadline = min(
            (returns[index] for index in range(first, count)
             if not bits >> index - first & 1 and returns[index] is not None), default=None)
        if deadline is None:
            return True
        for index in range(first, count):
            operation = operations[index]
            if operation.invoked > deadline:
                break
            if bits >> index - first & 1:
                continue
            if operation.written is None:
                if operation.seen == value:
                    stack.append((first, bits | 1 << index - first, value))
            elif operation.expected is None or operation.expected == value:
                stack.append((first, bits | 1 << index - first, operation.written))
    return False


def check_the_checker():
    """The checker must tell histories apart, or it proves nothing."""

    def history(*calls):
        operations = []
        for begin, end, seen, written in calls:
            operation = Operation(written)
            operation.invoked, operation.returned, operation.seen = begin, end, seen
            operations.append(operation)
        return is_linearizable(operations)

    first, second = (1, 2, None, "a"), (3, 4, None, "b")
    assert history(first, second, (5, 6, "b", None))
    assert not history(first, second, (5, 6, "a", None)), "a stale read"
    assert history(first, (3, 6, None, "b"), (4, 5, "a", None))
    assert history(first, (3, None, None, "b"), (4, 5, "a", None), (6, 7, "b", None))
    assert not history(
        first, (3, None, None, "b"), (4, 5, "b", None), (6, 7, "a", None)), "a write undone"
    assert not history(first, (3, 4, ABSENT, None)), "an acknowledged write lost"
