"""The classical maximum-likelihood estimate: does it exist, what is it, how sure is it?"""

from mlnn.estimating.classical import Course, Distance, Twin, classical_twin
from mlnn.estimating.estimate import estimate
from mlnn.estimating.information import InformationCheck, information_check
from mlnn.estimating.linear.fitted import check_estimate
from mlnn.estimating.linear.newton import NotConvergedError
from mlnn.estimating.linear.separation import Separation, find_separation
from mlnn.estimating.network.fit import ModelFit
from mlnn.estimating.network.nonlinear import fit_model
from mlnn.estimating.result import Estimate, Wald

__all__ = [
    "Course",
    "Distance",
    "Estimate",
    "InformationCheck",
    "ModelFit",
    "NotConvergedError",
    "Separation",
    "Twin",
    "Wald",
    "check_estimate",
    "classical_twin",
    "estimate",
    "find_separation",
    "fit_model",
    "information_check",
]
