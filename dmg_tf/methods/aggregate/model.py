"""The baseline: one network on the pooled source images."""

import keras

from dmg_tf.methods.aggregate.site_dropout import (
    DroppingTaskNetwork,
    SiteDropout,
)
from dmg_tf.methods.aggregate.spec import SPEC
from dmg_tf.methods.base import DomainModel


@keras.saving.register_keras_serializable("dmg_tf")
class Aggregate(DomainModel):
    """Trains the backbone on all source images, blind to their domains.

    Paper: Sec. 4.1 ("Aggregate"). Differs: nothing. It has one prediction,
    shown as `pred_ens`.

    With `site_dropout`, which is not the paper's, units are dropped where DMG
    masks them, as often for all domains: what is left of DMG when nothing is
    learned of which unit serves which domain. As in DMG a dropped unit is not
    made up for by the others, and AlexNet's own dropout does not act.
    """

    spec = SPEC

    @property
    def dropout(self):
        """Whether a backbone's own dropout acts."""
        return not self.options.site_dropout

    def stages_of(self, network):
        """Returns the stages; remembers where masks would be."""
        self.mask_sites = tuple(network.mask_sites)
        return super().stages_of(network)

    def make_task_network(self, stages):
        """Returns the task network, with dropout where that is asked for."""
        if not self.options.site_dropout:
            return super().make_task_network(stages)
        dropouts = {
            site: SiteDropout(
                self.options.site_dropout,
                # Sites of equal width must not draw the same numbers.
                seed=self.seed * 1000 + index,
                name=f"dropout_{site}",
            )
            for index, site in enumerate(self.mask_sites)
        }
        return DroppingTaskNetwork(stages, dropouts, name="task_network")

    def describe(self):
        """Returns where units are dropped, for the plan of a run."""
        if not self.options.site_dropout:
            return ()
        sites = ", ".join(self.mask_sites)
        share = f"{self.options.site_dropout:.0%}"
        return (f"{share} of the units on the input of {sites} are dropped",)
