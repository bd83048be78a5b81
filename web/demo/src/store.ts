/** The one owner of the state: what happens goes in, and the page is drawn once for it. */
import { reduce } from './reduce';
import { type Happening, LOBBY, type State } from './state';

export class Store {
  state: State = LOBBY;
  private isDue = false;

  constructor(private readonly draw: (state: State) => void) {}

  dispatch(event: Happening): void {
    const next = reduce(this.state, event);
    if (next === this.state) return;
    this.state = next;
    if (this.isDue) return;
    this.isDue = true;
    queueMicrotask(() => {
      this.isDue = false;
      this.draw(this.state);
    });
  }
}
