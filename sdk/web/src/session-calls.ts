/** The forms in which applications call a Session: arguments may be left out in the middle. */
import { type Callback, isTarget, optional } from './arguments';
import type { OTError } from './errors';
import type { WithPromise } from './promise-variant';
import { Publisher, type PublisherProperties } from './publisher';
import type { Session } from './session';
import type { Stream } from './stream';
import { Subscriber, type SubscriberProperties } from './subscriber';
import type { Target } from './ui/view';

export type Connect = WithPromise<
  (token: string, callback?: (error?: OTError) => void) => Session,
  (token: string) => Promise<Session>
>;

export type PublishArguments = [
  publisherOrTarget?: Publisher | Target,
  propertiesOrCallback?: PublisherProperties | Callback<Publisher>,
  callback?: Callback<Publisher>,
];

export type Publish = WithPromise<
  (...args: PublishArguments) => Publisher,
  (publisherOrTarget?: Publisher | Target, properties?: PublisherProperties) => Promise<Publisher>
>;

export type SubscribeArguments = [
  stream: Stream,
  targetOrProperties?: Target | SubscriberProperties | Callback<Subscriber>,
  propertiesOrCallback?: SubscriberProperties | Callback<Subscriber>,
  callback?: Callback<Subscriber>,
];

export type Subscribe = WithPromise<
  (...args: SubscribeArguments) => Subscriber,
  (stream: Stream, target?: Target, properties?: SubscriberProperties) => Promise<Subscriber>
>;

export function publisherOf(
  given: Publisher | Target,
  properties?: PublisherProperties,
): Publisher {
  return given instanceof Publisher ? given : new Publisher(given, properties);
}

export function publishCall([
  publisherOrTarget,
  propertiesOrCallback,
  callback,
]: PublishArguments): [Publisher, Callback<Publisher> | undefined] {
  const [properties, done] = optional<PublisherProperties, Publisher>(
    propertiesOrCallback,
    callback,
  );
  return [publisherOf(publisherOrTarget, properties), done];
}

export function subscribeCall([
  stream,
  targetOrProperties,
  propertiesOrCallback,
  callback,
]: SubscribeArguments): [Subscriber, Callback<Subscriber> | undefined] {
  const [target, rest] = isTarget(targetOrProperties)
    ? [targetOrProperties, propertiesOrCallback]
    : [undefined, targetOrProperties];
  const [properties, done] = optional<SubscriberProperties, Subscriber>(
    rest,
    propertiesOrCallback,
    callback,
  );
  return [new Subscriber(stream, target, properties), done];
}
