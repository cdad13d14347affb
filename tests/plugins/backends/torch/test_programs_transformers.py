"""BERT and GPT-2 of transformers, tiny and with random weights, beside bare loops."""

import numpy as np
import pytest

from onstage.callbacks import EarlyStopping

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from onstage_torch import TorchModel  # noqa: E402
from torch.utils.data import DataLoader  # noqa: E402

SIZES = {"vocab_size": 20, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


def bert():
    config = transformers.BertConfig(**SIZES, intermediate_size=16, max_position_embeddings=8, num_labels=2)
    torch.manual_seed(0)
    return transformers.BertForSequenceClassification(config)


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=8, bos_token_id=0, eos_token_id=0
    )
    torch.manual_seed(0)
    return transformers.GPT2LMHeadModel(config)


def samples(kind):
    """Return dicts as a tokenizer and a collator make them; the last tokens are padding."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(10):
        tokens = torch.randint(1, 20, (6,), generator=generator)
        mask = torch.arange(6) < 6 - number % 3
        labels = torch.tensor(number % 2) if kind is bert else tokens.masked_fill(~mask, -100)
        made.append({"input_ids": tokens, "attention_mask": mask.long(), "labels": labels})
    return made


def loss_in_output(module, x, y):
    output = module(**x, labels=y)
    return output.loss, output


def hits(output, y):
    """Return the share of right classes, or next tokens that are no padding."""
    if output.logits.dim() == 2:
        return (output.logits.argmax(-1) == y).float()
    guessed, right = output.logits[:, :-1].argmax(-1), y[:, 1:]
    return (guessed == right)[right != -100].float().mean()


def adam(parameters):
    return torch.optim.AdamW(parameters, lr=1e-2)


def warm_up(optimizer):
    return transformers.get_linear_schedule_with_warmup(optimizer, 2, 9)


@pytest.mark.parametrize("kind", [bert, gpt2])
def test_a_language_model_ends_with_the_bits_of_the_loop(kind):
    module, loop = kind(), kind()
    loader = DataLoader(samples(kind), 4, shuffle=True)
    model = TorchModel(
        module,
        adam,
        metrics={"accuracy": hits},
        step=loss_in_output,
        labels="labels",
        scheduler=warm_up,
        schedule_on="batch",
        clip_grad_norm=1.0,
        device="cpu",
    )
    torch.manual_seed(1)
    history = model.fit(loader, epochs=3, verbose=0, callbacks=[EarlyStopping("loss", patience=3)])

    optimizer = adam(loop.parameters())
    scheduler = warm_up(optimizer)
    torch.manual_seed(1)
    for _ in range(3):
        loop.train()
        losses, sizes = [], []
        for batch in loader:
            optimizer.zero_grad()
            output = loop(**batch)
            output.loss.backward()
            torch.nn.utils.clip_grad_norm_(loop.parameters(), 1.0)
            optimizer.step()
            scheduler.step()
            losses.append(output.loss.item())
            sizes.append(len(batch["labels"]))

    for (name, mine), theirs in zip(module.state_dict().items(), loop.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name
    assert history.history["loss"][-1] == pytest.approx(np.average(losses, weights=sizes), rel=1e-6)


@pytest.mark.parametrize("kind", [bert, gpt2])
def test_evaluation_and_prediction_are_those_of_the_module(kind):
    module = kind()
    model = TorchModel(module, metrics={"accuracy": hits}, step=loss_in_output, labels="labels", device="cpu")
    batch = next(iter(DataLoader(samples(kind), 10)))

    loss, accuracy = model.evaluate([batch], verbose=0)
    predicted = model.predict([batch], verbose=0)

    with torch.no_grad():
        output = module.eval()(**batch)
    assert loss == pytest.approx(output.loss.item(), rel=1e-6)
    assert accuracy == pytest.approx(hits(output, batch["labels"]).mean().item())
    np.testing.assert_array_equal(predicted["logits"], output.logits.numpy())


def test_weights_are_saved_under_the_names_that_transformers_reads(tmp_path):
    module = bert()

    TorchModel.view(module).save_weights(tmp_path / "model.safetensors")
    module.config.save_pretrained(tmp_path)
    read = transformers.BertForSequenceClassification.from_pretrained(tmp_path)

    for (name, mine), theirs in zip(module.state_dict().items(), read.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name
