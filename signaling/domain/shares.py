"""How tenants share a pool: each leaves room for others.

One tenant may have up to three times what stays free. Alone that is three quarters of the pool; two
greedy tenants have three sevenths each. So none of them can have all of it, however many of its
requests wait, and no fixed part is kept free.
"""

SHARE = 3


def may_take(own: int, free: int) -> bool:
    """Whether a tenant with `own` places may take another one of the `free` ones. Its first place
    is not limited: it gets one while there is any."""
    return free > 0 and (own == 0 or own + 1 <= SHARE * (free - 1))
