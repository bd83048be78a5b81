import type { ConnectionInfo } from './signaling/messages';

/** One client in the session. */
export class Connection {
  /** Id of the connection in its session. */
  readonly connectionId: string;
  /** The same as `connectionId`; applications use both. */
  readonly id: string;
  /** Unix milliseconds. */
  readonly creationTime: number;
  /** The data of the client's token; "" without. */
  readonly data: string;

  constructor(info: ConnectionInfo) {
    this.connectionId = info.connectionId;
    this.id = info.connectionId;
    this.creationTime = info.creationTime;
    this.data = info.data ?? '';
  }
}
