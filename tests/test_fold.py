"""LoRA folded into its weights: the same numbers as peft's own pass, and only where it is meant."""

import copy
from contextlib import nullcontext

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora.layer import Linear
from transformers import LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from ltf_lite.tiny import pretrain
from ltf_lite.tuning import load_for_tuning
from ltf_lite.tuning.fold import folded, pays, summed
from tests.settings import tuning

IDS = torch.randint(200, (3, 24), generator=torch.Generator().manual_seed(0))


def adapted(rank=32, qwen=False, **changes):
    """A tiny model with an adapter that is not zero; Qwen2's q, k and v have biases."""
    torch.manual_seed(0)
    if qwen:
        config = Qwen2Config(
            vocab_size=256,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
        )
        base = Qwen2ForCausalLM(config)
    else:
        base = LlamaForCausalLM(pretrain.config(64, 2, 128))
    for name, weight in base.named_parameters():
        if name.endswith("bias"):
            weight.data.normal_()
    lora = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM", **changes
    )
    return awake(get_peft_model(base.requires_grad_(False), lora).train())


def awake(model):
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_(0, 0.05)
    return model


def layers(model):
    return [m for m in model.modules() if isinstance(m, Linear)]


def replaced(model):
    """How many of the model's layers have another forward pass just now."""
    return sum("forward" in vars(layer) for layer in layers(model))


def gradients(model, pieces=1, context=folded):
    """The loss of all rows and the adapter's gradients, the rows in so many passes."""
    model.zero_grad()
    loss = 0.0
    with context(model):
        for ids in IDS.tensor_split(pieces):
            share = model(input_ids=ids, labels=ids).loss * len(ids) / len(IDS)
            share.backward()
            loss += share.item()
    return loss, {n: p.grad.clone() for n, p in model.named_parameters() if p.requires_grad}


def plainly(model):
    return gradients(model, context=lambda _: nullcontext())


@pytest.mark.parametrize("qwen", [False, True])
@pytest.mark.parametrize("pieces", [1, 3])
def test_loss_and_gradients_are_those_of_peft(qwen, pieces):
    model = adapted(qwen=qwen)
    with folded(model):
        assert replaced(model) == len(layers(model)) == 14
    loss, grads = gradients(model, pieces)
    other, usual = plainly(model)
    assert loss == pytest.approx(other, rel=1e-5)
    assert all(g.abs().max() > 0 for g in usual.values())
    for name, grad in grads.items():
        torch.testing.assert_close(grad, usual[name], rtol=1e-3, atol=1e-6)


def test_gradients_add_up_over_several_uses():
    model = adapted()
    _, once = gradients(model)
    for _ in range(2):
        with folded(model):
            model(input_ids=IDS, labels=IDS).loss.backward()
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            torch.testing.assert_close(weight.grad, 3 * once[name], rtol=1e-4, atol=1e-6)


def test_a_step_of_the_adapter_is_seen_by_the_next_use():
    model = adapted()
    before = gradients(model)[0]
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            weight.data.normal_()
    after = gradients(model)[0]
    assert after != pytest.approx(before, rel=1e-3)
    assert after == pytest.approx(plainly(model)[0], rel=1e-5)


def test_outside_nothing_is_changed_even_after_an_error():
    model = adapted()
    names, weights = list(model.state_dict()), copy.deepcopy(model.state_dict())

    def fail():
        with folded(model):
            model(input_ids=IDS, labels=IDS).loss.backward()
            raise RuntimeError("no room")

    with pytest.raises(RuntimeError, match="no room"):
        fail()
    assert replaced(model) == 0
    assert all(w.grad is None for w in model.parameters())  # the step is done again from nothing
    gradients(model)
    assert list(model.state_dict()) == names
    assert all(torch.equal(weights[k], v) for k, v in model.state_dict().items())


def test_a_switched_off_adapter_leaves_the_base():
    model = adapted()
    with torch.no_grad():
        with model.disable_adapter():
            base = model(input_ids=IDS).logits
        with folded(model), model.disable_adapter():
            inside = model(input_ids=IDS).logits
        with folded(model):
            tuned = model(input_ids=IDS).logits
    assert torch.equal(inside, base)
    assert not torch.allclose(tuned, base, atol=1e-2)


def test_under_autocast_the_sum_is_not_rounded():
    model = adapted()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        usual = model(input_ids=IDS).logits
        with folded(model):
            assert torch.equal(model(input_ids=IDS).logits, usual)


@pytest.mark.parametrize(
    "changes",
    [{"lora_dropout": 0.1}, {"use_dora": True}, {"rank": 4}],
    ids=["dropout", "DoRA", "low rank"],
)
def test_other_layers_compute_as_before(changes):
    model = adapted(**changes)
    with folded(model):
        assert replaced(model) == 0


def test_bases_in_16_bits_merged_and_several_adapters_compute_as_before():
    half = adapted()
    half.get_base_model().to(torch.bfloat16)
    for layer in layers(half):
        layer.lora_A.float()
        layer.lora_B.float()
    merged = adapted()
    merged.merge_adapter()
    two = adapted()
    two.add_adapter("second", LoraConfig(r=32, target_modules="all-linear"))
    two.base_model.set_adapter(["default", "second"])
    for model in (half, merged, two):
        with folded(model):
            assert replaced(model) == 0


def test_four_bit_layers_compute_as_before(tmp_path):
    from tests import tiny_models

    folder = tiny_models.llama(tmp_path)
    for four_bit, count in ((True, 0), (False, 14)):
        model, _ = load_for_tuning(folder, tuning(rank=32, lora_alpha=32), four_bit)
        with folded(model):
            changed = sum("forward" in vars(module) for module in model.modules())
        assert changed == count


def test_the_rank_from_which_it_pays():
    # 160 · 160 = 25,600 and 4 · rank · 320 = 1,280 rank: from rank 21 on
    ranks = {rank: pays(layers(adapted_square(rank))[0]) for rank in (20, 21)}
    assert ranks == {20: False, 21: True}


def adapted_square(rank):
    base = torch.nn.Sequential(torch.nn.Linear(160, 160))
    return get_peft_model(base, LoraConfig(r=rank, target_modules=["0"]))


@pytest.mark.parametrize("qwen", [False, True])
def test_a_validation_multiplies_by_the_sum_and_leaves_the_weights(qwen):
    model = adapted(qwen=qwen).eval()
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        expected = model(input_ids=IDS).logits
        with summed(model):
            assert replaced(model) == len(layers(model))
            torch.testing.assert_close(model(input_ids=IDS).logits, expected, rtol=1e-4, atol=1e-4)
    assert replaced(model) == 0
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, before[name])


def test_the_sum_is_rounded_to_the_weights_as_a_merge_does_it():
    model = adapted().eval()
    for layer in layers(model):
        layer.base_layer.to(torch.bfloat16)
    layer = layers(model)[0]
    up, down = layer.lora_B["default"].weight, layer.lora_A["default"].weight
    merged = (layer.base_layer.weight.float() + layer.scaling["default"] * up @ down).bfloat16()
    x = torch.randn(3, merged.shape[1]).bfloat16()
    with torch.no_grad(), summed(model):
        torch.testing.assert_close(layer(x), torch.nn.functional.linear(x, merged))


def test_a_layer_with_dropout_or_another_adapter_is_left_alone():
    with summed(model := adapted(lora_dropout=0.1)):
        assert replaced(model) == 0
