"""Tuning on transformers' Trainer: one forward pass for successes and failures, exact resuming."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from math import ceil
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, Trainer, TrainingArguments

from ltf_lite.engines.torch_unsloth import is_patched
from ltf_lite.harvest.example import Example
from ltf_lite.tuning import checkpoints, losses, methods
from ltf_lite.tuning.data import Batches, rows_of
from ltf_lite.tuning.fold import folded
from ltf_lite.tuning.loading import load_for_tuning, set_threads
from ltf_lite.tuning.settings import AT_ONCE, Lora, TuneSettings, TuningError
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

    `validate(model, tokenizer)` gives the metrics: `success`, and `shortfall` where there are
    floors to keep; the best adapter, in out_dir/adapter, falls shortest of none and has the most
    success. A line a validation is in out_dir/log.jsonl. Killed at any instant and called again
    with the same arguments it goes on from its last checkpoint and ends at the same weights.
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
        "loader": "unsloth" if is_patched(trainer.model) else "transformers",
        "micro_batch": ceil(trainer.settings.batch / trainer.tally.pieces),
        "trainable_parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }


class UFTTrainer(Trainer):
    """transformers' Trainer with our losses, its own counting, and checkpoints that are whole."""

    def __init__(self, model: Any, batches: Batches, settings: TuneSettings, out: Path) -> None:
        self.batches, self.settings, self.out = batches, settings, out
        pieces = 1 if torch.cuda.is_available() else ceil(batches.tokens() / AT_ONCE)
        self.tally, self.mark = Tally(pieces=pieces), time.perf_counter()
        base = model.get_base_model()
        self.method = methods.get_method(settings.method)
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
            data_collator=lambda batch: batch[0],  # an item of the dataset is a micro-batch
            optimizers=(optimizer, schedule),
        )  # fmt: skip
        self.remove_callback(PrinterCallback)
        # learning, forgetting, gradient norm: summed since the last look, on the device
        self.sums = torch.zeros(3, device=self.args.device)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Backward of one micro-batch, in so many pieces as the device has room for.

        A piece's loss is its share of the step's, so that pieces change nothing but rounding. On
        out-of-memory they are halved for good, and the step's micro-batches so far done again:
        what had reached the gradients by then is not known.
        """
        last = inputs["micro_batch"]
        first = last - last % self.settings.accumulation
        if last == first:
            self.before = self.sums.clone()
        wanted = range(last, last + 1)
        while True:
            try:
                for i in wanted:
                    loss = self.backward(model, i)
                return loss
            except torch.OutOfMemoryError as error:
                if self.batches.finest(self.tally.pieces):
                    raise TuningError(
                        "the device has no room for a single example: lower max_length or rank, "
                        "or choose a smaller base"
                    ) from error
                self.tally.pieces *= 2
            model.zero_grad()
            self.sums.copy_(self.before)
            wanted = range(first, last + 1)
            torch.cuda.empty_cache()

    def backward(self, model: Any, micro_batch: int) -> Any:
        """Add a micro-batch's gradients, and its tokens to the tally."""
        loss = torch.zeros((), device=self.args.device)
        success_tokens = failed_tokens = 0
        with folded(model):
            for piece in self.batches.pieces(micro_batch, self.tally.pieces):
                success_tokens += piece["tokens"][0]
                failed_tokens += piece["tokens"][1]
                tensors = {k: v for k, v in piece.items() if isinstance(v, torch.Tensor)}
                piece |= self._prepare_inputs(tensors)
                with self.compute_loss_context_manager():
                    share = self.compute_loss(model, piece)
                self.accelerator.backward(share)
                loss += share.detach()
        self.tally.success_tokens += success_tokens
        self.tally.failed_tokens += failed_tokens
        return loss

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The method's weighted sum of learning and forgetting, from hidden states."""
        parts = self.parts(inputs)
        learning = methods.learning(parts)
        forgetting = self.method.forgetting(parts, self.settings)
        self.sums[:2] += torch.stack([learning, forgetting]).detach()
        weights = self.method.weights(self.settings)
        return weights[0] * learning + weights[1] * forgetting

    def parts(self, inputs: Any) -> methods.Parts:
        """The NLL of every marked token, one forward pass for successes and failures.

        Rows are padded on the right, where causal attention cannot see: no attention mask needed.
        """
        good, rows = inputs["successes"], len(inputs["input_ids"])
        nll, row = self.nll(inputs["input_ids"], inputs["marked"])
        mine = row < good
        bad = methods.Side(nll[~mine], row[~mine] - good, rows - good)
        reference = None
        if self.method.reference and rows > good:
            adapted: Any = self.model
            with torch.no_grad(), adapted.disable_adapter():
                base, _ = self.nll(inputs["input_ids"][good:], inputs["marked"][good:])
            reference = bad._replace(nll=base).sums()
        elif self.method.reference:
            reference = bad.sums()
        return methods.Parts(
            methods.Side(nll[mine], row[mine], good), bad, inputs["totals"], reference
        )

    def nll(self, ids: Any, marked: Any) -> tuple[Any, Any]:
        hidden = self.decoder(input_ids=ids, use_cache=False).last_hidden_state
        return losses.marked_nll(hidden, ids, marked, self.output_head)

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
        per_device_train_batch_size=1,  # an item of the dataset is a micro-batch
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
