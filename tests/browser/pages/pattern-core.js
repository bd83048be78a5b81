// The moving pattern and the tone, apart from any browser: the pages and Node share this.
'use strict';

(() => {
  const WIDTH = 320;
  const HEIGHT = 240;
  const BITS = 16;
  const CELL = WIDTH / BITS;
  const RATE_HZ = 48_000;
  const COLOURS = [
    [200, 40, 40],
    [40, 180, 60],
    [50, 70, 210],
    [210, 190, 40],
  ];
  const [BLACK, WHITE] = [
    [0, 0, 0],
    [255, 255, 255],
  ];

  /** Four coloured quarters that turn every eighth frame, above two rows of cells. */
  function rectangles(frame) {
    const turn = Math.floor(frame / 8);
    const found = [];
    for (let quarter = 0; quarter < 4; quarter += 1) {
      const [x, y] = [(quarter % 2) * (WIDTH / 2), Math.floor(quarter / 2) * 90];
      found.push({ colour: COLOURS[(quarter + turn) % 4], x, y, width: WIDTH / 2, height: 90 });
    }
    for (let bit = 0; bit < BITS; bit += 1) {
      const isSet = Boolean((frame >> bit) & 1);
      const cell = { x: bit * CELL, width: CELL, height: 30 };
      found.push({ ...cell, y: 180, colour: isSet ? WHITE : BLACK });
      // The second row is the first one inverted: a frame of noise does not pass.
      found.push({ ...cell, y: 210, colour: isSet ? BLACK : WHITE });
    }
    return found;
  }

  /** The frame's number, or `null` when the frame is not the pattern. */
  function readFrame(pixel) {
    const luma = (x, y) => pixel(x, y).reduce((sum, part) => sum + part, 0) / 3;
    let frame = 0;
    for (let bit = 0; bit < BITS; bit += 1) {
      const x = bit * CELL + CELL / 2;
      const [value, inverse] = [luma(x, 195), luma(x, 225)];
      if (Math.abs(value - inverse) < 90) return null;
      if (value > inverse) frame |= 1 << bit;
    }
    const turn = Math.floor(frame / 8);
    for (let quarter = 0; quarter < 4; quarter += 1) {
      const seen = pixel((quarter % 2) * (WIDTH / 2) + 80, Math.floor(quarter / 2) * 90 + 45);
      const expected = COLOURS[(quarter + turn) % 4];
      if (expected.some((part, index) => Math.abs(part - seen[index]) > 60)) return null;
    }
    return frame;
  }

  /** The loudest frequency of samples at 48 kHz, and its share of the loudness. */
  function loudest(samples) {
    const windowed = samples.map(
      (sample, index) => sample * Math.sin((Math.PI * index) / samples.length) ** 2,
    );
    let [best, total] = [{ hertz: 0, power: 0 }, 0];
    for (let hertz = 60; hertz <= 3_000; hertz += 10) {
      const power = goertzel(windowed, hertz);
      total += power;
      if (power > best.power) best = { hertz, power };
    }
    return { hertz: best.hertz, share: total > 0 ? best.power / total : 0 };
  }

  /** The power of one frequency. */
  function goertzel(samples, hertz) {
    const factor = 2 * Math.cos((2 * Math.PI * hertz) / RATE_HZ);
    let [last, before] = [0, 0];
    for (const sample of samples) [last, before] = [sample + factor * last - before, last];
    return last * last + before * before - factor * last * before;
  }

  globalThis.pattern = { WIDTH, HEIGHT, BITS, RATE_HZ, rectangles, readFrame, loudest };
})();
