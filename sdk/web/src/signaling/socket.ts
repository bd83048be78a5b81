/** What the channel needs of a WebSocket. */
export interface Socket {
  binaryType: string;
  /** What the server chose; browsers take a server that chose none for one that agrees. */
  readonly protocol: string;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(code?: number): void;
}
