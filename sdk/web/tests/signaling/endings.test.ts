/** Every end of a WebSocket that docs/protocol/errors.md knows, as an application meets it. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { type OTError } from '../../src/errors';
import { Session } from '../../src/session';
import { type FakeClock, Random } from '../support';
import { installBrowser } from '../session/fake-browser';
import { FakeServer } from '../session/fake-server';

const PROTOCOL = ['errors', 'server-messages']
  .map((page) => readFileSync(`../../docs/protocol/${page}.md`, 'utf8'))
  .join('\n');

/** The cells of the first table behind a title, without its head. */
function tableOf(title: string): string[][] {
  const [, text = ''] = PROTOCOL.split(`\n${title}\n`);
  const table = /(?:^\|.*\n?)+/m.exec(text)?.[0] ?? '';
  const [, , ...rows] = table.trim().split('\n');
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
}

const CLOSE_CODES = new Map(
  tableOf('## Close codes').map(([code = '', , what = '']) => [code, what]),
);
const ERRORS = tableOf('## Errors').map(
  ([code = '', name = '', number, closeCode, message = '']) => ({
    error: { t: 'error', code, name, number: Number(number), message },
    closeCode: Number(closeCode),
  }),
);
const REASONS = [...(tableOf('## disconnected')[0]?.[1] ?? '').matchAll(/"(\w+)"/g)].map(
  ([, reason]) => reason ?? '',
);

const RESUMES = ['reconnecting', 'reconnected'];

interface Row {
  readonly heard: readonly string[];
  /** The reason of the `disconnected` that comes before it. */
  readonly told?: string;
}

/** What the application of a member hears: rows of the table of close codes. */
const ROWS: Readonly<Record<string, Row>> = {
  '1000': { told: 'clientDisconnected', heard: ['networkDisconnected'] },
  '1009': { heard: ['forceDisconnected OT_INVALID_PARAMETER'] },
  '1011': { heard: RESUMES },
  '1012': { told: 'serverShutdown', heard: ['networkDisconnected'] },
  '4000 + status': { heard: RESUMES },
  '4400': { heard: ['forceDisconnected OT_INVALID_PARAMETER'] },
  '4403': { heard: ['forceDisconnected'] },
  '4430': { heard: ['forceDisconnected OT_RATE_LIMIT_EXCEEDED'] },
  '4408': { heard: RESUMES },
  none: { heard: RESUMES },
};
/** After these the application joins again, and not the SDK. */
const BY_APPLICATION = ['1012'];

interface Stay {
  readonly clock: FakeClock;
  readonly server: FakeServer;
  readonly session: Session;
  readonly heard: string[];
}

function begin(): Stay {
  const random = new Random(1);
  const clock = installBrowser(random);
  const server = new FakeServer(clock, random);
  Object.assign(globalThis, {
    WebSocket: function () {
      return server.openSocket();
    },
  });
  const session = new Session('key', 'session', { serverUrl: 'http://server' });
  const heard: string[] = [];
  session.on({
    sessionReconnecting: () => heard.push('reconnecting'),
    sessionReconnected: () => heard.push('reconnected'),
    sessionDisconnected: ({ reason, error }) =>
      heard.push(error ? `${reason} ${error.name}` : reason),
  });
  return { clock, server, session, heard };
}

async function joined(): Promise<Stay> {
  const stay = begin();
  stay.session.connect.promise('token').catch(() => undefined);
  await stay.clock.advance(1_000);
  assert.ok(stay.session.connection);
  return stay;
}

/** Those of a row: "none" is what browsers make of no close frame, "4000 + status" many. */
function codesOf(row: string): number[] {
  if (row === 'none') return [1006];
  if (row !== '4000 + status') return [Number(row)];
  const codes = ERRORS.map(({ closeCode }) => closeCode);
  return [...new Set(codes)].filter((code) => code >= 4000 && !CLOSE_CODES.has(String(code)));
}

test('the protocol has no other close codes and reasons than those that are tested here', () => {
  assert.deepEqual([...CLOSE_CODES.keys()].sort(), Object.keys(ROWS).sort());
  for (const [row, what] of CLOSE_CODES) {
    if (row === '4000 + status' || BY_APPLICATION.includes(row)) continue;
    assert.equal(what, ROWS[row]?.heard === RESUMES ? 'comes back' : 'ends', row);
  }
  assert.ok(ERRORS.length > 30 && codesOf('4000 + status').length > 5);
  assert.deepEqual(REASONS, [
    ...['clientDisconnected', 'forceDisconnected', 'networkDisconnected', 'serverShutdown'],
  ]);
});

describe('a member whose WebSocket is closed with', () => {
  for (const [row, { heard, told: reason }] of Object.entries(ROWS)) {
    for (const code of codesOf(row)) {
      test(`${code} (${row}): ${heard.join()}`, async () => {
        const stay = await joined();
        stay.server.endSocket(code, reason === undefined ? reason : { t: 'disconnected', reason });
        await stay.clock.advance(60_000);
        assert.deepEqual(stay.heard, heard);
        assert.equal(stay.server.joins, 1);
        assert.equal(stay.session.connection !== undefined, heard === RESUMES);
      });
    }
  }
});

describe('a member that is told "disconnected" with the reason', () => {
  // Nobody who hears it left of themselves.
  const told = new Map([['forceDisconnected', 'forceDisconnected']]);
  for (const reason of REASONS) {
    const heard = told.get(reason) ?? 'networkDisconnected';
    test(`"${reason}": ${heard}, and does not come back by itself`, async () => {
      const stay = await joined();
      stay.server.endSocket(1000, { t: 'disconnected', reason });
      await stay.clock.advance(60_000);
      assert.deepEqual(stay.heard, [heard]);
      assert.equal(stay.session.connection, undefined);
    });
  }

  for (const reason of ['encryptionFailed', '', 7]) {
    test(`${JSON.stringify(reason)}, which is none: goes by how the WebSocket ends`, async () => {
      const stay = await joined();
      stay.server.endSocket(1000, { t: 'disconnected', reason });
      await stay.clock.advance(60_000);
      assert.deepEqual(stay.heard, RESUMES);
    });
  }
});

describe('a client whose greeting is refused with', () => {
  for (const { error, closeCode } of ERRORS) {
    test(`${error.code}: its name, number and text`, async () => {
      const stay = begin();
      stay.server.refusal = { error, closeCode };
      let failure: OTError | undefined;
      stay.session.connect('token', (given) => (failure = given));
      await stay.clock.advance(60_000);
      assert.deepEqual(
        [failure?.name, failure?.code, failure?.message],
        [error.name, error.number, error.message],
      );
      assert.deepEqual(stay.heard, []);
    });
  }
});
