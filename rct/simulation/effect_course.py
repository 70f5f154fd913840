"""How large an effect is along the time since training began: late, growing, fading, refreshed."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from rct.trial_tables import Course


def exposure_times(dose: "npt.NDArray[np.float64]") -> "npt.NDArray[np.int64]":
    """Count the treated periods since treatment last began: 1 in the first one, 0 while untreated.

    Parameters
    ----------
    dose : shape (…, periods)
        NaN in transition, which counts as untreated.
    """
    import numpy as np

    treated = np.nan_to_num(dose) > 0
    periods = np.arange(1, dose.shape[-1] + 1)
    last_untreated = np.maximum.accumulate(np.where(treated, 0, periods), axis=-1)
    return np.where(treated, periods - last_untreated, 0)


def effect_share(course: "Course", exposure_time: "npt.NDArray[np.int64]") -> "npt.NDArray[np.float64]":
    """Give the share of the full log effect at each exposure time.

    After `delay` periods without any, it grows by equal steps to all of it over `growth` periods; times,
    where it fades, 1 − a / (fade − 1), but not less than none, with a the periods since training or the
    last refresher.

    Parameters
    ----------
    exposure_time : any shape
        1 = first treated period; 0 = untreated, where the share is zero.
    """
    import numpy as np

    time = np.asarray(exposure_time)
    share = np.clip((time - course.delay) / course.growth, 0.0, 1.0) * (time > 0)
    if course.fade is None:
        return share
    age = np.maximum(time - 1, 0)
    if course.refresher is not None:
        age = age % course.refresher
    return share * np.clip(1 - age / (course.fade - 1), 0.0, 1.0)
