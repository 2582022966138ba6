"""The classical maximum-likelihood estimate: does it exist, what is it, how sure is it?"""

from mlnn.estimation.estimate import estimate
from mlnn.estimation.fitted import check_estimate
from mlnn.estimation.information import InformationCheck, information_check
from mlnn.estimation.model_fit import ModelFit
from mlnn.estimation.newton import NotConvergedError
from mlnn.estimation.nonlinear import fit_model
from mlnn.estimation.result import Estimate, Wald
from mlnn.estimation.separation import Separation, find_separation
from mlnn.estimation.twin import Course, Distance, Twin, classical_twin

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
