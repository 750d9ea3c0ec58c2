// A folder of the host that loses its tick becomes a line of what is left out, and the other way round.
"use strict";
document.addEventListener("change", (event) => {
    const pattern = event.target.dataset?.leavesOut;
    if (!pattern) return;
    const field = event.target.form?.elements.namedItem("exclude");
    if (!field) return;
    const lines = field.value.split(/\r?\n/).filter((line) => line.trim() && line.trim() !== pattern);
    if (!event.target.checked) lines.push(pattern);
    field.value = lines.join("\n");
    field.dispatchEvent(new Event("input", { bubbles: true }));
});
