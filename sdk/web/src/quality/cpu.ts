/** How busy the machine is, as the browser reports it (W3C Compute Pressure): Chromium only. */

/** As in W3C's Compute Pressure. */
export type CpuPerformanceState = 'nominal' | 'fair' | 'serious' | 'critical';

interface PressureRecord {
  readonly state: CpuPerformanceState;
}

interface Observer {
  observe(source: 'cpu', options: { sampleInterval: number }): Promise<void>;
  disconnect(): void;
}

type ObserverClass = new (onRecords: (records: readonly PressureRecord[]) => void) => Observer;

const SAMPLE_MS = 1_000;

/** Watches while it is wanted, and reports each change. */
export class CpuWatch {
  private observer: Observer | undefined;
  private state: CpuPerformanceState | undefined;

  constructor(private readonly onChange: (state: CpuPerformanceState) => void) {}

  run(isWanted: boolean): void {
    if (!isWanted) {
      this.observer?.disconnect();
      this.observer = this.state = undefined;
      return;
    }
    const { PressureObserver } = globalThis as { PressureObserver?: ObserverClass };
    if (this.observer || !PressureObserver) return;
    this.observer = new PressureObserver((records) => this.onState(records.at(-1)?.state));
    // Refused by a policy of the page: then there are no events.
    this.observer.observe('cpu', { sampleInterval: SAMPLE_MS }).catch(() => undefined);
  }

  private onState(state: CpuPerformanceState | undefined): void {
    if (state === undefined || state === this.state) return;
    this.state = state;
    this.onChange(state);
  }
}
