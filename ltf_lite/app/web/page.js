// Brings what matters of a tree into view: its root while it grows, its answer at the end.
new MutationObserver(() => {
  for (const box of document.querySelectorAll(".ltf-tree:not([data-seen])")) {
    box.dataset.seen = "yes";
    const node = box.querySelector("g.answer") || box.querySelector("svg g");
    if (!node) continue;
    const own = box.getBoundingClientRect(), at = node.getBoundingClientRect();
    box.scrollTop += at.top + at.height / 2 - own.top - own.height / 2;
    if (node.classList.contains("answer")) box.scrollLeft += Math.max(0, at.right - own.right + 8);
  }
}).observe(document.documentElement, { childList: true, subtree: true });
