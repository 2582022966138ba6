"""The classical maximum-likelihood estimate: does it exist, what is it, how sure is it?"""

from mlnn.estimating.classical import ClassicalEstimate, classical_estimate
from mlnn.estimating.distance import Distance, Finding
from mlnn.estimating.estimate import estimate
from mlnn.estimating.fit_comparison import FitComparison
from mlnn.estimating.information import InformationCheck, information_check
from mlnn.estimating.linear.fitted import check_estimate
from mlnn.estimating.linear.newton import NotConvergedError
from mlnn.estimating.linear.separation import Separation, find_separation
from mlnn.estimating.nested import compare_fits
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
    "FitComparison",
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
    "compare_fits",
    "estimate",
    "find_separation",
    "fit_model",
    "information_check",
]
