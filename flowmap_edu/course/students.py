"""A student's number, and the seed that data are drawn from."""

import hashlib

__all__ = ["student_seed"]


def student_seed(number: int | str | None) -> int:
    """The seed of a student: a hash of the number, so that neighbours in the list get unrelated data.

    Args:
        number: the student's number, or any other text that names the student; spaces and capitals do not count.

    Returns:
        a whole number below 2^31.

    Raises:
        ValueError: if there is no number yet.
    """
    text = "".join(str(number).split()).lower() if isinstance(number, (int, str)) else ""
    if not text or isinstance(number, bool):
        raise ValueError(f"STUDENT must be your student number, such as 1234567; got {number!r}: set it at the top")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
