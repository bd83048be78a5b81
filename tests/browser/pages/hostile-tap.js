// Notes the frames that pass the encryption worker, between it and the browser. Before the SDK.
'use strict';

const tap = {
  /** [at, role, kind, id] of each frame that left the worker; `at` as `performance.now()` here. */
  passed: [],
};

(() => {
  const name = `tap-${crypto.randomUUID()}`;
  new BroadcastChannel(name).onmessage = ({ data: [at, ...frame] }) =>
    tap.passed.push([at - performance.timeOrigin, ...frame]);

  /** Runs in the worker, before the SDK's own script. */
  function inWorker(channelName) {
    const channel = new BroadcastChannel(channelName);
    const ways = new WeakMap();
    addEventListener('rtctransform', ({ transformer }) => {
      ways.set(transformer.writable, transformer.options);
      ways.set(transformer.readable, transformer.options);
    });
    addEventListener('message', ({ data }) => {
      if (data.type !== 'streams') return;
      ways.set(data.writable, data.options);
      ways.set(data.readable, data.options);
    });

    /** An encrypted frame ends with its tag. */
    const idOf = ({ data }) => {
      const tail = new Uint8Array(data).slice(-16);
      return `${data.byteLength}:${Array.from(tail, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
    };
    const encrypted = new WeakMap();
    const { getReader } = ReadableStream.prototype;
    ReadableStream.prototype.getReader = function (...options) {
      const reader = getReader.apply(this, options);
      if (!ways.has(this)) return reader;
      const read = reader.read.bind(reader);
      reader.read = async () => {
        const result = await read();
        if (!result.done) encrypted.set(result.value, idOf(result.value));
        return result;
      };
      return reader;
    };
    const { getWriter } = WritableStream.prototype;
    WritableStream.prototype.getWriter = function () {
      const writer = getWriter.call(this);
      const way = ways.get(this);
      if (way === undefined) return writer;
      const { role, kind } = way;
      const write = writer.write.bind(writer);
      writer.write = (frame) => {
        const id = role === 'send' ? idOf(frame) : encrypted.get(frame);
        channel.postMessage([performance.timeOrigin + performance.now(), role, kind, id]);
        return write(frame);
      };
      return writer;
    };
  }

  globalThis.Worker = class extends globalThis.Worker {
    constructor(url, options) {
      // At once: the SDK takes the address back.
      const request = new XMLHttpRequest();
      request.open('GET', url, false);
      request.send();
      const source = `(${inWorker})(${JSON.stringify(name)});\n${request.responseText}`;
      super(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })), options);
    }
  };
})();

globalThis.tap = tap;
