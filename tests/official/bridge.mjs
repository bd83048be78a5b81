// Calls an official Node SDK for a test in another language: a line of JSON in, a line out.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const load = createRequire(import.meta.url);
const settings = JSON.parse(process.argv[2]);

function opentok() {
  const OpenTok = load('opentok');
  const sdk = new OpenTok(settings.key, settings.secret, settings.url);
  const methods = new Set([
    ...Object.keys(sdk).filter((name) => typeof sdk[name] === 'function'),
    ...Object.getOwnPropertyNames(OpenTok.prototype),
  ]);
  const plain = new Set(['generateToken', 'generateJwt']);
  const call = (name, args) =>
    plain.has(name)
      ? sdk[name](...args)
      : new Promise((resolve, reject) => {
          sdk[name](...args, (failure, value) => (failure ? reject(failure) : resolve(value)));
        });
  return { methods, call };
}

function vonage() {
  const { Vonage } = load('@vonage/server-sdk');
  const { Auth } = load('@vonage/auth');
  const auth = new Auth({ applicationId: settings.key, privateKey: settings.secret });
  const { video } = new Vonage(auth, { videoHost: settings.url });
  const methods = new Set(Object.getOwnPropertyNames(Object.getPrototypeOf(video)));
  methods.add('sendFormSubmitRequest'); // the way to ask for an encrypted session
  return { methods, call: (name, args) => video[name](...args) };
}

const { methods, call } = { opentok, vonage }[settings.sdk]();
methods.delete('constructor');

async function told(failure) {
  const body = await failure?.response?.text?.().catch(() => '');
  return { name: failure?.constructor?.name, message: `${failure?.message} ${body ?? ''}` };
}

function shown(value) {
  // Objects of the SDKs lead back to the SDK; what they carry is what counts.
  const seen = new Set();
  return JSON.parse(
    JSON.stringify(value ?? null, (key, member) => {
      if (typeof member === 'object' && member !== null) {
        if (seen.has(member) || key === 'ot' || key === 'request' || key === 'config') return null;
        seen.add(member);
      }
      return member;
    }),
  );
}

for await (const line of createInterface({ input: process.stdin })) {
  const { method, args } = JSON.parse(line);
  let answer;
  try {
    answer = { value: shown(method === 'methods' ? [...methods] : await call(method, args)) };
  } catch (failure) {
    answer = { failure: await told(failure) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
