"""How the picks of a slate stand: as they are picked, or in the pool's order."""

from typing import Literal, get_args

from recsys.types import RecsysError, check_choice

Order = Literal["gain", "relevance"]


def check_order(order: object, where: str = "", *, drawn: bool = False, pinned: bool = False) -> None:
    """Refuse an unknown order, and "relevance" where picks are drawn or one is pinned; `where` precedes the message.

    A drawn pick has a probability for its slot, and a pin names the slot of an item: neither can be moved.

    Raises:
        RecsysError: naming what stands against the order.
    """
    check_choice("order", order, get_args(Order), where=where.rstrip(": "))
    if order != "relevance":
        return
    if drawn:
        raise RecsysError(f"{where}order is 'relevance' where picks are drawn, expected 'gain': chances are by slot")
    if pinned:
        raise RecsysError(
            f"{where}order is 'relevance' beside a pinned item, expected 'gain': a pin says where it stands"
        )
