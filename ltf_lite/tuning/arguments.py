"""What transformers' Trainer is told."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import TrainingArguments

from ltf_lite.core.device import device
from ltf_lite.tuning.settings import Tuning

CLIP = 1.0


def arguments(tuning: Tuning, folder: Path) -> TrainingArguments:
    """transformers' settings; what differs from its defaults for speed or for us is said here."""
    at = device()
    told = TrainingArguments(
        output_dir=str(folder),
        max_steps=tuning.steps,
        per_device_train_batch_size=1,  # an item of the dataset is a micro-batch
        gradient_accumulation_steps=tuning.accumulation,
        max_grad_norm=CLIP,
        save_strategy="steps",
        save_steps=tuning.eval_every,
        logging_strategy="no",
        logging_nan_inf_filter=False,  # would wait for the device at every step; `guard` looks
        remove_unused_columns=False,
        use_cpu=at == "cpu",
        bf16=at == "cuda",
        use_cache=True,  # for generation in validate; the training pass switches it off itself
        report_to=list(tuning.report_to) or "none",
        project="ltf_lite",
        run_name=folder.resolve().parents[1].name,
        disable_tqdm=True,
        seed=tuning.seed or 0,
    )
    told._n_gpu = min(1, told.n_gpu)  # one GPU: no silent DataParallel
    if at == "cpu":  # of several processes it is "cpu:0", where torch restores no checkpoint
        vars(told)["_setup_devices"] = torch.device("cpu")
    return told
