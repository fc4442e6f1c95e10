// QR codes (ISO/IEC 18004): byte mode, error correction level M, versions 1 to 20. Knows no page.

// For each version: check words in a block, and blocks.
const QR_CHECKS = [10, 16, 26, 18, 24, 16, 18, 22, 22, 26, 30, 22, 22, 24, 24, 28, 28, 26, 26, 26];
const QR_BLOCKS = [1, 1, 1, 2, 2, 4, 4, 4, 5, 5, 5, 8, 9, 9, 10, 10, 11, 13, 14, 16];

// Words of a version: everything that no pattern needs, in eights.
function qrWords(version) {
  let modules = (16 * version + 128) * version + 64;
  if (version >= 2) {
    const marks = Math.floor(version / 7) + 2;
    modules -= (25 * marks - 10) * marks - 55;
    if (version >= 7) modules -= 36;
  }
  return modules >> 3;
}

function qrDataWords(version) {
  return qrWords(version) - QR_CHECKS[version - 1] * QR_BLOCKS[version - 1];
}

// Bytes of text that a version holds: 4 bits say the mode, 8 or 16 the length.
function qrCapacity(version) {
  return qrDataWords(version) - (version < 10 ? 2 : 3);
}

// Product in the field of 256 elements with the polynomial 0x11d.
function qrTimes(a, b) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit--) {
    product = (product << 1) ^ ((product >> 7) * 0x11d);
    product ^= ((b >> bit) & 1) * a;
  }
  return product;
}

// The Reed-Solomon check words of a block.
function qrCheck(data, count) {
  const divisor = new Uint8Array(count);
  divisor[count - 1] = 1;
  let root = 1;
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < count; j++) {
      divisor[j] = qrTimes(divisor[j], root) ^ (j + 1 < count ? divisor[j + 1] : 0);
    }
    root = qrTimes(root, 2);
  }
  const rest = new Array(count).fill(0);
  for (const word of data) {
    const factor = word ^ rest.shift();
    rest.push(0);
    divisor.forEach((term, i) => { rest[i] ^= qrTimes(term, factor); });
  }
  return rest;
}

// The text with its frame, filled up to the size of the version.
function qrData(bytes, version) {
  const bits = [];
  const put = (value, length) => {
    for (let bit = length - 1; bit >= 0; bit--) bits.push((value >> bit) & 1);
  };
  put(4, 4);
  put(bytes.length, version < 10 ? 8 : 16);
  for (const byte of bytes) put(byte, 8);
  put(0, 4);
  const words = [];
  for (let at = 0; at + 8 <= bits.length; at += 8) {
    words.push(parseInt(bits.slice(at, at + 8).join(""), 2));
  }
  for (let fill = 0xec; words.length < qrDataWords(version); fill ^= 0xec ^ 0x11) words.push(fill);
  return words;
}

// Splits into blocks, adds check words, and takes the words of all blocks in turns.
function qrInterleave(data, version) {
  const count = QR_BLOCKS[version - 1];
  const short = Math.floor(data.length / count);
  const longer = data.length % count;
  const blocks = [];
  for (let i = 0, at = 0; i < count; i++) {
    const length = short + (i >= count - longer ? 1 : 0);
    blocks.push(data.slice(at, at += length));
  }
  const checks = blocks.map((block) => qrCheck(block, QR_CHECKS[version - 1]));
  const inTurns = (lists, length) => {
    const out = [];
    for (let i = 0; i < length; i++) {
      for (const list of lists) if (i < list.length) out.push(list[i]);
    }
    return out;
  };
  return [...inTurns(blocks, short + 1), ...inTurns(checks, QR_CHECKS[version - 1])];
}

// Where the centres of alignment marks are, in both directions.
function qrMarks(version) {
  if (version === 1) return [];
  const count = Math.floor(version / 7) + 2;
  const step = Math.ceil((4 * version + 4) / (2 * count - 2)) * 2;
  const last = 4 * version + 10;
  const marks = [6];
  for (let i = count - 2; i >= 0; i--) marks.push(last - i * step);
  return marks;
}

// A value followed by the remainder that protects it.
function qrProtected(value, bits, divisor) {
  let rest = value;
  for (let i = 0; i < bits; i++) rest = (rest << 1) ^ ((rest >> (bits - 1)) * divisor);
  return (value << bits) | rest;
}

const QR_MASKS = [
  (x, y) => (x + y) % 2 === 0,
  (x, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(x / 3) + Math.floor(y / 2)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

// An empty code: its dark modules, and which of them are patterns and hold no data.
function qrFrame(version) {
  const size = 4 * version + 17;
  const dark = Array.from({ length: size }, () => new Array(size).fill(false));
  const fixed = Array.from({ length: size }, () => new Array(size).fill(false));
  const set = (x, y, on) => {
    if (x < 0 || y < 0 || x >= size || y >= size) return;
    dark[y][x] = on;
    fixed[y][x] = true;
  };
  for (let i = 0; i < size; i++) {
    set(6, i, i % 2 === 0);
    set(i, 6, i % 2 === 0);
  }
  const rings = (cx, cy, radius, light) => {
    for (let dy = -radius; dy <= radius; dy++) {
      for (let dx = -radius; dx <= radius; dx++) {
        set(cx + dx, cy + dy, !light.includes(Math.max(Math.abs(dx), Math.abs(dy))));
      }
    }
  };
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) rings(x, y, 4, [2, 4]);
  const marks = qrMarks(version);
  const last = size - 7;
  for (const x of marks) {
    for (const y of marks) {
      const finder = (x === 6 && (y === 6 || y === last)) || (x === last && y === 6);
      if (!finder) rings(x, y, 2, [1]);
    }
  }
  return { size, dark, fixed, set };
}

// Writes level and mask twice, and from version 7 on the version twice.
function qrInform({ size, set }, version, mask) {
  const format = qrProtected(mask, 10, 0x537) ^ 0x5412;
  const bit = (i) => ((format >> i) & 1) === 1;
  for (let i = 0; i < 15; i++) {
    set(8, i < 6 ? i : i < 8 ? i + 1 : size - 15 + i, bit(i));
    set(i < 8 ? size - 1 - i : i < 9 ? 7 : 14 - i, 8, bit(i));
  }
  set(8, size - 8, true);
  if (version < 7) return;
  const number = qrProtected(version, 12, 0x1f25);
  for (let i = 0; i < 18; i++) {
    const [far, near] = [size - 11 + (i % 3), Math.floor(i / 3)];
    set(far, near, ((number >> i) & 1) === 1);
    set(near, far, ((number >> i) & 1) === 1);
  }
}

// Writes the words in columns of two, upwards and downwards in turns, past the patterns.
function qrFill({ size, dark, fixed }, words, mask) {
  let at = 0;
  for (let right = size - 1; right > 0; right -= 2) {
    if (right === 6) right = 5;
    const up = ((right + 1) & 2) === 0;
    for (let i = 0; i < size; i++) {
      const y = up ? size - 1 - i : i;
      for (const x of [right, right - 1]) {
        if (fixed[y][x]) continue;
        const bit = at < words.length * 8 && ((words[at >> 3] >> (7 - (at & 7))) & 1) === 1;
        dark[y][x] = bit !== QR_MASKS[mask](x, y);
        at++;
      }
    }
  }
}

// How hard a code is to read: runs, squares, false finders, and too much of one colour.
function qrPenalty(dark) {
  const size = dark.length;
  const lines = [...dark, ...dark.map((_, x) => dark.map((row) => row[x]))];
  let points = 0;
  for (const line of lines) {
    const text = line.map((on) => (on ? "1" : "0")).join("");
    for (const [run] of text.matchAll(/0{5,}|1{5,}/g)) points += run.length - 2;
    points += 40 * [...text.matchAll(/(?=10111010000|00001011101)/g)].length;
  }
  let count = 0;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      count += dark[y][x] ? 1 : 0;
      const same = x > 0 && y > 0 && dark[y][x] === dark[y - 1][x] &&
        dark[y][x] === dark[y][x - 1] && dark[y][x] === dark[y - 1][x - 1];
      points += same ? 3 : 0;
    }
  }
  return points + 10 * Math.floor(Math.abs(20 * count / (size * size) - 10));
}

// The rows of a code, true is dark, without the quiet zone; null if the text is too long.
function qrCode(text) {
  const bytes = new TextEncoder().encode(text);
  let version = 1;
  while (version <= QR_CHECKS.length && bytes.length > qrCapacity(version)) version++;
  if (version > QR_CHECKS.length) return null;
  const words = qrInterleave(qrData(bytes, version), version);
  let best = null;
  for (let mask = 0; mask < QR_MASKS.length; mask++) {
    const frame = qrFrame(version);
    qrInform(frame, version, mask);
    qrFill(frame, words, mask);
    const penalty = qrPenalty(frame.dark);
    if (best === null || penalty < best.penalty) best = { penalty, dark: frame.dark };
  }
  return best.dark;
}
