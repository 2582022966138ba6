"""The model zoo: `Model(input_shape, outputs, **sizes)` maps x (n, *input_shape) to the raw output (n, outputs)."""

from mlnn.models.conv import Conv
from mlnn.models.free import Free
from mlnn.models.logistic import Logistic
from mlnn.models.mlp import MLP
from mlnn.models.recurrent import Recurrent
from mlnn.models.resmlp import ResMLP
from mlnn.models.resnet import ResNet
from mlnn.models.sigmoid_node import SigmoidNode
from mlnn.models.transformer import Transformer

__all__ = ["MLP", "Conv", "Free", "Logistic", "Recurrent", "ResMLP", "ResNet", "SigmoidNode", "Transformer"]
