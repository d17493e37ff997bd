"""What the app says in English of files of problems, and of answers that are judged blind."""

ASKED = {
    "file.title": "A file of problems in, answers out",
    "file.intro": (
        "A file of {endings} with one problem a line, written as in the field above or as a JSON "
        "object; a CSV file has a column `problem`, or one for each part (such as `numbers` and "
        "`target`). It may have {size} MB and {most} lines. Each problem is asked alone, with the "
        "models and the search chosen above. Neither the file nor its answers are kept by the app: "
        "they are in this page alone."
    ),
    "file.file": "File of problems",
    "file.ways": "Ask for",
    "file.button": "Answer the file",
    "file.asked": "lines asked",
    "file.large": "A file of problems may have {most} MB at most.",
    "file.many": "A file may have {most} lines at most; `ltf solve --problems` answers more.",
    "file.no_way": "Choose at least one way to answer.",
    "file.empty": "There is no problem in the file: write one a line.",
    "file.none": "No line of the file is a problem of this task; the first: {why}",
    "file.line": "line {n}: {why}",
    "file.solved": "{way}: {solved} of {n} solved.",
    "file.unchecked": "{way}: {n} answered; who is right could not be checked.",
    "file.bad": "{n} could not be asked; their rows say why.",
    "file.stopped": "It ended after {n} of {of} lines.",
    "file.first": "The first {n} of {of} rows",
    "file.answer": "answer",
    "file.verdict": "verdict",
    "file.download": "Download:",
    "blind.title": "Judge two answers blind",
    "blind.intro": (
        "Two ways answer the same problem and are shown as A and B, in random order and without "
        "names, tokens, times or verdicts. Say which is better, and the next test problem follows. "
        "Decide beforehand how many you judge: who looks in between and stops where it suits finds "
        "differences that are not there. What you judged is in this page alone."
    ),
    "blind.pair": "Which two",
    "blind.pair.before-single": "One answer, before and after training",
    "blind.pair.single-search": "One answer after, search before",
    "blind.pair.before-search": "One answer and search, both before",
    "blind.start": "Judge the problem above",
    "blind.vote.a": "A is better",
    "blind.vote.b": "B is better",
    "blind.vote.equal": "Equal",
    "blind.count": "{n} judged",
    "blind.show": "Show result",
    "blind.empty": "An answer appears here.",
    "blind.waiting": "answering …",
    "blind.no_pair": "There are no such two ways here: choose two of the list.",
    "blind.anew": "The task, the models or the settings are others now: the count begins anew.",
    "blind.twice": "The problem above was judged already: here is another one.",
    "blind.known": (
        "The answers to the problem above were shown with their names: here is another one."
    ),
    "blind.all": "No test problem was found that was not judged or compared: type one of your own.",
    "blind.none": "Nothing was judged yet.",
    "blind.preferred": "preferred",
    "blind.right": "{right} of {n}",
    "blind.few": "Too few to tell: {n} judgements were not equal, and it takes at least {least}.",
    "blind.told": (
        "{way} was preferred: in {k} of the {n} judgements that were not equal, {share} % "
        "[{low} to {high}], p = {p} by the sign test."
    ),
    "blind.not_told": (
        "Not told apart: {way} was preferred in {k} of the {n} judgements that were not equal, "
        "{share} % [{low} to {high}], p = {p} by the sign test."
    ),
}
