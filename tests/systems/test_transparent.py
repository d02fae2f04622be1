import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from esrt_privacy.errors import AssetError
from esrt_privacy.systems.transparent import TransparentBasis, fit_basis, patches


def smooth_mel(seed: int, frames: int = 3000, mel_bins: int = 80) -> torch.Tensor:
    """Slow swells over time and frequency, (mel bins, frames): what a patch of speech is mostly."""
    rng = np.random.default_rng(seed)
    time, bins = np.arange(frames) / 100, np.arange(mel_bins) / mel_bins
    swells = [
        np.outer(np.cos(2 * np.pi * (k * bins + p)), np.sin(2 * np.pi * (r * time + q)))
        for k, p, r, q in zip(range(4), rng.random(4), rng.uniform(0.2, 2, 4), rng.random(4), strict=True)
    ]  # fmt: skip
    return torch.from_numpy(np.mean(swells, axis=0)).float()


@pytest.fixture(scope="module")
def basis() -> TransparentBasis:
    mels = [smooth_mel(seed, 600) for seed in range(40)]
    return fit_basis(mels, vectors=80, width=48, generator=np.random.default_rng(0))


def test_patches_hold_every_frame_once_and_in_order():
    mel = torch.arange(2 * 3000).reshape(1, 2, 3000)
    cut = patches(mel, 80)  # 38 frames each, the last with 40 frames of padding
    assert cut.shape == (1, 80, 2 * 38)
    back = cut.unflatten(-1, (2, 38)).permute(0, 2, 1, 3).flatten(2)
    assert torch.equal(back[..., :3000], mel)
    assert (back[0, :, 3000:] == mel[0, :, -1:]).all()
    assert patches(mel, 40).shape == (1, 40, 2 * 75)


def test_unseen_smooth_mel_comes_back_from_its_projection(basis):
    mel = torch.stack([smooth_mel(100), smooth_mel(101)])
    tensor = basis.project(mel)
    assert tensor.shape == (2, 80, 48)
    back = basis.invert(tensor)
    assert back.shape == mel.shape
    lost = (back - mel).square().mean() / mel.square().mean()
    assert lost < 0.01
    # A mel that is not smooth does not fit: the basis has learned something.
    noise = torch.randn(1, 80, 3000, generator=torch.Generator().manual_seed(0))
    assert (basis.invert(basis.project(noise)) - noise).square().mean() > 0.5


def test_projecting_what_was_inverted_gives_the_same_tensor(basis):
    tensor = basis.project(smooth_mel(3)[None])
    again = basis.project(basis.invert(tensor))
    # The last patch is padded anew.
    torch.testing.assert_close(again[:, :-2], tensor[:, :-2], atol=0.02, rtol=0.02)


def test_components_are_orthonormal(basis):
    kept = basis.components[basis.components.any(dim=1)]
    torch.testing.assert_close(kept @ kept.T, torch.eye(len(kept)), atol=0.01, rtol=0)
    assert len(kept) > 20


def test_saved_basis_keeps_its_fingerprint(basis, tmp_path):
    basis.save(tmp_path / "deep" / "basis.safetensors")
    loaded = TransparentBasis.load(tmp_path / "deep" / "basis.safetensors")
    assert loaded.fingerprint == basis.fingerprint
    assert (loaded.vectors, loaded.mel_bins, loaded.frames) == (80, 80, 38)


def test_fingerprint_depends_on_the_values(basis):
    other = TransparentBasis(basis.mean + 1, basis.components, basis.vectors, basis.mel_bins)
    assert other.fingerprint != basis.fingerprint


def test_same_generator_gives_the_same_basis(basis):
    mels = [smooth_mel(seed, 600) for seed in range(40)]
    again = fit_basis(mels, 80, 48, np.random.default_rng(0))
    assert again.fingerprint == basis.fingerprint


@pytest.mark.parametrize("frames", [1, 20, 38, 39, 45])
def test_speech_shorter_than_a_patch_still_gives_a_basis(frames):
    mels = [smooth_mel(seed, frames) for seed in range(3)]
    basis = fit_basis(mels, 80, 8, np.random.default_rng(0))
    assert basis.components.shape == (8, 80 * 38)
    assert torch.isfinite(basis.components).all() and torch.isfinite(basis.mean).all()


def test_one_recording_of_one_sound_has_no_directions():
    flat = torch.full((80, 500), -0.5)
    basis = fit_basis([flat], 80, 8, np.random.default_rng(0))
    assert not torch.isnan(basis.components).any()
    back = basis.invert(basis.project(torch.full((1, 80, 3000), -0.5)))
    torch.testing.assert_close(back, torch.full((1, 80, 3000), -0.5))


@pytest.mark.parametrize(
    ("tensors", "sizes"),
    [
        ({"mean": torch.zeros(3040)}, {"vectors": "80", "mel_bins": "80"}),
        ({"mean": torch.zeros(3040), "components": torch.zeros(8, 3040)}, {}),
        ({"mean": torch.zeros(3040), "components": torch.zeros(8, 3040)}, {"vectors": "80", "mel_bins": "x"}),
        ({"mean": torch.zeros(3040), "components": torch.zeros(8, 3040)}, {"vectors": "0", "mel_bins": "80"}),
        ({"mean": torch.zeros(3040), "components": torch.zeros(8, 99)}, {"vectors": "80", "mel_bins": "80"}),
        ({"mean": torch.zeros(99), "components": torch.zeros(8, 3040)}, {"vectors": "80", "mel_bins": "80"}),
    ],
)  # fmt: skip
def test_a_file_that_is_no_basis_is_one_line(tmp_path, tensors, sizes):
    save_file(tensors, tmp_path / "b.safetensors", metadata=sizes)
    with pytest.raises(AssetError, match=r"b\.safetensors: not a transparent basis") as error:
        TransparentBasis.load(tmp_path / "b.safetensors")
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_safetensors_is_one_line(tmp_path):
    (tmp_path / "b.safetensors").write_bytes(b"PK\x03\x04 something else")
    with pytest.raises(AssetError, match="not a transparent basis"):
        TransparentBasis.load(tmp_path / "b.safetensors")
