/* A form that says what it is about to do asks before it does it. */
"use strict";
document.addEventListener("submit", (event) => {
    const words = event.target.dataset.confirm;
    if (words && !window.confirm(words)) {
        event.preventDefault();
        event.stopImmediatePropagation();
    }
}, true);
