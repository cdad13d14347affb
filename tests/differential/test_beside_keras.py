"""Random trainings compared with Keras: weights, History, evaluate and predict agree to 1e-6 in float64.

``beside_keras.py`` goes on with other seeds for as long as it is let.
"""

import pytest
from beside_keras import compare

pytest.importorskip("keras")
# Keras's own conversion of a torch tensor to numpy.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.mark.parametrize("seed", range(40))
def test_a_random_training_equals_keras(seed):
    assert compare(seed) == []
