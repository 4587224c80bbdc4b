// What is live, and what is more convenient with a script. Every page works without it.

const announcer = document.getElementById("announcer");

// --- Live parts: `data-live` on the body is the address of a stream of fragments by element id.

function showParts(event) {
    for (const [id, html] of Object.entries(JSON.parse(event.data))) {
        const place = document.getElementById(id);
        if (place && place.innerHTML !== html) {
            place.innerHTML = html;
            if (place.dataset.announce !== undefined) announcer.textContent = place.textContent.trim();
        }
    }
}

const live = document.body.dataset.live;
let source;

function listen() {
    source = new EventSource(live);
    source.addEventListener("parts", showParts);
    source.addEventListener("end", (event) => event.target.close());
}

// A page that one comes back to may be old; one with `data-kept` cannot be had anew.
function showAgain() {
    if (document.body.dataset.kept === undefined) location.reload();
    else listen();
}

if (live) {
    listen();
    window.addEventListener("pagehide", () => source.close());
    window.addEventListener("pageshow", (event) => event.persisted && showAgain());
}

// --- A form is sent once.

document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) {
        event.preventDefault();
        return;
    }
    form.dataset.sent = "yes";
});
window.addEventListener("pageshow", () => {
    for (const form of document.forms) delete form.dataset.sent;
});

// --- Copy buttons: `data-copy` is the id of the element whose text is copied.

for (const button of document.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
        const text = document.getElementById(button.dataset.copy).textContent.trim();
        await navigator.clipboard.writeText(text);
        announcer.textContent = button.dataset.copied;
        button.classList.add("copied");
        setTimeout(() => button.classList.remove("copied"), 2000);
    });
}

// --- What is wrong is read first.

document.querySelector("[data-focus]")?.focus();

// --- A form with `data-inline` is sent behind the page, which stays; what it did is shown live.

async function sendBehind(form) {
    const failed = form.querySelector("[data-failed]");
    try {
        const body = new URLSearchParams(new FormData(form));
        body.set("inline", "yes"); // nothing is to be told on the next page
        const answer = await fetch(form.action, { method: "POST", body, redirect: "manual" });
        if (answer.ok || answer.type === "opaqueredirect") {
            form.hidden = true;
            return;
        }
    } catch {
        // The network is away: the same as an answer that says no.
    }
    failed.hidden = false;
    delete form.dataset.sent;
}

document.addEventListener("submit", (event) => {
    if (event.target.dataset.inline === undefined || event.defaultPrevented) return;
    event.preventDefault();
    sendBehind(event.target);
});

// --- An input with `data-suggest` offers what the server finds for what is typed.

for (const input of document.querySelectorAll("input[data-suggest]")) {
    let waiting;
    input.addEventListener("input", () => {
        clearTimeout(waiting);
        waiting = setTimeout(() => suggest(input, input.value), 200);
    });
}

async function suggest(input, typed) {
    const answer = await fetch(`${input.dataset.suggest}?q=${encodeURIComponent(typed)}`);
    if (!answer.ok || input.value !== typed) return;
    const found = await answer.json();
    input.list.replaceChildren(...found.map(([value, label]) => new Option(label, value)));
}
