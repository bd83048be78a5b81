/** OpenTok.js gives many methods a twin that returns a promise: `connect.promise(token)`. */
export function withPromise<Call extends (...args: never[]) => unknown, Promised>(
  call: Call,
  promise: Promised,
): Call & { promise: Promised } {
  return Object.assign(call, { promise });
}

export type WithPromise<Call, Promised> = Call & { readonly promise: Promised };

interface Variants {
  call(...args: never[]): unknown;
  promise(...args: never[]): Promise<unknown>;
}

type Method = (...args: unknown[]) => unknown;

/**
 * The same for methods of a class: applications look for their names on the prototype, and replace
 * them there or on one object.
 */
export function definePromised<Owner extends object>(
  prototype: Owner,
  methods: Record<string, Variants & ThisType<Owner>>,
): void {
  for (const [name, variants] of Object.entries(methods)) {
    const bound = new WeakMap<object, Method>();
    Object.defineProperty(prototype, name, {
      configurable: true,
      enumerable: false,
      get(this: object): Method {
        const known = bound.get(this);
        if (known) return known;
        const made = bindVariants(this, variants);
        bound.set(this, made);
        return made;
      },
      set(this: object, value: unknown) {
        Object.defineProperty(this, name, {
          ...{ value, configurable: true, enumerable: true, writable: true },
        });
      },
    });
  }
}

/** Works with the object that it was taken from, and with another one by `call`. */
function bindVariants(owner: object, variants: Variants): Method {
  const method = function (this: unknown, ...args: unknown[]): unknown {
    const self = this instanceof owner.constructor ? this : owner;
    return variants.call.apply(self, args as never[]);
  };
  return withPromise(method, variants.promise.bind(owner));
}
