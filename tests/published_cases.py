"""The data sets of tests/published, whose estimates are printed elsewhere."""

import numpy as np
import pandas as pd
from app_cases import ROOT


def published(name: str, target: str) -> tuple[pd.DataFrame, pd.Series]:
    """(features, target) of a file in tests/published."""
    table = pd.read_csv(ROOT / "tests" / "published" / f"{name}.csv")
    return table.drop(columns=target), table[target]


def housing() -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """(dummies as R's treatment contrasts, satisfaction 0 … 2, frequencies) of the 72 cells."""
    table = pd.read_csv(ROOT / "tests" / "published" / "housing.csv")
    levels = {"Infl": ("Medium", "High"), "Type": ("Apartment", "Atrium", "Terrace"), "Cont": ("High",)}
    x = pd.DataFrame(
        {f"{key}{one}": (table[key] == one).astype(float) for key, found in levels.items() for one in found}
    )
    y = table["Sat"].map({"Low": 0, "Medium": 1, "High": 2}).to_numpy()
    return x, y, table["Freq"].to_numpy(dtype=float)
