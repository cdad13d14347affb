"""Files of a model say what they are, and weights of a similar module load."""

import pytest

from onstage import StateError

torch = pytest.importorskip("torch")

from onstage_torch import TorchModel  # noqa: E402
from torch import nn  # noqa: E402


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".onnx", ".npz", ".PT"])
@pytest.mark.parametrize("method", ["save", "save_weights"])
def test_the_suffix_of_another_format_is_refused(method, suffix, new_model, tmp_path):
    with pytest.raises(ValueError, match=r"got 'net\.\w+': .* name it 'net.safetensors', or write "):
        getattr(new_model(), method)(tmp_path / f"net{suffix}")

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("method", ["load", "load_weights"])
def test_a_file_of_torch_save_is_recognised(method, old_format, new_model, tmp_path):
    model = new_model()
    path = tmp_path / "net.pt"
    torch.save(model.module.state_dict(), path, _use_new_zipfile_serialization=not old_format)

    with pytest.raises(StateError, match=r"is a file of torch.save.*load_state_dict\(torch.load\("):
        getattr(model, method)(path)


def test_another_zip_file_is_not_taken_for_one_of_torch_save(new_model, tmp_path):
    import numpy as np

    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))

    with pytest.raises(StateError, match="cannot be used"):
        new_model().load_weights(tmp_path / "arrays.npz")


def body(head):
    return nn.ModuleDict({"body": nn.Linear(4, 4), head: nn.Linear(4, 2), "scale": nn.Linear(4, 1)})


def test_weights_of_a_module_with_another_head_load_where_they_fit(tmp_path):
    saved, other = body("head"), body("tail")
    other["scale"] = nn.Linear(4, 3)
    TorchModel.view(saved).save_weights(tmp_path / "net.safetensors")
    view = TorchModel.view(other)
    tail = other["tail"].weight.detach().clone()

    with pytest.raises(StateError, match=r"weight 'head\.\w+' is not the module's"):
        view.load_weights(tmp_path / "net.safetensors")
    left = view.load_weights(tmp_path / "net.safetensors", strict=False)

    assert torch.equal(other["body"].weight, saved["body"].weight)
    assert torch.equal(other["tail"].weight, tail)
    assert left.missing_keys == ["tail.weight", "tail.bias"]
    assert left.unexpected_keys == ["head.weight", "head.bias"]
    assert left.mismatched_keys == ["scale.weight", "scale.bias"]


def test_a_file_of_which_nothing_fits_is_refused(tmp_path):
    TorchModel.view(nn.Linear(2, 2)).save_weights(tmp_path / "net.safetensors")

    with pytest.raises(StateError, match="must have a weight that fits the module, got none among 2"):
        TorchModel.view(nn.Linear(3, 3)).load_weights(tmp_path / "net.safetensors", strict=False)


@pytest.mark.parametrize("strict", [True, False])
def test_weights_of_a_compiled_module_and_of_the_module_itself_load_into_each_other(strict, tmp_path):
    plain, other = nn.Linear(3, 2), nn.Linear(3, 2)
    compiled = torch.compile(plain, backend="eager")
    TorchModel.view(compiled).save_weights(tmp_path / "compiled.safetensors")
    TorchModel.view(other).load_weights(tmp_path / "compiled.safetensors", strict=strict)
    assert torch.equal(other.weight, plain.weight)

    third = nn.Linear(3, 2)
    TorchModel.view(third).save_weights(tmp_path / "plain.safetensors")
    TorchModel.view(compiled).load_weights(tmp_path / "plain.safetensors", strict=strict)
    assert torch.equal(plain.weight, third.weight)


def test_the_whole_state_of_a_compiled_module_loads_into_the_module_itself(tmp_path):
    def sgd(parameters):
        return torch.optim.SGD(parameters, lr=0.1)

    x, y = torch.randn(8, 3), torch.arange(8) % 2
    model = TorchModel(torch.compile(nn.Linear(3, 2), backend="eager"), sgd, "cross_entropy", use_ema=True)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.safetensors")

    other = TorchModel(nn.Linear(3, 2), sgd, "cross_entropy", use_ema=True)
    other.load(tmp_path / "model.safetensors")

    assert [each.tolist() for each in other.get_weights()] == [each.tolist() for each in model.get_weights()]
    assert [each.tolist() for each in other.ema_average] == [each.tolist() for each in model.ema_average]
