"""Everything the app says, in English. Pictures, reasoners and tasks have their own words."""

from ltf_lite.app.web.english_asked import ASKED
from ltf_lite.report.figures.drawing import WORDS as FIGURE
from ltf_lite.report.tree.svg import WORDS as TREE

WORDS = {
    **{f"figure.{word}": text for word, text in FIGURE.items()},
    **{f"tree.{word}": text for word, text in TREE.items()},
    **ASKED,
    "subtitle": "Trains a small model to answer at once what it otherwise finds only by search.",
    "failed": "Something failed ({kind}); the log of the app says more.",
    "bounds": "{name} must be a whole number from {low} to {high}, not {value}",
    "too_long": "a problem may have {most} characters at most",
    "no_task": "there is no such task here; there are {tasks}",
    "no_way": "there is no such search here; there are {ways}",
    "as_table": "As a table",
    "in_detail": "In detail",
    "refresh": "Refresh",
    "stop": "Stop",
    "language": "English",
    "languages": "Language",
    # What a run came to
    "first.title": "No trained model yet",
    "first.none": "Train one to see here what that changes.",
    "first.shipped": (
        "Below you can already compare a small example model that was trained before and comes "
        "with ltf_lite. Train your own to see here what it solves, measured on many problems."
    ),
    "first.unfinished": (
        "This run has no result yet: its model is measured on test problems at the end."
    ),
    "first.finishing": "This run is still being finished: {stage}.",
    "first.not_finished": (
        "This run stopped before its end: {stage}. The Train tab goes on with it."
    ),
    "first.train": "Train the example model ({time})",
    "first.lead": "Run {run}, measured on {n} test problems that no training saw",
    "first.before": "Before training: one answer",
    "first.after": "After training: one answer",
    "first.search": "Before training: search ({way})",
    "first.as_it_was": "The model as it was.",
    "first.solved": "solved",
    "first.interval": "[{low} to {high}]",
    "first.few": "Only {n} problems: too few to conclude anything.",
    "against.first.more": "Better than before by {points} points [{low} to {high}].",
    "against.first.less": "Worse than before by {points} points [{low} to {high}].",
    "against.first.same": "Not told apart from before: {points} points [{low} to {high}].",
    "against.search.more": (
        "Still solves more: {points} points above the trained model [{low} to {high}]."
    ),
    "against.search.less": (
        "Solves no more: {points} points below the trained model [{low} to {high}]."
    ),
    "against.search.same": (
        "Not shown to solve more: a difference of {points} points [{low} to {high}]."
    ),
    "first.picture": "In one picture: {told}",
    "first.fewer": "Measured on {n} of these problems.",
    "first.times": "It writes {times} times the tokens.",
    "banner.working": "{run} is being trained: step {step} of {of}",
    "banner.watch": "Watch it",
    "banner.done": "{run} is trained.",
    "banner.compare": "Compare it",
    "banner.ended": "The training of {run} has stopped before its end.",
    # Compare
    "tab.compare": "Compare",
    "compare.button": "Compare",
    "task": "Task",
    "task.info": "Or type reasoning-gym:NAME, such as reasoning-gym:gcd",
    "task.of_run": "{task} (run {run})",
    "problem": "Problem",
    "problem.hint": "Type a problem of your own",
    "examples": "Try:",
    "settings": "Settings: task, models, search and its limits",
    "no_problem": "{why}. {how}",
    "how.countdown": "Write the numbers, then the target, like: 44 41 4 23 -> 66",
    "how.game24": "Write four numbers, like: 4 7 8 8",
    "question.countdown": "Make {target} from {numbers}. Use every number once.",
    "question.game24": "Make {target} from {numbers}. Use every number once.",
    "question.end": ". ",
    "question.none": "This is no problem of the task yet.",
    "unlike": (
        "The trained model learnt problems of {learnt} numbers and was never shown one of {n}: "
        "it is likely to fail here."
    ),
    "draw": "Another problem",
    "example": "{task}: {problem}",
    "seed": "Seed",
    "before.title": "Before training: one answer",
    "before.empty": "The answer of the model as it was appears here.",
    "single.title": "After training: one answer",
    "single.model": "Trained model",
    "single.empty": "The answer of the trained model appears here.",
    "model.smollm2": "smollm2, real (135 M, Q4_1)",
    "model.tiny-base": "tiny-base, before training",
    "model.tiny-tuned": "tiny-tuned, after training",
    "search.title": "Before training: search",
    "search.of": "Before training: search ({way})",
    "search.model": "Model before training",
    "search.way": "Search",
    "search.empty": "What the model before training finds by search appears here.",
    "way.single-pass": "One answer",
    "answer.sample": "one of {n} samples",
    "answer.self_consistency": "most frequent of {n} answers",
    "answer.best_of_n": "likeliest of {n} answers",
    "answer.oracle": "the right one of {n} answers, if any (upper bound)",
    "way.self-consistency": "Self-consistency (most frequent answer)",
    "way.best-of-n": "Best of n (the model's likeliest)",
    "way.oracle": "Best of n (the verifier picks: upper bound)",
    "slider.n": "Samples",
    "slider.beam": "Beam",
    "slider.iterations": "Iterations",
    "slider.budget": "Most tokens",
    "state.waiting": "waiting …",
    "state.loading": "loading the model …",
    "state.running": "running …",
    "state.stopped": "stopped",
    "state.done": "done",
    "state.failed": "failed:",
    "verdict.better": "Better.",
    "verdict.worse": "Worse.",
    "verdict.same": "Not told apart.",
    "verdict.search": "The search before training ({way}): {told}",
    "verdict.busy": (
        "Other work shared the machine: the evaluations had a CPU for {share} % of their time, so "
        "times are longer than on a quiet one."
    ),
    "verdict.budget": (
        "With {budget} tokens a problem the search before training solves {search} %; one answer "
        "after training solves {single} % with {tokens}."
    ),
    "verdict.learning": (
        "Of the problems kept for validation, one answer solves {after} % after training and "
        "{before} % before."
    ),
    "verdict.kept": "{way} after training: {points} points [{low} to {high}] against before.",
    "verdict.failures": (
        "Of one answer, the kind of failure that changed most is “{kind}”: {points} points."
    ),
    "verdict.never": "That search costs no more than one answer after training.",
    "verdict.pays.better": (
        "After {n} questions training has cost less than the search, and it solves more."
    ),
    "verdict.pays.worse": (
        "After {n} questions training has cost less than the search, but it solves less."
    ),
    "verdict.pays.same": (
        "After {n} questions training has cost less than the search; which of the two solves more "
        "these problems can't tell."
    ),
    "verdict.price": "The price of {price} an hour of this machine is an assumption.",
    "verdict.solved": "Solved",
    "verdict.not_solved": "Not solved:",
    "verdict.open": "No verdict:",
    "verdict.nothing": "no answer was given.",
    "verdict.step": "step {step}, “{line}”, loses it.",
    "verdict.missing": "step {step} is missing.",
    "step.fatal": "← lost here",
    "step.missing": "← missing",
    "metric.seconds": "time",
    "metric.first_token": "first token after",
    "metric.speed": "tokens a second",
    "metric.tokens": "tokens",
    "metric.calls": "engine calls",
    "metric.paths": "right paths",
    "metric.runtime": "engine",
    "metric.model": "model",
    "metric.paths_of": "{right} of {paths}",
    "ratio.sentence": (
        "The search wrote {search} tokens, the trained model {single}: {times} times as many."
    ),
    "ratio.seconds": "It took {times} times as long.",
    "ratio.engines": "(Two engines: their times are not compared.)",
    "verdict.unchecked": "Who is right could not be checked.",
    "solved.000": "None of the three solved it.",
    "solved.001": "Only the search solved it.",
    "solved.010": "Only the trained model solved it, in one answer; the search did not.",
    "solved.011": "The trained model solves in one answer what needed search before.",
    "solved.100": "Only the model before training solved it.",
    "solved.101": "The trained model missed what was solved before training.",
    "solved.110": "One answer is enough, before training and after; the search missed it.",
    "solved.111": "All three solved it.",
    "pane.more": "More numbers",
    "tree.as_text": "The tree as text ({n} nodes)",
    "tree.nodes": "The searched tree, {n} nodes; scroll to see all",
    "searched.title": "How the search went",
    "searched.legend": (
        "A box is a step, the thick path leads to the answer. “value” is how promising the search "
        "judged a step: it goes on from those with the highest."
    ),
    "searched.smaller": "Smaller",
    "searched.fit": "Fit the whole tree",
    "searched.larger": "Larger",
    "batch.title": "Compare on many problems",
    "batch.intro": (
        "Random test problems of the task, one after the other, each asked alone, with the models "
        "and the search chosen above. Bands are 95 % intervals."
    ),
    "batch.count": "Problems",
    "batch.button": "Compare on many",
    "batch.waiting": "waiting for the first answers …",
    "batch.none": "Stopped before the first problem was answered.",
    # Who waits for others
    "state.ahead": "{n} before you",
    "queue.full": "{n} visitors compare now: yours begins by itself as soon as there is room.",
    # Your task
    "tab.own": "Your task",
    "own.intro": (
        "Bring questions with their answers: a file of {endings}, at most {most} MB, with a column "
        "for the question and one for the answer; {files} files are kept. A Python file is never "
        "uploaded or named here, and runs only as the task of a run that was started elsewhere: "
        "begin with `ltf task check my_task.py`."
    ),
    "own.file": "File of questions",
    "own.upload": "Upload",
    "own.check": "Check",
    "own.pilot_intro": (
        "A pilot asks a model some training problems in each way. It tells in minutes whether "
        "search helps, and whether training is likely to pay. It goes on when this page is closed."
    ),
    "own.model": "Model to ask",
    "own.pilot": "Pilot",
    "own.started": "The pilot is under way.",
    "own.stopped": "The pilot was stopped.",
    "own.was_stopped": "The last pilot was stopped before its end.",
    "own.working": "The pilot is asking the model …",
    "own.no_pilot": "There is no pilot of this task yet: start one first.",
    "own.train": "Start training from it",
    "upload.kept": "Kept as {name} in {folder}, and chosen below.",
    "upload.none": "Choose a file first.",
    "upload.ending": "The file's name must end in one of {endings}.",
    "upload.large": "A file may have {most} MB at most, also unpacked in reason.",
    "upload.empty": "The file is empty.",
    "upload.many": "There are {most} files already: remove one from the folder tasks of the runs.",
    "upload.unwritable": "The folder tasks of the runs can't be written.",
    "upload.full_disk": "The disk is full.",
    "upload.broken": "The file did not arrive whole.",
    "upload.busy": "Other files are arriving: try once more in a moment.",
    "upload.token": "This page is of an app that was closed since: load it anew.",
    "check.passed": "the check passed",
    "check.failed": "the check FAILED",
    "check.problems": "Problems looked at: {splits}.",
    "check.prompt_length": "Prompts have {low} to {high} characters, {middle} in the middle.",
    "check.path_length": "Right answers have {low} to {high} characters, {middle} in the middle.",
    "check.right": "called right",
    "check.must": "must be",
    "check.undecided": "undecided",
    "check.all": "all",
    "check.none": "none",
    "check.golds": "right answers",
    "check.others": "answers of other problems",
    "check.probes": "texts without an answer",
    "check.text": "Text",
    "check.said": "The verifier said",
    "check.against": "Verdicts that went against it ({n})",
    "check.prompts": "What a model is asked ({dialect})",
    "check.more": "{n} more prompts",
    "pilot.asked": (
        "{n} training problems of {task}, asked of {model} ({engine}) in {time}. Tokens are "
        "written and seconds taken a problem, asked in bulk."
    ),
    "pilot.measured": "What was measured",
    "pilot.way": "way",
    "pilot.rate": "right",
    "pilot.interval": "95 % interval",
    "pilot.tokens": "tokens",
    "pilot.seconds": "seconds",
    "pilot.headroom": "Headroom, the oracle less the single pass: {points} points {interval}.",
    "pilot.kinds": "How the paths ended: {kinds}.",
    "pilot.few": "Only {n} problems: with fewer than 30, nothing can be concluded.",
    "pilot.left_out": "The tree search was left out: {why}.",
    "pilot.run": "What a training would be",
    "pilot.planned": (
        "On {base}: {problems} problems, about {successes} successes, {steps} steps of tuning."
    ),
    "pilot.time": "Estimated, not measured: {total} here ({parts}).",
    "pilot.no_time": "Its time is not estimated: this model tells no reading speed.",
    "pilot.memory": "Memory of tuning: about {peak}.",
    "pilot.free": "Memory of tuning: about {peak}, which is free here.",
    "pilot.not_free": "Memory of tuning: about {peak}, which is NOT free here.",
    "pilot.no_memory": "Memory of tuning: not known, as {base} tells no shape here.",
    "pilot.break_even": "Break-even against {search}: about {questions} questions.",
    "pilot.preset": "The preset",
    "advice.worth_it": "Training is worth a try",
    "advice.no_headroom": "Training would add little",
    "advice.cannot_tell": "More problems would tell",
    "advice.too_weak": "Take a stronger model first",
    "advice.too_few": "Bring more problems first",
    "advice.undecided": "Mend the verifier first",
    # Runs
    "tab.runs": "Runs",
    "runs.intro": "What `ltf train` made: read from the records of each run.",
    "runs.run": "Run",
    "runs.none": "There is no run yet. Here its results will stand. Make one:",
    "runs.stages": "Stages",
    "runs.stage": "stage",
    "runs.status": "status",
    "runs.time": "time",
    "runs.memory": "peak memory",
    "runs.no_results": "No results yet: the base is evaluated first, the tuned model at the end.",
    "runs.curves": "Learning curves",
    "runs.kinds": "What happened to the paths",
    "runs.change": "Which failures went away, and which came",
    "runs.report": "Open the report",
    "runs.files": "Models to download (GGUF)",
    "runs.no_files": "No GGUF file yet: it comes with the stage `export`.",
    "status.waiting": "waiting",
    "status.running": "running",
    "status.done": "done",
    "status.failed": "failed",
    "status.stopped": "stopped",
    # Train
    "tab.train": "Train",
    "train.intro": (
        "Train a preset as a process of its own: it goes on when this page, or the app, is closed. "
        "Stopped or killed, it goes on where it stopped."
    ),
    "train.preset": "Preset",
    "train.start": "Start",
    "train.go_on": "Go on",
    "train.takes": "It takes {time} (measured).",
    "train.about": "{about}.",
    "train.no_time": "How long it takes was not measured.",
    "train.cannot": "This preset can't be trained here.",
    "train.done": "Compare the trained model with what it was",
    "train.needs": "What it needs",
    "train.started": "{preset} is being trained.",
    "train.finished": "{preset} was trained before: nothing is left to do.",
    "train.stopped": "{preset} was stopped. “Go on” goes on where it stopped.",
    "train.never": "This preset was not run here yet.",
    "train.working": "running, {done} of {total} stages done",
    "train.idle": "not running, {done} of {total} stages done",
    "train.left": "{left} left",
    "train.log": "Log",
    "train.no_presets": "There are no presets in ./presets.",
    # Failures
    "tab.failures": "Failures",
    "failures.intro": (
        "Failed paths that the search came across, each with the step where it went wrong. A model "
        "tuned by uft unlearns them; one tuned by sft only learns the right paths."
    ),
    "failures.kind": "Kind",
    "failures.reasoner": "Reasoner",
    "failures.step": "Fatal step",
    "failures.page": "Page",
    "failures.all": "all",
    "failures.none": "No failed path matches these filters.",
    "failures.empty": "The searches of this run left no failed path.",
    "failures.total": "Failed paths: {total}, page {page} of {pages}",
    "failures.saving": "A step that would still have led to a solution: {step}",
    "failures.by": "{reasoner}; {tokens} tokens",
    "failures.skipped": "These files can't be read and were left out: {files}",
}
