"""Tuning on transformers' Trainer: one forward pass for successes and failures, exact resuming."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer

from ltf_lite.core.device import cuda
from ltf_lite.core.errors import naming
from ltf_lite.core.files import read_as, write_as
from ltf_lite.core.ranks import ranks
from ltf_lite.engines import Dialect
from ltf_lite.engines.torch.precision import precision_of
from ltf_lite.engines.torch.unsloth import is_patched
from ltf_lite.harvest.example import Example
from ltf_lite.tuning import checkpoints, trackers
from ltf_lite.tuning.arguments import arguments
from ltf_lite.tuning.attention import attending, packs
from ltf_lite.tuning.beside import beside
from ltf_lite.tuning.checkpoints import TuningFolder
from ltf_lite.tuning.data import Batches, replay_of, rows_of
from ltf_lite.tuning.fold import folded
from ltf_lite.tuning.forward import Forward
from ltf_lite.tuning.loading import load_for_tuning, set_threads
from ltf_lite.tuning.packing import Piece
from ltf_lite.tuning.settings import AT_ONCE, Tuning, TuningError
from ltf_lite.tuning.together import at_once, side_by_side
from ltf_lite.tuning.types import Best, Sides, Tally, TuningResult, rewind_log
from ltf_lite.tuning.watch import Look, OnProgress, Validate, Watch, rate_share


def tune(
    model: str | Path,
    examples: Sequence[Example],
    out_dir: str | Path,
    tuning: Tuning,
    validate: Validate,
    progress: OnProgress = lambda _: None,
    *,
    load_in_4bit: bool = False,
    threads: int = 1,
    dialect: Dialect,
    replay: Sequence[Example] = (),
) -> TuningResult:
    """Tune an adapter for the model on the examples and keep the one that validates best.

    The examples' prompts are written in `dialect`; `replay` is what the base said while it
    searched. `validate(model, tokenizer)` judges a checkpoint: the best adapter falls shortest of
    its floors and has the most success. It lies in out_dir, with a log of one line a validation.
    `threads` 0 leaves torch's own choice. Killed at any instant and called again with the same
    arguments it goes on from its last checkpoint and ends at the same weights. Called in each of
    several processes of torch's launcher, they share every step. Raises TuningError if it cannot
    start or the losses explode.
    """
    folder, own = TuningFolder(Path(out_dir)), ranks()
    if own.first:
        every = chain(examples, replay)
        checkpoints.claim(folder, str(model), every, tuning, load_in_4bit, dialect)
    if folder.result.exists():
        return read_as(folder.result, TuningResult)
    set_threads(threads)
    tuned, tokenizer = load_for_tuning(model, tuning, load_in_4bit)
    successes, failures, dropped = rows_of(examples, tokenizer, tuning.max_length, dialect)
    again = replay_of(replay, tokenizer, tuning.max_length, dialect)
    pad = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    batches = Batches(successes, failures, tuning, pad, packs(tuned, tuning), again, own)
    trackers.keep_in(folder.tracker, tuning.report_to)
    trainer = UFTTrainer(tuned, batches, tuning, folder.path)
    trainer.add_callback(Watch(trainer, tokenizer, validate, progress))
    trainer.train(resume_from_checkpoint=trainer.recover())
    result = outcome(trainer, dropped)
    if own.first:
        write_as(folder.result, result)
    return result


def outcome(trainer: UFTTrainer, dropped: Sides) -> TuningResult:
    """What a finished run says of itself: its best step, and its cost."""
    best = read_as(trainer.folder.best, Best)
    tally, model = trainer.tally, trainer.model_wrapped
    tokens = Sides(tally.success_tokens, tally.failed_tokens, tally.replay_tokens)
    return TuningResult(
        step=best.step,
        validation=best.validation,
        seconds=tally.seconds,
        tokens=tokens,
        tokens_per_second=tokens.total / tally.seconds,
        padding=1 - tokens.total / max(1, tally.computed),
        precision=precision_of(trainer.model),
        loader="unsloth" if is_patched(trainer.model) else "transformers",
        micro_batch=ceil(trainer.tuning.batch / (tally.pieces * trainer.ranks.world)),
        trainable_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        dropped=dropped,
    )


class UFTTrainer(Trainer):
    """transformers' Trainer with our losses, its own counting, and checkpoints that are whole."""

    def __init__(self, model: Any, batches: Batches, tuning: Tuning, out: Path) -> None:
        self.batches, self.tuning, self.folder = batches, tuning, TuningFolder(out)
        self.ranks = batches.ranks
        pieces = 1 if cuda() else ceil(batches.tokens() / AT_ONCE)
        self.tally, self.mark = Tally(pieces=pieces), time.perf_counter()
        context = self.compute_loss_context_manager
        self.forward = Forward(model, batches, tuning, self.placed, context)
        self.pool = None if tuning.reference else side_by_side(model.get_base_model())
        weights = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            weights,
            lr=tuning.learning_rate,
            betas=tuning.betas,
            weight_decay=tuning.weight_decay,
            fused=True,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: rate_share(step, tuning)
        )
        super().__init__(
            model,
            arguments(tuning, self.folder.checkpoints),
            train_dataset=batches,
            data_collator=lambda batch: batch[0],  # an item of the dataset is a micro-batch
            optimizers=(optimizer, schedule),
        )
        self.remove_callback(PrinterCallback)
        # learning, forgetting, replay, gradient norm: summed since the last look, on the device
        self.sums = torch.zeros(4, device=self.args.device)
        # tokens computed, of successes, failures and replay, since then
        self.counts = [0, 0, 0, 0]

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """Backward of one micro-batch, in so many pieces as the device has room for.

        A piece's loss is its share of the step's, so that pieces change nothing but rounding. On
        out-of-memory they are halved for good, and the step's micro-batches so far done again:
        what had reached the gradients by then is not known.
        """
        last = inputs["micro_batch"]
        first = last - last % self.tuning.accumulation
        if last == first:
            self.before = self.sums.clone(), list(self.counts), self.tally.learn, self.tally.forget
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
            self.sums.copy_(self.before[0])
            self.counts = list(self.before[1])
            self.tally.learn, self.tally.forget = self.before[2:]
            wanted = range(first, last + 1)
            torch.cuda.empty_cache()

    def backward(self, model: Any, micro_batch: int) -> Any:
        """Add a micro-batch's gradients, and its tokens to the tally."""
        pieces = [self.placed(p) for p in self.batches.pieces(micro_batch, self.tally.pieces)]
        if self.tuning.replay:
            self.forward.base.prepare(micro_batch // self.tuning.accumulation)
        widest = max((piece.ids for piece in pieces), key=lambda ids: ids.shape[1])
        # What is computed once more in the backward pass has to be computed alike.
        with (
            folded(model, self.pool) as sums,
            beside(model),
            attending(self.forward.config, widest),
        ):
            loss = self.add_gradients(model, pieces, sums)
        for piece in pieces:
            told = piece.tokens
            own = piece.ids.numel(), told.success, told.failed, told.replay
            self.counts = [so_far + now for so_far, now in zip(self.counts, own, strict=True)]
        self.tally.learn += pieces[0].totals.learn
        self.tally.forget += pieces[0].totals.forget
        return loss

    def add_gradients(self, model: Any, pieces: Sequence[Piece], sums: Sequence[Any]) -> Any:
        """The loss of the pieces; their gradients reach weights and folded `sums` in this order."""
        wanted = [*sums, *(p for p in model.parameters() if p.requires_grad)]

        def one(piece: Piece) -> tuple[Any, Any, Sequence[Any]]:
            with self.compute_loss_context_manager():
                share, terms = self.forward.loss_of(piece)
            if self.pool is not None:  # threads must not add to the same gradients
                slopes = torch.autograd.grad(share, wanted, allow_unused=True)
                return share.detach(), terms, slopes
            self.accelerator.backward(share)
            return share.detach(), terms, ()

        loss = torch.zeros((), device=self.args.device)
        for share, terms, slopes in at_once(one, pieces, self.pool):
            loss += share
            self.sums[:3] += terms
            for weight, slope in zip(wanted, slopes, strict=False):
                if slope is not None:
                    weight.grad = slope if weight.grad is None else weight.grad.add_(slope)
        return loss

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """What transformers' Trainer calls it."""
        return self.forward.loss_of(inputs)[0]

    def placed(self, piece: Piece) -> Piece:
        """The piece on the device."""
        ids, marked = (self._prepare_input(tensor) for tensor in (piece.ids, piece.marked))
        return replace(piece, ids=ids, marked=marked)

    def get_train_dataloader(self) -> Any:
        """The numbers of all micro-batches: every process has its part of each."""
        return DataLoader(self.batches, collate_fn=self.data_collator)

    def _clip_grad_norm(self, model: Any) -> Any:
        """Add up what all devices found, each a share of the step's mean, and clip the sum."""
        self.ranks.add_up([p.grad for p in model.parameters() if p.grad is not None])
        norm = super()._clip_grad_norm(model)
        self.sums[3] += norm
        return norm

    def floating_point_ops(self, inputs: Any) -> int:
        return 0  # walks all parameters, at every step

    def look(self, steps: int) -> Look:
        """Mean losses and gradient norm of the last steps; starts anew."""
        self.ranks.add_up([self.sums[:3]])
        counts = torch.tensor(self.counts, device=self.sums.device)
        self.ranks.add_up([counts])
        followed, forgotten, again, norm = self.sums.tolist()
        computed, good, bad, said = counts.tolist()
        self.sums.zero_()
        self.counts = [0, 0, 0, 0]
        tally, now = self.tally, time.perf_counter()
        tally.seconds, self.mark = tally.seconds + now - self.mark, now
        tally.learning += followed
        tally.forgetting += forgotten
        tally.replay += again
        tally.summed += steps
        tally.computed += computed
        tally.success_tokens += good
        tally.failed_tokens += bad
        tally.replay_tokens += said
        return Look(*(each / steps for each in (followed, forgotten, again, norm)))

    def recover(self) -> str | None:
        """The checkpoint to go on from, the rest of the directory brought in line with it."""
        if self.ranks.first:
            checkpoints.settle(self.folder.adapter)
        if self.ranks.first and self.ranks.world > 1:  # removes what is not whole
            checkpoints.last_checkpoint(self.folder.checkpoints)
        self.ranks.wait()
        last = checkpoints.last_checkpoint(self.folder.checkpoints)
        if last is not None:
            self.tally = read_as(last / checkpoints.TALLY, Tally)
        if self.ranks.first:
            rewind_log(self.folder.log, int(last.name.partition("-")[2]) if last else 0)
        self.ranks.wait()
        return str(last) if last else None

    def _get_output_dir(self, trial: Any) -> str:
        return str(self.folder.checkpoints / checkpoints.PARTIAL)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        written = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        try:
            with naming(self.folder.checkpoints / written.name):
                super()._save_checkpoint(model, trial)
                self.ranks.wait()
            if self.ranks.first:
                write_as(written / checkpoints.TALLY, self.tally)
        except OSError:
            shutil.rmtree(written.parent, ignore_errors=True)  # a full disk has its room again
            raise
        if self.ranks.first:
            checkpoints.commit(written, self.folder.checkpoints)
        self.ranks.wait()

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        checkpoints.save_adapter(self.model, Path(output_dir or self.folder.checkpoints))
