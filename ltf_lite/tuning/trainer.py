"""UFT on transformers' Trainer: one forward pass for successes and failures, exact resuming."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from ltf_lite.harvest.example import Example
from ltf_lite.tuning import checkpoints, losses
from ltf_lite.tuning.data import Batches, rows_of
from ltf_lite.tuning.loading import load_for_tuning, set_threads
from ltf_lite.tuning.settings import Lora, TuneSettings
from ltf_lite.tuning.watch import Progress, Tally, Validate, Watch, rate_share

CLIP = 1.0


def tune(
    model: str | Path,
    examples: Sequence[Example],
    out_dir: str | Path,
    settings: TuneSettings,
    validate: Validate,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Tune an adapter for the model on the examples and keep the one that validates best.

    `validate(model, tokenizer)` gives the metrics, `success` among them; the best adapter is in
    out_dir/adapter, a line a validation in out_dir/log.jsonl. Killed at any instant and called
    again with the same arguments it goes on from its last checkpoint and ends at the same weights.
    Raises TuningError if it cannot start or the losses explode.
    """
    out = Path(out_dir)
    checkpoints.claim(out, str(model), examples, settings)
    if (out / "result.json").exists():
        return json.loads((out / "result.json").read_text())
    set_threads(settings.threads)
    lora = Lora(settings.rank, settings.lora_alpha, settings.dropout, settings.targets)
    tuned, tokenizer = load_for_tuning(
        model, lora, settings.load_in_4bit, settings.max_length, settings.seed
    )
    successes, failures, dropped = rows_of(examples, tokenizer, settings.max_length)
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    batches = Batches(successes, failures, settings, pad)
    trainer = UFTTrainer(tuned, batches, settings, out)
    trainer.add_callback(Watch(trainer, tokenizer, validate, progress))
    trainer.train(resume_from_checkpoint=trainer.recover())
    result = {**outcome(trainer), "dropped": dropped}
    checkpoints.write_json(out / "result.json", result)
    return result


def outcome(trainer: UFTTrainer) -> dict[str, Any]:
    """What a finished run says of itself: its best step, and its cost."""
    best = json.loads((trainer.out / "adapter" / checkpoints.BEST).read_text())
    tally, model = trainer.tally, trainer.model_wrapped
    return {
        "step": best["step"],
        "validation": best["validation"],
        "seconds": tally.seconds,
        "tokens": {"success": tally.success_tokens, "failed": tally.failed_tokens},
        "tokens_per_second": (tally.success_tokens + tally.failed_tokens) / tally.seconds,
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


class UFTTrainer(Trainer):
    """transformers' Trainer with the UFT loss, its own counting, and checkpoints that are whole."""

    def __init__(self, model: Any, batches: Batches, settings: TuneSettings, out: Path) -> None:
        self.settings, self.out = settings, out
        self.tally, self.mark = Tally(), time.perf_counter()
        base = model.get_base_model()
        self.decoder, self.output_head = base.model, base.get_output_embeddings()
        weights = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            weights, lr=settings.learning_rate, betas=settings.betas,
            weight_decay=settings.weight_decay, fused=True,
        )  # fmt: skip
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_share(step, settings)
        )
        super().__init__(
            model, arguments(settings, out / "checkpoints"), train_dataset=batches,
            data_collator=lambda batch: batch[0],  # the dataset's items are whole batches
            optimizers=(optimizer, schedule),
        )  # fmt: skip
        self.remove_callback(PrinterCallback)
        # learning, forgetting, gradient norm: summed since the last look, on the device
        self.sums = torch.zeros(3, device=self.args.device)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Backward of one micro-batch; its loss is already a share of the step's, so unscaled."""
        self.tally.success_tokens += inputs["tokens"][0]
        self.tally.failed_tokens += inputs["tokens"][1]
        inputs = self._prepare_inputs(inputs)
        with self.compute_loss_context_manager():
            loss = self.compute_loss(model, inputs)
        self.accelerator.backward(loss)
        return loss.detach()

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """(1 - alpha) · learning + alpha · forgetting, from hidden states.

        Rows are padded on the right, where causal attention cannot see: no attention mask needed.
        """
        hidden = self.decoder(input_ids=inputs["input_ids"], use_cache=False).last_hidden_state
        learning, forgetting = losses.both(
            hidden, inputs["input_ids"], inputs["learn_mask"], inputs["forget_mask"],
            self.output_head, inputs["totals"],
        )  # fmt: skip
        self.sums[:2] += torch.stack([learning, forgetting]).detach()
        return losses.uft(learning, forgetting, self.settings.alpha)

    def _clip_grad_norm(self, model: Any) -> Any:
        norm = super()._clip_grad_norm(model)
        self.sums[2] += norm
        return norm

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # walks all parameters, at every step

    def look(self, steps: int) -> tuple[float, float, float]:
        """Mean learning and forgetting loss and gradient norm of the last steps; starts anew."""
        learning, forgetting, norm = self.sums.tolist()
        self.sums.zero_()
        now = time.perf_counter()
        self.tally.seconds, self.mark = self.tally.seconds + now - self.mark, now
        self.tally.learning += learning
        self.tally.forgetting += forgetting
        self.tally.summed += steps
        return learning / steps, forgetting / steps, norm / steps

    def recover(self) -> str | None:
        """The checkpoint to go on from, the rest of the directory brought in line with it."""
        checkpoints.settle(self.out / "adapter")
        last = checkpoints.last_checkpoint(self.out / "checkpoints")
        if last is not None:
            self.tally = Tally(**json.loads((last / checkpoints.TALLY).read_text()))
        step = int(last.name.partition("-")[2]) if last else 0
        checkpoints.rewind(self.out / "log.jsonl", step)
        return str(last) if last else None

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.out / "checkpoints" / checkpoints.PARTIAL)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        written = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        checkpoints.write_json(written / checkpoints.TALLY, asdict(self.tally))
        checkpoints.commit(written, self.out / "checkpoints")

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        # The embeddings are the base's; asked to decide, peft looks the base up on the Hub.
        model: Any = self.model
        model.save_pretrained(output_dir, save_embedding_layers=False)


def arguments(settings: TuneSettings, folder: Path) -> TrainingArguments:
    """transformers' settings; what differs from its defaults for speed or for us is said here."""
    cuda = torch.cuda.is_available()
    told = TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.steps,
        per_device_train_batch_size=1,  # one item of the dataset is one batch
        gradient_accumulation_steps=settings.accumulation,
        max_grad_norm=CLIP,
        save_strategy="steps",
        save_steps=settings.eval_every,
        logging_strategy="no",
        logging_nan_inf_filter=False,  # would wait for the device at every step; `guard` looks
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        use_cpu=not cuda,
        bf16=cuda,
        use_cache=True,  # for generation in validate; the training pass switches it off itself
        report_to="none",
        disable_tqdm=True,
        seed=settings.seed,
    )
    told._n_gpu = min(1, told.n_gpu)  # one GPU: no silent DataParallel
    return told
