"""Every way to multiply gives its pruned matrix's product; blocks by hand; errors."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import SettingError
from course_lib.pipelines.sparse_kernels import DENSE, FORMATS, TWO_FOUR, ZEROS, block_mask, products
from course_lib.pruning import is_n_m, sparsity_of
from course_lib.reproducibility import torch_generator


def operands(size: int = 32, columns: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch_generator(0)
    return tuple(torch.randn(size, width, generator=generator) for width in (size, columns))  # type: ignore[return-value]


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.75])
def test_every_way_gives_the_product_of_its_matrix(sparsity: float, columns: int) -> None:
    weight, x = operands(columns=columns)
    ways = products(weight, x, sparsity)
    assert list(ways) == [*DENSE, *ZEROS, *FORMATS, TWO_FOUR]
    for matrix, call in ways.values():
        expected = matrix.double().numpy() @ x.double().numpy()
        assert np.asarray(call()) == pytest.approx(expected, abs=1e-4)


def test_every_way_has_its_zeros() -> None:
    weight, x = operands()
    matrices = {name: matrix for name, (matrix, _) in products(weight, x, 0.75).items()}
    assert all(torch.equal(matrices[name], weight) for name in DENSE)
    assert all(sparsity_of(matrices[name]) == 0.75 for name in (*ZEROS, *FORMATS))
    assert sparsity_of(matrices[TWO_FOUR]) == 0.5
    assert is_n_m(matrices[TWO_FOUR], 2, 4)


def test_blocks_by_hand() -> None:
    # Norms of the four blocks: √4, √3, 3 and √16.
    weight = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 0], [3, 0, 2, 2], [0, 0, 2, 2]])
    kept = block_mask(weight, 0.5, 2)
    assert kept.tolist() == [[False] * 4, [False] * 4, [True] * 4, [True] * 4]
    assert block_mask(weight, 0.25, 2).int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [1] * 4, [1] * 4]


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 4), st.floats(0, 0.99), st.integers(0, 100))
def test_blocks_go_as_a_whole_and_the_smallest_first(
    rows: int, columns: int, sparsity: float, seed: int
) -> None:
    weight = torch.randn(4 * rows, 4 * columns, generator=torch_generator(seed))
    mask = block_mask(weight, sparsity, 4)
    blocks = mask.numpy().reshape(rows, 4, columns, 4).transpose(0, 2, 1, 3).reshape(-1, 16)
    norms = np.linalg.norm(weight.numpy().reshape(rows, 4, columns, 4), axis=(1, 3)).reshape(-1)
    assert (blocks.all(axis=1) | ~blocks.any(axis=1)).all()
    assert (~blocks[:, 0]).sum() == round(sparsity * rows * columns)
    assert norms[~blocks[:, 0]].max(initial=0) <= norms[blocks[:, 0]].min(initial=np.inf)


def test_blocks_that_do_not_tile() -> None:
    with pytest.raises(SettingError) as error:
        block_mask(torch.ones(8, 6), 0.5, 4)
    assert str(error.value) == "Blocks of 4×4 do not tile a matrix of 8×6; pass sizes that 4 divides."
