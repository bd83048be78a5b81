import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Claims, SessionTrust, StreamTrust } from '../../src/e2ee/trust';
import { PeerLinks } from '../../src/rtc/peer-links';

const connection = { connectionId: 'ada' };
const claims = (e2ee: unknown, mediaMode: unknown, sessionId: unknown = 'session'): Claims => ({
  session: { e2ee, mediaMode, sessionId },
  connection,
});
const ENCRYPTED = claims(true, 'routed');

function trust(hasSecret: boolean): SessionTrust {
  const made = new SessionTrust('session', () => undefined);
  made.connecting(hasSecret);
  return made;
}

describe('what a server says of the session', () => {
  for (const mediaMode of ['routed', 'relayed', 'ROUTED', '', null, undefined, 1, ['routed'], {}]) {
    for (const e2ee of [true, false, 1, 'true', null, undefined, {}, []]) {
      const said = JSON.stringify([e2ee, mediaMode]);
      const isEncrypted = e2ee === true && mediaMode === 'routed';
      const isClear = e2ee === false && (mediaMode === 'routed' || mediaMode === 'relayed');

      test(`${said} to a client with a secret`, () => {
        const machine = trust(true);
        assert.equal(machine.state, 'required');
        assert.equal(machine.onWelcome(claims(e2ee, mediaMode)) === undefined, isEncrypted);
        machine.onKeyed();
        assert.equal(machine.state, isEncrypted ? 'keyed' : 'refused');
        assert.equal(machine.mayExchange, isEncrypted);
        assert.ok(machine.isEncrypted);
      });

      test(`${said} to a client without one`, () => {
        const machine = trust(false);
        assert.equal(machine.mayExchange, false);
        const isEntered = machine.onWelcome(claims(e2ee, mediaMode)) === undefined;
        assert.equal(isEntered, isEncrypted || isClear);
        assert.equal(machine.state, isClear ? 'none' : isEncrypted ? 'confirmed' : 'refused');
        assert.equal(machine.mayExchange, isClear);
      });
    }
  }

  test('nothing at all, another session, or no place in it', () => {
    for (const said of [
      {},
      { connection },
      claims(true, 'routed', 'another session'),
      { ...ENCRYPTED, connection: {} },
      { ...ENCRYPTED, connection: { connectionId: 7 } },
    ]) {
      for (const hasSecret of [true, false]) {
        assert.ok(trust(hasSecret).onWelcome(said), JSON.stringify(said));
      }
    }
  });

  test('something else when it resumes', () => {
    const other = { ...ENCRYPTED, connection: { connectionId: 'eve' } };
    for (const said of [claims(false, 'routed'), claims(true, 'relayed'), other, {}]) {
      const machine = trust(true);
      machine.onWelcome(ENCRYPTED);
      machine.onKeyed();
      assert.equal(machine.onResumed(said), 'changed');
      assert.equal(machine.state, 'refused');
      assert.equal(machine.mayExchange, false);
    }
    const machine = trust(true);
    machine.onWelcome(ENCRYPTED);
    assert.equal(machine.onResumed(claims(true, 'routed')), undefined);
  });
});

describe('the way back to clear', () => {
  const endings: Record<string, (machine: SessionTrust) => void> = {
    'with a secret': (machine) => machine.connecting(true),
    confirmed: (machine) => machine.onWelcome(ENCRYPTED),
    keyed: (machine) => {
      machine.onWelcome(ENCRYPTED);
      machine.onKeyed();
    },
    refused: (machine) => machine.onWelcome(claims(true, 'relayed')),
    'with a secret set meanwhile': (machine) => machine.require(),
  };
  for (const [name, reach] of Object.entries(endings)) {
    test(`is closed: ${name}`, () => {
      const machine = trust(false);
      reach(machine);
      machine.left();
      machine.connecting(false);
      assert.equal(machine.onWelcome(claims(false, 'routed')), 'clear');
      assert.equal(machine.mayExchange, false);
    });
  }

  test('is open to who has never asked for encryption', () => {
    const machine = trust(false);
    machine.onWelcome(claims(false, 'relayed'));
    machine.onKeyed();
    machine.require();
    assert.equal(machine.state, 'none');
    machine.left();
    machine.connecting(false);
    assert.equal(machine.onWelcome(ENCRYPTED), undefined);
  });
});

describe('a stream', () => {
  test('is encrypted once a frame passed, fails while they do not open, and heals', () => {
    const seen: string[] = [];
    const stream = new StreamTrust(({ newValue }) => seen.push(newValue));
    stream.begin(true);
    stream.onFailing(true);
    stream.onFailing(false);
    stream.onPassed();
    stream.onPassed();
    stream.onFailing(true);
    stream.onFailing(false);
    stream.begin(true);
    assert.deepEqual(seen, ['failing', 'pending', 'encrypted', 'failing', 'encrypted', 'pending']);
  });

  test('of a clear session is nothing of it', () => {
    const stream = new StreamTrust(() => undefined);
    stream.begin(false);
    stream.onPassed();
    stream.onFailing(true);
    assert.equal(stream.state, 'none');
  });
});

test('there are no links between clients in an encrypted session', () => {
  const settings = { iceServers: [], iceTransportPolicy: 'all', isEncrypted: true } as const;
  assert.throws(
    () => new PeerLinks(settings, () => assert.fail('nothing is sent'), {} as never),
    /relayed/,
  );
});
