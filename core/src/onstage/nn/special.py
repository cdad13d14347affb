"""The error function, which numpy lacks."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.polynomial.chebyshev import chebval

from onstage.model import Array


def erf(x: Array) -> Array:
    """Return the error function of x, in the precision of x."""
    coefficients, low = _erfc_fit(20 if x.dtype.itemsize > 4 else 10)
    z = np.minimum(np.abs(x), 6)  # erf(6) is 1 in float64
    t = 2 / (2 + z)
    erfc = t * np.exp(chebval((2 * t - 1 - low) / (1 - low), coefficients) - z * z)
    values: Array = np.copysign(1 - erfc, x)
    return values


@lru_cache(maxsize=2)
def _erfc_fit(degree: int) -> tuple[list[float], float]:
    """Fit log(erfc(z) / t) + z² over t = 2 / (2 + z), 0 <= z <= 6, which is smooth.

    References
    ----------
    Press et al.: *Numerical Recipes* (2007), section 6.2.2, for the form.
    """
    from numpy.polynomial import Chebyshev  # imported late: slow, and only gelu needs it

    low = 0.25

    def smooth(t: Array) -> Array:
        z = 2 / t - 2
        return np.array([math.log(math.erfc(each)) for each in z]) - np.log(t) + z * z

    return list(Chebyshev.interpolate(smooth, degree, domain=(low, 1.0)).coef), low
