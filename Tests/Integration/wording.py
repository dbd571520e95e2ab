"""Checks that do not depend on the wording of a sentence. A test names the facts in it and, where needed, the noun of its rule."""


def mentions(text, *parts):
    """Whether `text`, a string or octets, has all of the parts, in this order."""
    rest = text.decode(errors="replace") if isinstance(text, bytes) else text or ""
    for part in parts:
        _, found, rest = rest.partition(part)
        if not found:
            return False
    return True


def one_mentions(texts, *parts):
    """Whether one of the texts, such as the lines of a log, has all of the parts, in this order."""
    return any(mentions(text, *parts) for text in list(texts))
