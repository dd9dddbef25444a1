"""Reads the pickles of cn_clip's LMDB without pickle: tuples, whole numbers and strings, and nothing else.

A pickle is a program for a small stack machine; its dangerous instructions look up and call functions. This
machine knows only the instructions that build the three types, so that nothing else can ever happen.
Instructions: the `pickletools` module of the standard library, protocols 2 to 5.
"""

from __future__ import annotations

import struct

from cnclip.errors import RefusedError

Plain = int | str | tuple["Plain", ...]
_MOST_DIGITS = 32  # bytes of a whole number
_MARK = object()
# instruction -> the form of the number that follows it: a string's length, the value, a place in the memo
_STRINGS = {0x8C: "<B", 0x58: "<I", 0x8D: "<Q"}
_INTEGERS = {0x4B: "<B", 0x4D: "<H", 0x4A: "<i"}
_TUPLES = {0x29: 0, 0x85: 1, 0x86: 2, 0x87: 3}
_SKIPPED = {0x80: 1, 0x95: 8}  # protocol number, frame length
_MEMO_PUT = {0x71: "<B", 0x72: "<I"}
_MEMO_GET = {0x68: "<B", 0x6A: "<I"}
_MEMOIZE, _LONG, _MARK_CODE, _TUPLE, _STOP = 0x94, 0x8A, 0x28, 0x74, 0x2E


class _Machine:
    """The stack, the memo and the place in the program."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.place = 0
        self.stack: list[object] = []
        self.memo: dict[int, object] = {}

    def number(self, form: str) -> int:
        """The unsigned or signed number at this place."""
        (value,) = struct.unpack_from(form, self.data, self.place)
        self.place += struct.calcsize(form)
        return int(value)

    def bytes_of(self, count: int) -> bytes:
        piece = self.data[self.place : self.place + count]
        if len(piece) != count:
            raise ValueError("it is cut off")
        self.place += count
        return piece

    def since_mark(self) -> tuple[object, ...]:
        mark = len(self.stack) - 1 - self.stack[::-1].index(_MARK)
        values = tuple(self.stack[mark + 1 :])
        del self.stack[mark:]
        return values

    def last(self, count: int) -> tuple[object, ...]:
        if len(self.stack) < count or _MARK in self.stack[len(self.stack) - count :]:
            raise ValueError("its stack is too short")
        values = tuple(self.stack[len(self.stack) - count :])
        del self.stack[len(self.stack) - count :]
        return values


def read_pickle(data: bytes, where: str) -> Plain:
    """The tuple, number or string that a pickle holds.

    Args:
        data: the pickle.
        where: for the message.

    Raises:
        RefusedError: any other instruction or type, or bytes that are no whole pickle; nothing was run.
    """
    machine = _Machine(data)
    try:
        while (code := machine.number("<B")) != _STOP:
            _step(machine, code)
        (value,) = machine.stack
        if not isinstance(value, int | str | tuple):
            raise ValueError("its stack holds no value at the end")
    except (ValueError, KeyError, IndexError, struct.error) as error:
        raise RefusedError(
            f"a pickle that is more than (image_id, text_id, text): {error}; nothing of it was run",
            where=where,
            fix="rebuild from the TSV and JSONL files that the LMDB was made of",
        ) from None
    return value


def _step(machine: _Machine, code: int) -> None:
    """One instruction.

    Raises:
        ValueError, KeyError, IndexError, struct.error: it is not allowed, or makes no sense here.
    """
    stack = machine.stack
    if code in _STRINGS:
        stack.append(machine.bytes_of(machine.number(_STRINGS[code])).decode("utf-8", "surrogatepass"))
    elif code in _INTEGERS:
        stack.append(machine.number(_INTEGERS[code]))
    elif code == _MEMOIZE:
        machine.memo[len(machine.memo)] = stack[-1]
    elif code in _TUPLES:
        stack.append(machine.last(_TUPLES[code]))
    elif code in _SKIPPED:
        machine.bytes_of(_SKIPPED[code])
    elif code in _MEMO_PUT:
        machine.memo[machine.number(_MEMO_PUT[code])] = stack[-1]
    elif code in _MEMO_GET:
        stack.append(machine.memo[machine.number(_MEMO_GET[code])])
    elif code == _LONG:
        count = machine.number("<B")
        if count > _MOST_DIGITS:
            raise ValueError(f"a whole number of {count} bytes")
        stack.append(int.from_bytes(machine.bytes_of(count), "little", signed=True))
    elif code == _MARK_CODE:
        stack.append(_MARK)
    elif code == _TUPLE:
        stack.append(machine.since_mark())
    else:
        raise ValueError(f"instruction {code:#04x} at byte {machine.place - 1} ({_name_of(code)})")


def _name_of(code: int) -> str:
    import pickletools  # a table of names; only for the message

    by_code = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}
    return by_code.get(code, "unknown")
