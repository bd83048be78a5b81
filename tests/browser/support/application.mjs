// What an application server does: signs tokens, makes sessions and asks about them over REST.
// In this process: a command of the command line takes a second.
import { createHmac, randomUUID } from 'node:crypto';

const CLIENT_TOKEN_S = 3_600;
const REST_TOKEN_S = 180;

export class Application {
  #project;
  #url;

  /** `project`: as `sealroute project create` answers. */
  constructor(url, project) {
    this.#url = url;
    this.#project = project;
  }

  async createSession({ e2ee, relayed }) {
    const fields = { e2ee, 'p2p.preference': relayed ? 'enabled' : 'disabled' };
    const [made] = await this.#ask('/session/create', new URLSearchParams(fields));
    return made.session_id;
  }

  clientToken(sessionId, { role, data }) {
    return this.#sign(CLIENT_TOKEN_S, {
      ...{ session_id: sessionId, scope: 'session.connect' },
      ...{ role, connection_data: data },
    });
  }

  /** "Why is it black?" for each stream of a session, as `sealroute doctor session` asks. */
  async explain(sessionId) {
    const streams = `/v2/project/${this.#project.apiKey}/session/${sessionId}/stream`;
    const { items } = await this.#ask(streams);
    return Promise.all(items.map(({ id }) => this.#ask(`${streams}/${id}/explain`)));
  }

  async #ask(path, form) {
    const answer = await fetch(`${this.#url}${path}`, {
      headers: { Accept: 'application/json', 'X-OPENTOK-AUTH': this.#sign(REST_TOKEN_S) },
      ...(form ? { method: 'POST', body: form } : {}),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  }

  /** A JSON Web Token (HS256) of the project. */
  #sign(lifetimeS, claims = {}) {
    const { apiKey, apiSecret } = this.#project;
    const now = Math.floor(Date.now() / 1_000);
    const all = { iss: apiKey, ist: 'project', iat: now, exp: now + lifetimeS, jti: randomUUID() };
    const signed = [
      { alg: 'HS256', typ: 'JWT' },
      { ...all, ...claims },
    ]
      .map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'))
      .join('.');
    return `${signed}.${createHmac('sha256', apiSecret).update(signed).digest('base64url')}`;
  }
}
