// What only the browser can do. Pages carry attributes and no script; without this file they read and their forms post.
"use strict";
(() => {
    const all = (selector, root = document) => [...root.querySelectorAll(selector)];
    const one = (selector, root = document) => root.querySelector(selector);

    // What is said stands for four seconds, and is read aloud.
    function say(words) {
        const box = one("#said");
        if (!box) return;
        box.textContent = words;
        setTimeout(() => { if (box.textContent === words) box.textContent = ""; }, 4000);
    }

    // A form with data-confirm asks in a dialog. With data-must-type its button works when that was typed.
    function ask(form, submitter) {
        const dialog = one("#ask"), go = one("[data-go]", dialog), field = one("input", dialog), typed = form.dataset.mustType ?? "";
        one("h2", dialog).textContent = submitter?.textContent.trim() || submitter?.getAttribute("aria-label") || "Go on?";
        one("p", dialog).textContent = form.dataset.confirm;
        go.textContent = submitter?.textContent.trim() || "Go on";
        go.classList.toggle("sp-button-risk", submitter?.classList.contains("sp-button-risk") ?? false);
        one("[data-typed]", dialog).hidden = !typed;
        one("label b", dialog).textContent = typed;
        field.value = "";
        const judge = () => { go.disabled = typed !== "" && field.value.trim() !== typed; };
        field.oninput = judge;
        // Enter would press the first button, which is the other one.
        field.onkeydown = (event) => { if (event.key === "Enter") { event.preventDefault(); go.click(); } };
        judge();
        dialog.onclose = () => {
            if (dialog.returnValue !== "go") return;
            if (submitter?.isConnected) { form.dataset.confirmed = ""; form.requestSubmit(submitter); return; }
            form.submit(); // the fragment was swapped meanwhile, and the form is in no page: it still goes
        };
        dialog.returnValue = "";
        dialog.showModal();
    }
    document.addEventListener("submit", (event) => {
        const form = event.target;
        if (!form.dataset.confirm) return;
        if ("confirmed" in form.dataset) { delete form.dataset.confirmed; return; }
        event.preventDefault();
        event.stopImmediatePropagation();
        ask(form, event.submitter);
    }, true);

    // data-opens="#id" opens a dialog; closing gives the focus back, which <dialog> does. data-copies="#id" copies text.
    document.addEventListener("click", (event) => {
        const opener = event.target.closest("[data-opens]");
        if (opener) one(opener.dataset.opens).showModal();
        const copier = event.target.closest("[data-copies]");
        if (copier) {
            const words = one(copier.dataset.copies).textContent.trim(), no = () => say("Copying is not allowed here: select the text");
            if (navigator.clipboard) navigator.clipboard.writeText(words).then(() => say("Copied"), no);
            else no();
        }
    });

    // A strip of links is one tab stop, its newest record. Arrows, Home and End move inside it.
    function tameStrips(root) {
        all(".sp-strip[role=group]", root).forEach((strip) => {
            const links = all("a", strip);
            const only = (link) => links.forEach((each) => each.setAttribute("tabindex", each === link ? "0" : "-1"));
            if (links.length) only(links.at(-1));
            strip.onkeydown = (event) => {
                const at = links.indexOf(document.activeElement);
                const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: links.length - 1 }[event.key];
                if (to === undefined || !links[to]) return;
                event.preventDefault();
                only(links[to]);
                links[to].focus();
            };
        });
    }

    // "3 min ago" counts on while the page stands. The server tells the age (data-age, in seconds; negative: to come),
    // for the clock of the browser may be wrong.
    const since = new WeakMap();
    const span = (s) => {
        for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) if (s >= length) return `${Math.floor(s / length)} ${unit}`;
        return `${Math.max(1, Math.floor(s))} s`;
    };
    function countOn() {
        if (document.hidden) return;
        all("time[data-age]").forEach((time) => {
            if (!since.has(time)) { since.set(time, Date.now()); return; }
            const age = Number(time.dataset.age) + (Date.now() - since.get(time)) / 1000;
            const words = Math.abs(age) < 1 ? "now" : age < 0 ? `in ${span(-age)}` : `${span(age)} ago`;
            if (time.textContent !== words) time.textContent = words;
        });
    }
    setInterval(countOn, 5000);

    // Keys of one letter only outside of fields, and where the person has not turned them off (body[data-keys=off]).
    // None starts, stops or deletes anything.
    let before = "";
    document.addEventListener("keydown", (event) => {
        if (document.body.dataset.keys === "off" || event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.target.closest?.("input, textarea, select, dialog, [contenteditable]")) return;
        const led = before === "g" && one(`[data-key="${CSS.escape(event.key)}"]`);
        before = event.key;
        if (led) location.href = led.href;
        else if (event.key === "/" && one("[data-search]")) { event.preventDefault(); one("[data-search]").focus(); }
        else if (event.key === "?") one("#keys")?.showModal();
    });

    // Live fragments ([data-live]): see console/live.py. A hidden page asks nothing, and asks once when it is seen again.
    const digests = new Map(), told = new Map();
    const live = (event) => event.target.closest?.("[data-live]");
    document.addEventListener("htmx:beforeRequest", (event) => {
        if (document.hidden && event.target.matches("[data-live]")) event.preventDefault();
    });
    document.addEventListener("htmx:configRequest", (event) => {
        const digest = event.target.matches("[data-live]") && digests.get(event.target.id);
        if (digest) event.detail.headers["X-Fragment-Digest"] = digest;
    });
    document.addEventListener("visibilitychange", () => {
        countOn();
        if (!document.hidden && window.htmx) all("[data-live]").forEach((part) => window.htmx.trigger(part, "seen"));
    });
    document.addEventListener("htmx:afterSettle", (event) => {
        const part = live(event);
        prepare(part ?? document);
        if (!part) return;
        // Only a change of state is read aloud.
        if (told.has(part.id) && told.get(part.id) !== part.dataset.live) say(part.dataset.live);
        told.set(part.id, part.dataset.live);
    });

    // No answer: one line says since when the figures stand. The next answer takes it away.
    const lost = () => {
        const stale = one("#stale");
        if (!stale?.hidden || !one("[data-live]")) return;
        one("time", stale).textContent = new Date().toLocaleTimeString();
        stale.hidden = false;
    };
    const found = () => { const stale = one("#stale"); if (stale) stale.hidden = true; };
    ["htmx:sendError", "htmx:timeout", "htmx:responseError"].forEach((name) => document.addEventListener(name, lost));
    document.addEventListener("htmx:afterOnLoad", (event) => {
        const { xhr, elt } = event.detail, digest = xhr.getResponseHeader("X-Fragment-Digest");
        if (digest && elt.id) digests.set(elt.id, digest);
        if (xhr.status < 400) found();
    });
    addEventListener("offline", lost);
    addEventListener("online", found);

    // A hanging server answers nothing: after 10 s that is told too.
    if (window.htmx) window.htmx.config.timeout = 10000;

    // Times stand in the person's own zone: a clock as text, an age by its tooltip. What the server wrote, in UTC, goes into the
    // tooltip. No seconds are guessed: data-clock says how exact it is.
    const two = (number) => String(number).padStart(2, "0");
    const LENGTHS = { time: [11, 16], second: [11, 19], minute: [0, 16], full: [0, 19] };
    function write(at, exact) {
        const day = [at.getFullYear(), two(at.getMonth() + 1), two(at.getDate())].join("-");
        return `${day} ${[at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(":")}`.slice(...LENGTHS[exact]);
    }
    function localize(root) {
        all("time[datetime]:not([data-local])", root).forEach((time) => {
            const at = new Date(time.dateTime);
            if (isNaN(at)) return;
            time.dataset.local = "";
            if (LENGTHS[time.dataset.clock]) {
                time.title ||= time.textContent;
                time.textContent = write(at, time.dataset.clock);
            }
            time.title = `${at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" })}${time.title ? ` (${time.title})` : ""}`;
        });
    }
    // A time that a person writes is meant on the person's clock: [data-zone] is its zone, as a value or as text.
    function tellZone(root) {
        const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
        if (timeZone) all("[data-zone]", root).forEach((each) => { each[each.tagName === "INPUT" ? "value" : "textContent"] = timeZone; });
    }
    // Unfold's icons are words to a reader of a screen ("hub Connectors"), and some of its buttons have no others.
    const NAMES = { "#searchbar-submit": "Search", 'a[x-on\\:click^="showActions"]': "Actions", ".select2-search__field": "Search", "[data-simplebar] .simplebar-content-wrapper": "Content" };
    function prepare(root) {
        localize(root);
        tellZone(root);
        for (const [selector, name] of Object.entries(NAMES)) all(selector, root).filter((each) => !each.getAttribute("aria-label")).forEach((each) => each.setAttribute("aria-label", name));
        all(".material-symbols-outlined", root).forEach((icon) => icon.setAttribute("aria-hidden", "true"));
        all(".search-label-icon[aria-label]", root).forEach((each) => each.setAttribute("role", "img"));
        tameStrips(root);
        countOn();
    }
    const begin = () => { prepare(document); all("[data-live]").forEach((part) => told.set(part.id, part.dataset.live)); };
    // What asks for the focus is hidden until Unfold's script has run, and the browser then leaves it out.
    const focusFirst = () => { if (document.activeElement === document.body && !location.hash) one("[autofocus]")?.focus(); };
    addEventListener("load", () => { prepare(document); focusFirst(); }); // what Django's own scripts add by then
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
    else begin();
})();
