"""The classical maximum-likelihood estimate: does it exist, what is it, how sure is it?"""

from mlnn.estimating.classical import ClassicalEstimate, classical_estimate
from mlnn.estimating.distance import Distance, Finding
from mlnn.estimating.estimate import estimate
from mlnn.estimating.information import InformationCheck, information_check
from mlnn.estimating.linear.fitted import check_estimate
from mlnn.estimating.linear.newton import NotConvergedError
from mlnn.estimating.linear.separation import Separation, find_separation
from mlnn.estimating.network.fit import ModelFit
from mlnn.estimating.network.nonlinear import fit_model
from mlnn.estimating.prediction import Prediction
from mlnn.estimating.result import Estimate
from mlnn.estimating.trajectory import Look, Trajectory
from mlnn.estimating.wald import Wald

__all__ = [
    "ClassicalEstimate",
    "Distance",
    "Estimate",
    "Finding",
    "InformationCheck",
    "Look",
    "ModelFit",
    "NotConvergedError",
    "Prediction",
    "Separation",
    "Trajectory",
    "Wald",
    "check_estimate",
    "classical_estimate",
    "estimate",
    "find_separation",
    "fit_model",
    "information_check",
]
