// What an application gets from its own back end.
const { apiKey, sessionId, token, secret } = Object.fromEntries(
  new URLSearchParams(location.hash.slice(1)),
);
