"""What the scripts beside this one share."""


def refused(exception, call, *arguments, **named):
    """Gives the exception of this class that a call must raise."""
    try:
        call(*arguments, **named)
    except exception as raised:
        return raised
    raise AssertionError(f"{call.__qualname__}{arguments} was not refused")


def equal(found, wanted):
    assert found == wanted, f"{found!r} is not {wanted!r}"
