"""A learning rate that falls when the metric stops getting better."""

from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from sr_experiments.errors import UserError


class Plateau(ReduceLROnPlateau):
    """The optimiser's ``lr`` times ``factor`` after each ``stale_epochs`` without a new best.

    It is shown the metric once per epoch, so its points are the only ones that are given in
    epochs: no share of the training says when a network stalls.
    Klab_SR's recipe halves after 10 stale epochs, and after 3 on the INT8 grid.

    Args:
        optimizer: Its ``lr`` is where the schedule starts.
        total_steps: Not used: a plateau knows no end. It is there because every schedule is
            made with it.
        factor: What a plateau multiplies by.
        stale_epochs: Epochs without a new best that make a plateau.
        lowest: The learning rate below which it does not fall.
        higher_is_better: Whether more of the metric is better.

    Raises:
        UserError: An option is out of range.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        factor: float = 0.5,
        stale_epochs: int = 10,
        lowest: float = 0.0,
        higher_is_better: bool = True,
    ) -> None:
        if not 0 < factor < 1:
            raise UserError(f"scheduler.factor={factor} must be between 0 and 1")
        if stale_epochs < 1:
            raise UserError(f"scheduler.stale_epochs={stale_epochs} is below 1")
        if lowest < 0:
            raise UserError(f"scheduler.lowest={lowest} is negative")
        super().__init__(
            optimizer,
            mode="max" if higher_is_better else "min",
            factor=factor,
            patience=stale_epochs - 1,  # torch counts the epochs that it tolerates
            threshold=0.0,
            min_lr=lowest,
            eps=0.0,
        )
