// From a name to its URLs and to lines for a shell. Knows no page: text in, text out.

// 26 of 32 characters, 130 random bits. 256 is a multiple of 32, so all are equally likely.
function freshName() {
  const alphabet = "abcdefghijklmnopqrstuvwxyz234567";
  const random = crypto.getRandomValues(new Uint8Array(26));
  return Array.from(random, (byte) => alphabet[byte % 32]).join("");
}

// Where relative links of a page count from. Behind a proxy it may be at the prefix without its last
// slash ("/relay"), which only the base URL can tell.
function groundOf(page, base) {
  const ground = new URL(page);
  if (ground.pathname === new URL(base).pathname && !ground.pathname.endsWith("/")) ground.pathname += "/";
  return ground;
}

// A typed name as it stands in a URL: each segment escaped, but for what may stand there as it is,
// so that it is the name that others type. Null if no URL can hold it: browsers resolve dots.
function encodedName(typed) {
  const name = typed.replace(/^\/+/, "");
  const segments = name.split("/");
  const dots = segments.some((segment) => segment === "." || segment === "..");
  if (name === "" || dots || /[\\\u0000-\u001f\u007f]/.test(name)) return null;
  const escaped = (segment) => encodeURIComponent(segment)
    .replace(/%(24|26|2[BC]|3[ABD]|40)/g, (plain) => decodeURIComponent(plain));
  try {
    return segments.map(escaped).join("/");
  } catch {
    return null; // Half of a surrogate pair.
  }
}

// Names that are the server's own.
const RESERVED = [
  "help", "noscript", "new", "favicon.ico", "robots.txt", "health", "metrics", "openapi.json",
];
const NAME_MAX = 1024;

// What is wrong with a typed name, as the server would find; empty if nothing is.
function nameTrouble(typed) {
  const name = encodedName(typed);
  if (/^\/*$/.test(typed)) return "Give it a name.";
  if (name === null) return "Not possible in a name: a backslash, or “.” or “..” between slashes.";
  const folded = name.replace(/\/$/, "").replace(/\.$/, "").toLowerCase();
  if (RESERVED.includes(folded)) return `The server itself uses “${folded}”: choose another name.`;
  const over = name.length - NAME_MAX;
  if (over > 0) return `Too long by ${over}: 1,024 characters at most, and one like “é” counts as ${encodeURIComponent("é").length}.`;
  return "";
}

// The link for receivers: the short spelling, unless the name itself begins like a prefix.
function linkOf(base, name, n) {
  const prefix = /^(api\/v1\/)?pipe(\/|$)/.test(name) ? "api/v1/pipe/" : "";
  return `${base}/${prefix}${name}${n === 1 ? "" : `?n=${n}`}`;
}

// A word for a shell. Double quotes also work in Windows; single ones hold what means something.
function quoted(word) {
  return /[$`"\\!]/.test(word) ? `'${word.replaceAll("'", "'\\''")}'` : `"${word}"`;
}

// A file name as the server hands it on, so that no line writes anywhere else.
function plainFileName(name) {
  return name.replace(/[\u0000-\u001f\u007f-\u009f/\\]/g, "").replace(/^\.+/, "") || "file";
}

// The line that receives, into a file if it has a name.
function receiveLine(link, fileName) {
  const into = fileName === null ? "" : ` > ${quoted(plainFileName(fileName))}`;
  return `curl -fsSN ${quoted(link)}${into}`;
}

// The line that sends a file, or a text if there is no file name.
function sendLine(link, fileName) {
  const curl = "curl -sS --fail-with-body";
  if (fileName === null) return `echo "Hello" | ${curl} -T - ${quoted(link)}`;
  // curl would add the file's name to a URL that ends in a slash, and reads brackets as patterns.
  if (/\/(\?|$)/.test(link)) return `${curl} -T - ${quoted(link)} < ${quoted(fileName)}`;
  const raw = /[[\]{}]/.test(fileName) ? " -g" : "";
  const local = fileName.startsWith("-") ? `./${fileName}` : fileName;
  return `${curl}${raw} -T ${quoted(local)} ${quoted(link)}`;
}

// The field that names the file for receivers (RFC 6266).
function disposition(fileName) {
  const escaped = encodeURIComponent(fileName.toWellFormed?.() ?? fileName)
    .replace(/['()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return `attachment; filename*=UTF-8''${escaped}`;
}
