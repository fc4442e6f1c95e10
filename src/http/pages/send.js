// The send page: what is sent, under which name, and what became of it.
// The server's answer alone decides whether it was delivered; the live view only shows the way.

const RECEIVERS_MAX = 256;
// Waits after typing before the live view follows to the new name, in ms.
const SETTLED = 500;
// How long the lines of a cancelled or failed transfer may still come, in ms.
const LAST_WORDS = 1500;

// How long a button says that it has copied, in ms.
const COPIED = 2000;

const base = document.body.dataset.base;
const ground = groundOf(location.href, base);
const root = new URL(document.body.dataset.root, ground);
const title = document.title;

let dropped = null; // A dropped or pasted file; a picked one is in the input.
let typedName = $("name").value !== ""; // Whether the name is a person's choice.
let transfer = null; // The transfer that runs, or the last one.
let view = null; // The live view of a name.
let viewTimer = 0;
let near = null; // Who is at the name of the form, as the view last said.

// ---- The name, and everything that is made from it

const api = (name) => new URL(`api/v1/pipe/${name}`, root).href;

function count() {
  const text = $("n").value;
  return /^[1-9][0-9]{0,2}$/.test(text) && Number(text) <= RECEIVERS_MAX ? Number(text) : null;
}

const idle = () => !$("form").hidden;
const mode = () => ($("mode-text").checked ? "text" : "file");

function complain(field, text) {
  $(`${field}-wrong`).textContent = text;
  const input = field === "what" ? $(mode()) : $(field);
  if (text === "") input.removeAttribute("aria-invalid");
  else input.setAttribute("aria-invalid", "true");
  return text === "";
}

const nameOfNow = () => (nameTrouble($("name").value) === "" ? encodedName($("name").value) : null);
const nameIsFine = () => complain("name", nameTrouble($("name").value));
const countIsFine = () => complain("n", count() === null ? "1 to 256" : "");

// Shows link, code and lines for the name and number of now.
function showLinks() {
  const [name, n] = [nameOfNow(), count()];
  const known = name !== null && n !== null;
  const link = known ? linkOf(base, name, n) : "";
  const saveAs = $("filename").value;
  const file = mode() === "file" ? chosenFile()?.name ?? "file" : null;
  $("receive-line").textContent = known ? receiveLine(link, saveAs || file) : "";
  $("send-line").textContent = known ? sendLine(link, file) : "";
  for (const button of document.querySelectorAll("[data-copy]")) button.disabled = !known;
  $("works").textContent = !known ? ""
    : n === 1 ? "Works for one receiver, once: whoever opens it first gets it."
      : `Works for ${n} receivers, once. It starts when all of them are there.`;
  if (known) $("watch").href = `${api(name)}?progress`;
  if (link === $("link").textContent) return;
  $("link").textContent = link;
  showCode(link);
}

function showCode(link) {
  const rows = link === "" ? null : qrCode(link);
  $("qr").hidden = rows === null;
  $("no-qr").hidden = rows !== null || link === "";
  $("qr").replaceChildren();
  if (rows === null) return;
  const quiet = 4; // Modules of white around it, as readers need them.
  const make = (kind, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  const size = rows.length + 2 * quiet;
  const path = rows.flatMap((row, y) => row.map((on, x) => (on ? `M${x + quiet} ${y + quiet}h1v1h-1z` : "")));
  const svg = make("svg", { viewBox: `0 0 ${size} ${size}`, role: "img", "aria-label": "QR code of the link", "shape-rendering": "crispEdges" });
  svg.append(make("rect", { width: size, height: size, fill: "#fff" }), make("path", { d: path.join(""), fill: "#000" }));
  $("qr").append(svg);
}

// ---- What is sent

const chosenFile = () => dropped ?? $("file").files[0] ?? null;

function showFile() {
  const file = chosenFile();
  $("drop").classList.toggle("full", file !== null);
  $("file-name").textContent = file === null ? "Drop a file here" : file.name;
  $("file-hint").hidden = file !== null;
  $("file-about").hidden = file === null;
  if (file !== null) $("file-about").textContent = `${sized(file.size)} · choose another`;
  complain("what", "");
  showLinks();
}

function take(file) {
  dropped = file;
  $("mode-file").checked = true;
  showMode();
  showFile();
}

function showMode() {
  $("pane-file").hidden = mode() !== "file";
  $("pane-text").hidden = mode() !== "text";
  complain("what", "");
  showLinks();
}

function takeText(text) {
  $("text").value = text;
  $("mode-text").checked = true;
  showMode();
}

// A pasted image has the same name every time; the time tells them apart.
function named(file) {
  if (!/^image\.\w+$/.test(file.name)) return file;
  const time = new Date().toISOString().slice(0, 19).replace("T", " ").replaceAll(":", ".");
  return new File([file], file.name.replace("image", `pasted ${time}`), { type: file.type });
}

function pasted(event) {
  if (!idle()) return;
  const file = event.clipboardData.files[0];
  const typing = event.target.closest?.("input, textarea");
  if (file) {
    event.preventDefault();
    take(named(file));
  } else if (!typing && event.clipboardData.getData("text/plain") !== "") {
    takeText(event.clipboardData.getData("text/plain"));
  }
}

function droppedOn(event) {
  event.preventDefault();
  document.body.classList.remove("over");
  if (!idle()) return;
  const items = [...event.dataTransfer.items];
  const [file] = event.dataTransfer.files;
  const folder = items.some((item) => item.webkitGetAsEntry?.()?.isDirectory);
  if (!file) {
    const text = event.dataTransfer.getData("text/plain");
    if (text !== "") takeText(text);
  } else if (folder || event.dataTransfer.files.length > 1) {
    complain("what", "One file at a time: pack several, or a folder, into an archive first.");
  } else {
    take(file);
  }
}

// The body with its type and file name; null, with a word about it, if there is nothing yet.
function parcel() {
  const saveAs = $("filename").value;
  if (mode() === "text") {
    const text = $("text").value;
    if (text === "") return nothing("Type a text first.");
    const body = new Blob([text]);
    return { body, type: "text/plain; charset=utf-8", name: saveAs, about: `Text, ${sized(body.size)}` };
  }
  const file = chosenFile();
  if (file === null) return nothing("Choose a file first.");
  const type = file.type || "application/octet-stream";
  return { body: file, type, name: saveAs || file.name, about: `${file.name}, ${sized(file.size)}` };
}

function nothing(text) {
  complain("what", text);
  return null;
}

// ---- The live view

function unwatch() {
  clearTimeout(viewTimer);
  view?.close();
  view = null;
  near = null;
  showPresence();
}

// Follows a name from now on; while nothing is sent it only tells of those who wait already.
function watch() {
  unwatch();
  const name = transfer?.runs ? transfer.name : nameOfNow();
  if (name === null || (document.hidden && !transfer?.runs)) return;
  view = watchProgress(`${api(name)}?progress`, {
    open: () => {
      if (transfer?.runs) transfer.reached = true;
    },
    state: seen,
    progress: (now) => {
      if (!transfer?.runs) return;
      transfer.live = now;
      transfer.here = now.activeReceivers;
      showProgress();
    },
    done: (end) => {
      unwatch();
      if (!transfer?.runs) return;
      // The end of an earlier transfer is still told for a while: then look again.
      if (end.transferId === transfer.id) ended(transfer, end);
      else viewTimer = setTimeout(watch, 2 * SETTLED);
    },
    refused: unwatch,
  });
}

// The live view saw the end. Success is for the answer to prove; a failure is also believed here, for
// a box in between may hold the answer back.
function ended(mine, end) {
  mine.end = end;
  if (end.state !== "failed") return;
  setTimeout(() => {
    if (mine.runs) finish(mine, "Failed", sentence(end.reason ?? "The transfer failed"), "bad");
  }, 2 * LAST_WORDS);
}

function watchSoon() {
  unwatch();
  viewTimer = setTimeout(watch, SETTLED);
}

function seen(state) {
  if (transfer?.runs) {
    if (state.state === "streaming" && transfer.stage === "waiting") transfer.stage = "streaming";
    // What the view says of the waiting may be older than the server's own lines.
    if (state.state === "streaming" || transfer.stage === "waiting") transfer.here = state.activeReceivers;
    showProgress();
    return;
  }
  near = state;
  showPresence();
}

// Says who is at the name already, and whether what is in the form suits them.
function showPresence() {
  const { state, hasSender, activeReceivers: here, totalReceivers: n } = near ?? { activeReceivers: 0 };
  const taken = state === "streaming" || hasSender;
  const other = !taken && here > 0 && n > 0 && n !== count();
  const waiting = n > 1 ? `${here} of ${receivers(n)} already waiting` : "A receiver is already waiting";
  $("presence").textContent = state === "streaming" ? "A transfer is running under this name."
    : hasSender ? "Somebody else already sends under this name."
      : here === 0 ? ""
        : other ? `${waiting}, so the number of receivers must be ${n}.` : `${waiting}.`;
  $("presence").classList.toggle("warn", taken || other);
  $("match").hidden = !other;
  if (other) $("match").textContent = `Set it to ${n}`;
}

// ---- Sending

function send() {
  const fine = [nameIsFine(), countIsFine()];
  const what = parcel();
  if (what === null || fine.includes(false)) {
    $(what === null ? mode() : fine[0] ? "n" : "name").focus();
    return;
  }
  start(what, nameOfNow(), count());
}

function start(what, name, n) {
  const id = freshName();
  const request = new XMLHttpRequest();
  transfer = {
    what, name, n, id, request, runs: true, stage: "waiting", here: 0, uploaded: 0,
    heard: "", live: null, end: null, cancelled: false, reached: false,
  };
  const mine = transfer;
  const query = `?transfer=${id}${n === 1 ? "" : `&n=${n}`}`;
  request.open("POST", api(name) + query);
  request.setRequestHeader("Content-Type", what.type);
  if (what.name !== "") request.setRequestHeader("Content-Disposition", disposition(what.name));
  request.upload.addEventListener("progress", (event) => {
    mine.uploaded = event.loaded;
    if (event.loaded > 0) mine.reached = true;
    showProgress();
  });
  // An answer that is cut has no text any more: what was heard is kept.
  request.addEventListener("readystatechange", () => hear(mine));
  request.addEventListener("load", () => conclude(mine, true));
  request.addEventListener("error", () => conclude(mine, false));
  request.send(what.body);
  addEventListener("beforeunload", stay);
  showRunning();
  watch();
}

function stay(event) {
  event.preventDefault();
}

function hear(mine) {
  if (mine.request.status !== 0) mine.reached = true;
  if (mine !== transfer || !mine.runs || mine.request.readyState < XMLHttpRequest.LOADING) return;
  const text = mine.request.responseText;
  if (text.length <= mine.heard.length) return;
  mine.heard = text;
  if (mine.stage === "waiting" && /^\[INFO\] Streaming to /m.test(text)) {
    mine.stage = "streaming";
    mine.here = mine.n; // It starts with all of them.
  }
  if (/^\[INFO\] Upload complete\.$/m.test(text)) mine.stage = "ending";
  const joined = text.match(/^\[INFO\] A receiver connected\.$/gm)?.length ?? 0;
  const left = text.match(/^\[INFO\] A receiver (disconnected\.$|was dropped)/gm)?.length ?? 0;
  const before = Number(/^\[INFO\] (\d+) receiver\(s\) already connected\.$/m.exec(text)?.[1] ?? 0);
  if (view === null) mine.here = before + joined - left;
  $("log").textContent = text;
  $("said").hidden = false;
  $("log").scrollTop = $("log").scrollHeight;
  showProgress();
}

// Delivered or not, by the rules of the status stream: everything but the full proof is a failure.
function proof(status, text, clean) {
  const good = clean && status >= 200 && status < 300;
  const complete = /^\[INFO\] Transfer complete\.$/m.test(text);
  const trouble = /^\[ERROR\]/m.test(text) || text.includes("All receivers disconnected");
  const sent = /^\[INFO\] Sent \d+ bytes to (\d+) of (\d+) receiver\(s\) in ([\d.]+ s)\.$/m.exec(text);
  return good && complete && !trouble ? sent : null;
}

async function conclude(mine, clean) {
  hear(mine);
  if (!mine.runs) return;
  const { status } = mine.request;
  const sent = proof(status, mine.heard, clean);
  if (sent) {
    const [, got, all, time] = sent;
    const left = Number(all) - Number(got);
    mine.time = time;
    const loss = left === 0 ? "" : `${receivers(left)} left before the end, without all of it.`;
    return finish(mine, `Delivered to ${got} of ${all} receivers.`, loss, "good");
  }
  // A browser may say a POST again by itself when its connection breaks. The id of the transfer makes
  // the server refuse that; what counts is what became of the first one.
  const again = mine.request.getResponseHeader("X-Pipe-Error") === "transfer_taken";
  const told = again ? null : said(mine.heard) ?? (status >= 300 ? `The server answered ${status}.` : null);
  const why = told ?? (await unreadable(mine)) ?? (await asked(mine));
  // Who cancelled does not wait for a reason.
  if (!mine.runs || (mine.cancelled && why === null)) return;
  finish(mine, "Failed", why ?? (mine.reached
    ? "The connection was lost before the server confirmed the delivery."
    : "The server cannot be reached. Check the network, then try again."), "bad");
}

// The reason in the server's lines.
function said(text) {
  const error = /^\[ERROR\] (.*)$/m.exec(text);
  if (error) return error[1];
  const gone = /All receivers disconnected.*$/m.exec(text);
  return gone ? gone[0] : null;
}

// The reason from the live view or the receipt: while a browser uploads it may not read the answer.
async function asked(mine) {
  const end = mine.end ?? (await receipt(mine));
  if (end?.state === "complete") {
    return "The connection was lost before the confirmation. By the server’s own record the transfer is complete.";
  }
  return end?.reason ? sentence(end.reason) : null;
}

// What the server knows of this transfer; null if it cannot be asked, or does not know it.
async function receipt(mine) {
  try {
    const answer = await fetch(`${api(mine.name)}?status&transfer=${mine.id}`);
    mine.unknown = answer.status === 404;
    mine.reached = true;
    return answer.ok ? await answer.json() : null;
  } catch {
    return null;
  }
}

const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

// A file that was changed or removed after it was chosen.
async function unreadable(mine) {
  try {
    await mine.what.body.slice(0, 1).arrayBuffer();
    return null;
  } catch {
    return "The file cannot be read any more. Was it changed, moved or deleted? Choose it again.";
  }
}

// Cancels at the server, so that everybody is told. What the server does not know as ours is only
// stopped here: the name may be somebody else's.
async function cancel() {
  const mine = transfer;
  mine.cancelled = true;
  $("cancel").disabled = true;
  say("Cancelling…");
  await receipt(mine);
  let told = false;
  try {
    told = !mine.unknown && (await fetch(api(mine.name), { method: "DELETE" })).ok;
  } catch {
    // The server cannot be reached: stopping the upload is all there is.
  }
  // The server's own last line may still come.
  await new Promise((resolve) => setTimeout(resolve, told ? SETTLED : LAST_WORDS));
  if (mine.runs) finish(mine, "Failed", told ? "Cancelled." : "The upload was stopped.", "bad");
}

function finish(mine, headline, reason, look) {
  mine.runs = false;
  mine.request.abort();
  removeEventListener("beforeunload", stay);
  unwatch();
  showEnd(mine, headline, reason, look);
}

// ---- Showing a transfer

function showRunning() {
  const { what } = transfer;
  $("form").hidden = true;
  $("transfer").hidden = false;
  $("transfer").className = "card";
  $("log").textContent = "";
  $("what").textContent = what.about;
  $("cancel").hidden = false;
  $("cancel").disabled = false;
  $("bar").hidden = false;
  $("meter").hidden = false;
  $("said").hidden = true;
  $("retry").hidden = true;
  $("back").hidden = true;
  showProgress();
  $("cancel").focus();
}

// Headline and reason; read aloud too, but only when they are news.
function say(headline, reason = "") {
  if ($("headline").textContent === headline && $("reason").textContent === reason) return;
  $("headline").textContent = headline;
  $("reason").textContent = reason;
  $("spoken").textContent = `${headline} ${reason}`;
  document.title = headline === "" ? title : `${headline} · ${title}`;
}

function headlineOf({ stage, here, n }) {
  if (stage === "ending") return "Almost there: the last bytes are on their way…";
  if (stage === "streaming") {
    const left = n - here;
    if (n === 1) return "Sending to the receiver…";
    return left === 0 ? `Sending to ${receivers(n)}…`
      : `Sending to ${here} of ${receivers(n)}; ${left} ${left === 1 ? "has" : "have"} left.`;
  }
  return n === 1 ? "Waiting for the receiver…" : `Waiting: ${here} of ${receivers(n)} here`;
}

function showProgress() {
  if (!transfer?.runs) return;
  const { stage, live, uploaded, what, cancelled } = transfer;
  if (!cancelled) say(headlineOf(transfer));
  const total = what.body.size;
  // The upload may be ahead of the receivers by what the buffers hold: the server knows better.
  const done = Math.min(live?.bytesTransferred ?? uploaded, total);
  if (stage === "waiting" && (view !== null || uploaded === total)) {
    $("bar").removeAttribute("value");
    $("meter").textContent = "Open the link on the other side.";
    return;
  }
  $("bar").value = total === 0 ? 1 : done / total;
  const parts = [`${sized(done)} of ${sized(total)}`];
  if (live && stage === "streaming") {
    parts.push(`${sized(live.speed)}/s`);
    if (live.eta !== null) parts.push(`${lasting(live.eta)} left`);
  }
  $("meter").textContent = parts.join(" · ");
}

function showEnd(mine, headline, reason, look) {
  const held = [$("cancel"), document.body].includes(document.activeElement);
  const good = look === "good";
  $("transfer").className = `card ${look}`;
  say(headline, reason);
  if (good) $("bar").value = 1;
  $("bar").hidden = !$("bar").hasAttribute("value");
  const total = mine.what.body.size;
  const done = Math.min(mine.live?.bytesTransferred ?? mine.uploaded, total);
  $("meter").textContent = good ? `It took ${mine.time === "0.0 s" ? "less than 0.1 s" : mine.time}.`
    : mine.stage === "waiting" ? "" : `About ${sized(done)} of ${sized(total)} had passed through.`;
  $("meter").hidden = $("meter").textContent === "";
  if (good) $("works").textContent = "Used up. It works again with the next thing sent under this name.";
  $("cancel").hidden = true;
  $("retry").hidden = false;
  $("retry").textContent = good ? "Send something else" : "Try again";
  $("back").hidden = good;
  if (held) $("retry").focus();
}

// Empties the form for the next thing, under a new name unless this one is a person's choice.
function clear() {
  dropped = null;
  for (const field of ["text", "filename", "file"]) $(field).value = "";
  if (!typedName) $("name").value = freshName();
}

function showForm() {
  transfer = null;
  $("form").hidden = false;
  $("transfer").hidden = true;
  say("");
  showMode();
  showFile();
  watch();
}

// ---- Copying

async function copy(button) {
  const source = $(button.dataset.copy);
  let copied = true;
  try {
    await navigator.clipboard.writeText(source.textContent);
  } catch {
    // Without HTTPS there is no clipboard to ask for: select it, and copy the old way.
    getSelection().selectAllChildren(source);
    copied = document.execCommand("copy");
  }
  button.textContent = copied ? "Copied" : "Press Ctrl+C";
  $("spoken").textContent = copied ? "Copied" : "It is selected: press Ctrl+C";
  setTimeout(() => { button.textContent = "Copy"; }, COPIED);
}

// ---- Ears

$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
$("form").addEventListener("input", (event) => {
  if (event.target === $("name")) {
    typedName = true;
    nameIsFine();
    watchSoon();
  }
  if (event.target === $("n")) {
    countIsFine();
    showPresence();
  }
  if (event.target === $("file")) {
    dropped = null;
    showFile();
  } else if (event.target.name === "mode") {
    showMode();
  } else {
    if (event.target === $("text")) complain("what", "");
    showLinks();
  }
});
$("fresh").addEventListener("click", () => {
  $("name").value = freshName();
  typedName = false;
  nameIsFine();
  showLinks();
  watchSoon();
});
$("match").addEventListener("click", () => {
  $("n").value = near.totalReceivers;
  countIsFine();
  showPresence();
  showLinks();
  $("n").focus();
});
$("cancel").addEventListener("click", cancel);
$("retry").addEventListener("click", () => {
  if (!$("transfer").classList.contains("good")) {
    start(transfer.what, transfer.name, transfer.n);
    return;
  }
  clear();
  showForm();
  $(mode()).focus();
});
$("back").addEventListener("click", () => {
  showForm();
  $("send").focus();
});
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", () => copy(button));
}
addEventListener("paste", pasted);
addEventListener("drop", droppedOn);
addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.toggle("over", idle());
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("over");
});
document.addEventListener("visibilitychange", () => {
  if (transfer?.runs) return;
  if (document.hidden) unwatch();
  else if (transfer === null) watch();
});

// The links say where they lead from the ground; it is the page's own address but for its last slash.
for (const link of document.querySelectorAll(".top a, footer a")) {
  link.href = new URL(link.getAttribute("href"), ground);
}
if (typedName) nameIsFine();
else $("name").value = freshName();
showForm();
if (document.body.dataset.autostart === "yes") send();
