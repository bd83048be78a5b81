import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AnswerTime } from '../../src/signaling/answer-time';

function after(...tookMs: number[]): number {
  const answers = new AnswerTime();
  tookMs.forEach((took, id) => {
    answers.asked(id, 0);
    answers.answered(id, took);
  });
  return answers.patienceMs;
}

describe('the patience with an answer', () => {
  test('is a second before any came, and where they come quickly', () => {
    assert.equal(after(), 1_000);
    assert.equal(after(20, 30, 25, 300), 1_000);
  });

  test('follows RFC 6298: three times the first, then the mean and four times its variation', () => {
    assert.equal(after(600), 1_800);
    // The mean: 600 + 1/8 · 600; the variation: 300 + 1/4 · (600 − 300).
    assert.equal(after(600, 1_200), 675 + 4 * 375);
  });

  test('grows no further than eight seconds, and a sleep of the machine does not count', () => {
    assert.equal(after(6_000, 7_000, 8_000), 8_000);
    assert.equal(after(50, 3_600_000), 1_000);
  });

  test('shrinks again once answers are quick', () => {
    assert.equal(after(3_000, ...Array.from({ length: 60 }, () => 40)), 1_000);
  });

  test('times only the answer to the newest question', () => {
    const answers = new AnswerTime();
    answers.asked(1, 0);
    answers.asked(2, 900);
    answers.answered(1, 4_000);
    assert.equal(answers.patienceMs, 1_000);
    answers.answered(2, 4_000);
    assert.equal(answers.patienceMs, 8_000);
    answers.answered(2, 4_000);
    assert.equal(answers.patienceMs, 8_000);
  });
});
