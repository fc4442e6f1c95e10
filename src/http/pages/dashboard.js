// The page of ?progress: shows the events of the stream at its own address, until `done`.

const address = `${location.pathname}?progress`;
// Before the next try after a refusal, in ms.
const AGAIN = 10000;

let source = null;
let total = 0; // Receivers of the pipe, 0 until known.

// Headline and reason; read aloud too, but only when they are news.
function say(headline, reason = "") {
  if ($("headline").textContent === headline && $("reason").textContent === reason) return;
  $("headline").textContent = headline;
  $("reason").textContent = reason;
  $("spoken").textContent = `${headline} ${reason}`;
}

function showReceivers(here) {
  $("receivers").textContent = total === 0 ? `${here}` : `${here} of ${total}`;
}

function state({ state, hasSender, activeReceivers, totalReceivers }) {
  total = totalReceivers ?? 0;
  $("transfer").className = "card";
  $("sender").textContent = hasSender ? "here" : "not yet";
  showReceivers(activeReceivers);
  $("bar").hidden = state === "idle";
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
  $("eta").textContent = eta === null ? "–" : lasting(eta);
}

function done({ state, bytesTransferred, duration, avgSpeed, reason, sha256, transferId }) {
  source.close();
  const good = state === "complete";
  $("transfer").className = `card ${good ? "good" : "bad"}`;
  say(good ? "Complete" : "Failed", reason ? `${reason}.` : "");
  $("sender").textContent = "gone";
  $("receivers").textContent = "gone";
  if (good) $("bar").value = 1;
  $("bar").hidden = !$("bar").hasAttribute("value");
  $("bytes").textContent = sized(bytesTransferred);
  $("speed-title").textContent = "Average speed";
  $("speed").textContent = `${sized(avgSpeed)}/s`;
  $("elapsed").textContent = lasting(duration);
  $("eta").textContent = "–";
  for (const [field, value] of [["sha256", sha256], ["id", transferId]]) {
    $(`${field}-row`).hidden = !value;
    $(field).textContent = value ?? "";
  }
  $("after").hidden = false;
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
  setTimeout(follow, AGAIN);
}

function follow() {
  const lost = () => say("Connecting again…");
  source = watchProgress(address, { state, progress, done, refused, lost });
}

$("next").addEventListener("click", () => location.reload());
follow();
