import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Box, layOut, layOutStage, LEAST_HEIGHT_PX, LEAST_WIDTH_PX } from '../src/layout';

const SIZES = [
  [320, 420],
  [390, 640],
  [780, 250],
  [768, 820],
  [1280, 600],
  [2560, 1300],
] as const;

const area = (width: number, height: number): Box => ({ x: 0, y: 0, width, height });
const isInside = (box: Box, { width, height }: Box): boolean =>
  box.x >= 0 && box.y >= 0 && box.x + box.width <= width && box.y + box.height <= height;
const overlap = (one: Box, other: Box): boolean =>
  one.x < other.x + other.width &&
  other.x < one.x + one.width &&
  one.y < other.y + other.height &&
  other.y < one.y + one.height;

function check(boxes: readonly Box[], whole: Box, label: string): void {
  boxes.forEach((box, index) => {
    assert.ok(isInside(box, whole), `${label}: ${JSON.stringify(box)} is outside`);
    for (const other of boxes.slice(0, index)) assert.ok(!overlap(box, other), `${label} overlaps`);
  });
}

test('tiles of 1 to 40 people are inside of every page, apart, and large enough for names', () => {
  for (const [width, height] of SIZES) {
    for (let count = 1; count <= 40; count += 1) {
      const whole = area(width, height);
      const boxes = layOut(count, whole);
      check(boxes, whole, `${count} in ${width}×${height}`);
      if (count <= 9) assert.equal(boxes.length, count, `${count} in ${width}×${height}`);
      for (const box of boxes) {
        assert.ok(box.width >= LEAST_WIDTH_PX && box.height >= LEAST_HEIGHT_PX);
      }
    }
  }
});

test('sixteen people fit on a phone held upright, and use its height', () => {
  const boxes = layOut(16, area(390, 640));
  assert.equal(boxes.length, 16);
  const used = boxes.reduce((sum, { width, height }) => sum + width * height, 0);
  assert.ok(used > 0.6 * 390 * 640, `${used}`);
  const [one] = layOut(1, area(390, 640));
  assert.ok(one && one.height > 500);
});

test('the stage is large, and the others are beside it or below', () => {
  for (const [width, height] of SIZES) {
    for (let others = 0; others <= 20; others += 1) {
      const whole = area(width, height);
      const laid = layOutStage(others, whole);
      check([laid.stage, ...laid.others], whole, `stage and ${others} in ${width}×${height}`);
      const { stage } = laid;
      assert.ok(stage.width * stage.height > 0.38 * width * height, `${width}×${height}`);
      if (others > 0) assert.ok(laid.others.length > 0);
    }
  }
});

test('below a screen on a phone held upright there is room for eight people', () => {
  const { stage, others } = layOutStage(16, area(344, 610));
  assert.ok(stage.width / stage.height < 16 / 9 && others.length >= 8, `${others.length}`);
});

test('a page without room shows nothing and does not fail', () => {
  assert.deepEqual(layOut(3, area(0, 0)), []);
  assert.equal(layOut(1, area(20, 20)).length, 1);
});
