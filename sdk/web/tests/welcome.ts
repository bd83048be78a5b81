/** What a server of an encrypted session answers to a client that joins. */
export const WELCOME = {
  t: 'welcome',
  connection: { connectionId: 'ada', creationTime: 1, data: '' },
  session: { sessionId: 'session', e2ee: true, mediaMode: 'routed' },
  capabilities: {
    publish: 1,
    subscribe: 1,
    signal: 1,
    forceUnpublish: 0,
    forceDisconnect: 0,
    forceMute: 0,
  },
  connections: [{ connectionId: 'bob', creationTime: 1, data: '' }],
  streams: [],
  resume: 'token',
  resumed: false,
  keepAliveMs: 60_000,
  graceMs: 60_000,
};
