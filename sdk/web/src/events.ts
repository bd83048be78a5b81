/** The event system of OpenTok.js: on, once and off with names, maps and contexts. */

/** An event of OpenTok.js: its name, its source, and the event's own members. */
export class OTEvent<Type extends string = string, Target = unknown> {
  private defaultPrevented = false;

  constructor(
    readonly type: Type,
    readonly target: Target,
    readonly cancelable = false,
  ) {}

  /** Keeps the SDK from its default action; only cancelable events have one. */
  preventDefault(): void {
    if (this.cancelable) this.defaultPrevented = true;
  }

  /** Whether a handler called `preventDefault()`. */
  isDefaultPrevented(): boolean {
    return this.defaultPrevented;
  }
}

/** An event as applications name its type. */
export interface Event<Type = string, Target = unknown> {
  /** The name of the event. */
  readonly type: Type;
  /** What dispatched it. */
  readonly target: Target;
  /** Whether there is a default action to prevent. */
  readonly cancelable: boolean;
  /** Whether a handler called `preventDefault()`. */
  isDefaultPrevented(): boolean;
  /** Keeps the SDK from its default action; only cancelable events have one. */
  preventDefault(): void;
}

/** A handler of events whose names the types do not know: several names, or one from a variable. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- as in OpenTok.js, whose types this fits
type AnyHandler = (event: any) => void;

/** Event name → what its event has beside the members of OTEvent. */
type EventDetails = object;

type EventOf<Details, Name extends keyof Details, Target> = OTEvent<Name & string, Target> &
  Details[Name];

// Methods, so that handlers of narrower events fit.
type Handler = { bivarianceHack(event: OTEvent): void }['bivarianceHack'];
type HandlerMap<Details, Target> = {
  [Name in keyof Details]?: (event: EventOf<Details, Name, Target>) => void;
};

interface Registration {
  readonly handler: Handler;
  readonly context: unknown;
  readonly isOnce: boolean;
}

/** `on`, `once` and `off` of OpenTok.js. */
export class Emitter<Details extends EventDetails> {
  private readonly registrations = new Map<string, Registration[]>();

  /** Adds a handler; `context` is its `this`. */
  on<Name extends keyof Details & string>(
    name: Name,
    handler: (event: EventOf<Details, Name, this>) => void,
    context?: unknown,
  ): this;
  on(handlers: HandlerMap<Details, this>, context?: unknown): this;
  on(names: string, handler: AnyHandler, context?: unknown): this;
  on(names: string | object, handlerOrContext?: unknown, context?: unknown): this {
    return this.register(false, names, handlerOrContext, context);
  }

  /** Adds a handler for the next event only. */
  once<Name extends keyof Details & string>(
    name: Name,
    handler: (event: EventOf<Details, Name, this>) => void,
    context?: unknown,
  ): this;
  once(handlers: HandlerMap<Details, this>, context?: unknown): this;
  once(names: string, handler: AnyHandler, context?: unknown): this;
  once(names: string | object, handlerOrContext?: unknown, context?: unknown): this {
    return this.register(true, names, handlerOrContext, context);
  }

  /** Without arguments it removes every handler; without a handler, all of that name. */
  off<Name extends keyof Details & string>(
    name?: Name,
    handler?: (event: EventOf<Details, Name, this>) => void,
    context?: unknown,
  ): this;
  off(handlers: HandlerMap<Details, this>, context?: unknown): this;
  off(names: string, handler?: AnyHandler, context?: unknown): this;
  off(names?: string | object, handlerOrContext?: unknown, context?: unknown): this {
    if (names === undefined) this.registrations.clear();
    else {
      for (const [name, handler, owner] of pairs(names, handlerOrContext, context)) {
        const kept = this.handlersOf(name).filter(
          (entry) =>
            handler !== undefined &&
            (entry.handler !== handler || (owner !== undefined && entry.context !== owner)),
        );
        this.registrations.set(name, kept);
      }
    }
    this.handlersChanged();
    return this;
  }

  /** Whether anybody listens for `name`. */
  protected hasHandlers(name: string): boolean {
    return this.handlersOf(name).length > 0;
  }

  /** For work that is only worth doing while somebody listens. */
  protected handlersChanged(): void {}

  /** Calls the handlers; their own errors are reported and stop nobody else. */
  protected dispatch<Name extends keyof Details & string>(
    name: Name,
    details: Details[Name],
    options: { cancelable?: boolean; type?: string } = {},
  ): OTEvent {
    const event = new OTEvent(options.type ?? name, this, options.cancelable ?? false);
    for (const [key, value] of Object.entries(details as object)) {
      if (!(key in event)) Object.defineProperty(event, key, { value, enumerable: true });
    }
    for (const entry of this.handlersOf(name)) {
      if (entry.isOnce) this.remove(name, entry);
      try {
        entry.handler.call(entry.context ?? this, event);
      } catch (error) {
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return event;
  }

  private register(
    isOnce: boolean,
    names: string | object,
    handlerOrContext: unknown,
    context: unknown,
  ): this {
    for (const [name, handler, owner] of pairs(names, handlerOrContext, context)) {
      if (typeof handler !== 'function') {
        throw new TypeError(`The handler of "${name}" must be a function`);
      }
      const entry = { handler: handler as Handler, context: owner, isOnce };
      this.registrations.set(name, [...this.handlersOf(name), entry]);
    }
    this.handlersChanged();
    return this;
  }

  private remove(name: string, entry: Registration): void {
    this.registrations.set(
      name,
      this.handlersOf(name).filter((other) => other !== entry),
    );
    this.handlersChanged();
  }

  private handlersOf(name: string): readonly Registration[] {
    return this.registrations.get(name) ?? [];
  }
}

function* pairs(
  names: string | object,
  handlerOrContext: unknown,
  context: unknown,
): Iterable<[name: string, handler: unknown, context: unknown]> {
  if (typeof names === 'string') {
    for (const name of names.split(/\s+/).filter(Boolean)) yield [name, handlerOrContext, context];
  } else {
    for (const [name, handler] of Object.entries(names)) yield [name, handler, handlerOrContext];
  }
}
