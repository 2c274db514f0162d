"""How long a run is, and when it is validated."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Length:
    """The steps of a run, in periods that end with a validation each.

    A run ends with a whole period, so that a longer one begins with the same.

    Attributes:
        epochs: Passes over the source images that are asked for.
        steps_per_epoch: Steps of one pass.
        period: Steps between validations.
    """

    epochs: int
    steps_per_epoch: int
    period: int

    @property
    def periods(self) -> int:
        """The number of periods."""
        return -(-self.epochs * self.steps_per_epoch // self.period)

    @property
    def steps(self) -> int:
        """The number of steps."""
        return self.periods * self.period

    @property
    def by_epoch(self) -> bool:
        """Whether a period is an epoch."""
        return self.period == self.steps_per_epoch

    def epoch_after(self, periods: int) -> int | float:
        """Returns how many passes some periods are; whole ones as an int."""
        epoch = round(periods * self.period / self.steps_per_epoch, 3)
        return int(epoch) if epoch.is_integer() else epoch
