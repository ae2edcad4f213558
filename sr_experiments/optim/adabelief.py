"""AdaBelief (Zhuang et al., 2020, arXiv:2010.07468) as timm has it, less what it would ignore.

Where timm's rectified steps have a denominator it is the current one, so ``amsgrad`` plays no part
in them; here the two together are refused.
"""

from typing import Any

from timm.optim.adabelief import AdaBelief as TimmAdaBelief

from sr_experiments.errors import UserError


class AdaBelief(TimmAdaBelief):
    """timm's AdaBelief.

    Args:
        params: What it trains.
        amsgrad: Divide by the largest denominator seen.
        rectify: As RAdam: careful steps until the denominator can be trusted.
        **options: As timm's.

    Raises:
        UserError: ``amsgrad`` and ``rectify`` are both on.
    """

    def __init__(
        self, params: Any, *, amsgrad: bool = False, rectify: bool = True, **options: Any
    ) -> None:
        if amsgrad and rectify:
            raise UserError(
                "optimizer.amsgrad=true has no effect on rectified steps; add "
                "optimizer.rectify=false"
            )
        super().__init__(params, amsgrad=amsgrad, rectify=rectify, **options)
