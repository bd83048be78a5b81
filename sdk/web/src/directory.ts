/** Connections and streams of the session, as the server reports them. Pure. */
import { Connection } from './connection';
import type { ConnectionInfo, StreamInfo } from './signaling/messages';
import { Stream } from './stream';

interface Departures {
  readonly connections: Connection[];
  readonly streams: Stream[];
}

/** Members that left whose names are kept, the last ones: a session may live for months. */
export const MAX_DEPARTED = 10_000;

export class Directory {
  private readonly connections = new Map<string, Connection>();
  private readonly streams = new Map<string, Stream>();
  /** The names of members that left, by id. */
  private readonly departed = new Map<string, string>();
  /** Every name of a stream of this client: none comes to mean another one. */
  private readonly claimed = new Set<string>();

  connection(connectionId: string): Connection | undefined {
    return this.connections.get(connectionId);
  }

  stream(streamId: string): Stream | undefined {
    return this.streams.get(streamId);
  }

  /** `undefined` when it is known already. A connection that comes back has the name it had before. */
  addConnection(info: ConnectionInfo): Connection | undefined {
    const { connectionId } = info;
    if (this.connections.has(connectionId)) return undefined;
    // Media and signals that decrypt are bound to the id: they must not pass under another name.
    const data = this.departed.get(connectionId) ?? info.data ?? '';
    this.departed.delete(connectionId);
    const connection = new Connection({ ...info, data });
    this.connections.set(connection.connectionId, connection);
    return connection;
  }

  /** `undefined` when it is known already, or its connection is not. */
  addStream(info: StreamInfo): Stream | undefined {
    const connection = this.connections.get(info.connectionId);
    if (!connection || this.streams.has(info.streamId)) return undefined;
    const stream = new Stream(info, connection);
    this.streams.set(stream.streamId, stream);
    return stream;
  }

  /** For a new stream of `connectionId`; false: another stream has, or had, that name. */
  claim(streamId: string, connectionId: string): boolean {
    const owner = this.streams.get(streamId)?.connection.connectionId ?? connectionId;
    if (owner !== connectionId || this.claimed.has(streamId)) return false;
    this.claimed.add(streamId);
    return true;
  }

  removeConnection(connectionId: string): Connection | undefined {
    const connection = this.connections.get(connectionId);
    if (!connection) return undefined;
    this.connections.delete(connectionId);
    this.departed.set(connectionId, connection.data);
    for (const first of this.departed.keys()) {
      if (this.departed.size <= MAX_DEPARTED) break;
      this.departed.delete(first);
    }
    return connection;
  }

  removeStream(streamId: string): Stream | undefined {
    const stream = this.streams.get(streamId);
    this.streams.delete(streamId);
    return stream;
  }

  /** After messages may have been missed: what is known here and not in the snapshot. */
  missingFrom(connections: readonly ConnectionInfo[], streams: readonly StreamInfo[]): Departures {
    const connectionIds = new Set(connections.map(({ connectionId }) => connectionId));
    const streamIds = new Set(streams.map(({ streamId }) => streamId));
    return {
      connections: [...this.connections.values()].filter(
        ({ connectionId }) => !connectionIds.has(connectionId),
      ),
      streams: [...this.streams.values()].filter(({ streamId }) => !streamIds.has(streamId)),
    };
  }
}
