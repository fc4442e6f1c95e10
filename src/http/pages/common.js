// What the pages share: finding elements, and saying numbers to people.

const $ = (id) => document.getElementById(id);

// 1234567 is "1.2 MB": powers of ten, as disks and networks count.
function sized(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB", "PB"];
  let unit = 0;
  while (bytes >= 999.5 && unit < units.length - 1) {
    bytes /= 1000;
    unit++;
  }
  if (unit === 0) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  return `${bytes.toFixed(bytes < 99.5 ? 1 : 0)} ${units[unit]}`;
}

// 75 is "1 min 15 s".
function lasting(seconds) {
  if (seconds < 60) return `${Math.max(seconds, 0)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const receivers = (count) => (count === 1 ? "1 receiver" : `${count} receivers`);

// Opens the live view of a name: `on` has a function for each of its events, and `refused` for the
// case that there is none. What it returns must be closed.
function watchProgress(url, on) {
  const source = new EventSource(url);
  for (const kind of ["state", "progress", "done"]) {
    source.addEventListener(kind, (event) => on[kind](JSON.parse(event.data)));
  }
  source.addEventListener("open", () => on.open?.());
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) on.refused?.();
    else on.lost?.();
  });
  return source;
}
