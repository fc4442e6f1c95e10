// The page of ?progress: shows the events of the stream at its own address, until `done`.

const address = `${location.pathname}?progress`;
// Before the next try after a refusal, in ms.
const AGAIN = 10000;
// Between two looks for the next transfer while the server still tells of the last one, in ms.
const LOOK = 3000;
// So many looks are a minute: an end is told for 30 s.
const LOOKS_MAX = 20;

// Stands where there is nothing to say.
const NOTHING = "–";

const title = document.title;

let source = null;
let total = 0; // Receivers of the pipe, 0 until known.
let shown = null; // The end that was shown last.
let looks = 0; // For the one after it.

// Headline and reason; read aloud too, but only when they are news.
function say(headline, reason = "") {
  if ($("headline").textContent === headline && $("reason").textContent === reason) return;
  $("headline").textContent = headline;
  $("reason").textContent = reason;
  $("spoken").textContent = `${headline} ${reason}`;
}

// The tab tells a state that somebody may wait for.
function entitle(word) {
  document.title = word === "" ? title : `${word} · ${title}`;
}

function showReceivers(here) {
  $("receivers-row").hidden = false;
  $("receivers").textContent = total === 0 ? `${here}` : `${here} of ${total}`;
}

function state({ state, hasSender, activeReceivers, totalReceivers }) {
  total = totalReceivers ?? 0;
  $("transfer").className = "card";
  $("sender").textContent = hasSender ? "here" : "not yet";
  showReceivers(activeReceivers);
  $("bar").hidden = state === "idle";
  looks = 0;
  $("after").hidden = true;
  entitle({ streaming: "Streaming", waiting: "Waiting" }[state] ?? "");
  if (state === "streaming") return say("Streaming");
  $("bar").removeAttribute("value");
  if (state === "idle") return say("Nobody is here yet", "The next transfer of this name will show here.");
  say("Waiting", hasSender ? "The sender is here; receivers are missing." : "Receivers are here; the sender is missing.");
}

function progress({ bytesTransferred, totalBytes, speed, eta, activeReceivers, elapsed }) {
  showReceivers(activeReceivers);
  $("bar").hidden = false;
  const known = totalBytes !== null;
  if (known) $("bar").value = totalBytes === 0 ? 1 : bytesTransferred / totalBytes;
  else $("bar").removeAttribute("value");
  $("bytes").textContent = known ? `${sized(bytesTransferred)} of ${sized(totalBytes)}` : sized(bytesTransferred);
  $("speed").textContent = `${sized(speed)}/s`;
  $("elapsed").textContent = lasting(elapsed);
  $("eta").textContent = eta === null ? NOTHING : lasting(eta);
}

function done(end) {
  source.close();
  // An end is told for a while to everybody who comes.
  if (shown === JSON.stringify(end)) return lookAgain();
  shown = JSON.stringify(end);
  showEnd(end);
}

function showEnd({ state, bytesTransferred, duration, avgSpeed, reason, sha256, transferId }) {
  const good = state === "complete";
  $("transfer").className = `card ${good ? "good" : "bad"}`;
  entitle(good ? "Complete" : "Failed");
  say(good ? "Complete" : "Failed", reason ? `${reason}.` : "");
  $("sender-row").hidden = true;
  $("eta-row").hidden = true;
  // Who comes after the end is not told how many there were.
  $("receivers-row").hidden = $("receivers").textContent === NOTHING;
  if (good) $("bar").value = 1;
  $("bar").hidden = !$("bar").hasAttribute("value");
  $("bytes").textContent = sized(bytesTransferred);
  $("speed-title").textContent = "Average speed";
  $("speed").textContent = `${sized(avgSpeed)}/s`;
  $("elapsed").textContent = lasting(duration);
  for (const [field, value] of [["sha256", sha256], ["id", transferId]]) {
    $(`${field}-row`).hidden = !value;
    $(field).textContent = value ?? "";
  }
  $("after").hidden = false;
}

// Clears the view for the transfer that comes next.
function next() {
  looks = 0;
  $("transfer").className = "card";
  $("speed-title").textContent = "Speed";
  for (const fact of ["sender", "receivers", "bytes", "speed", "elapsed", "eta"]) $(fact).textContent = NOTHING;
  for (const row of ["sender", "receivers", "eta"]) $(`${row}-row`).hidden = false;
  for (const part of ["sha256-row", "id-row", "bar", "after"]) $(part).hidden = true;
  $("bar").removeAttribute("value");
  entitle("");
  $("headline").focus();
  follow();
}

// The server still tells of what was shown here already: it has nothing newer yet.
function lookAgain() {
  looks++;
  $("after").hidden = looks < LOOKS_MAX;
  if (looks === LOOKS_MAX) return say("Nobody is here yet", "This page has stopped looking.");
  say("Nobody is here yet", "The last transfer is over; the next one will show here in a few seconds.");
  setTimeout(followWhenSeen, LOOK);
}

// A page that nobody sees asks nothing.
function followWhenSeen() {
  if (!document.hidden) return follow();
  document.addEventListener("visibilitychange", followWhenSeen, { once: true });
}

// Why there is no stream: EventSource does not tell, so the same is asked in another way.
async function refused() {
  try {
    const headers = { Accept: "text/event-stream" };
    const stop = new AbortController();
    const answer = await fetch(address, { headers, signal: stop.signal });
    const text = answer.ok ? "" : (await answer.text()).trim();
    stop.abort();
    say("No connection", text.replace(/^\[ERROR\] /, ""));
  } catch {
    say("No connection", "The server cannot be reached.");
  }
  setTimeout(followWhenSeen, AGAIN);
}

function follow() {
  const lost = () => say("Connecting again…");
  source = watchProgress(address, { state, progress, done, refused, lost });
}

$("next").addEventListener("click", next);
follow();
