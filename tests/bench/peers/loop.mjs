// What all peers' programs have in common: a process that enqueues and one that works, as with bench_tasks. The worker tells the other by IPC what has begun and
// what has ended, many in one message; so that is in the measurement, as the way back through a node is in the other one.

import {fork} from 'node:child_process';

const WARM_UP_MS = 500;
const [redisPath, seconds, role, concurrency] = process.argv.slice(2);

// Beginnings and ends, sent once a turn of the event loop.
class Reports {
  #batch = [];

  add(kind, number) {
    if (this.#batch.push([kind, number]) === 1) {
      setImmediate(() => {
        process.send(this.#batch);
        this.#batch = [];
      });
    }
  }
}

class Caller {
  #child;
  #pending = new Map();
  #last = 0;

  constructor(script, concurrency) {
    this.#child = fork(script, [redisPath, seconds, 'worker', String(concurrency)]);
    this.ready = new Promise((resolve) => this.#child.once('message', resolve));
    this.#child.on('message', (batch) => Array.isArray(batch) && batch.forEach(([kind, number]) => this.#heard(kind, number)));
  }

  stop() {
    this.#child.kill('SIGKILL');
  }

  // `enqueue(numbers)` adds a task for each. Ends when all have got so far.
  async #operation(enqueue, until, count) {
    const numbers = Array.from({length: count}, () => ++this.#last);
    const ended = new Promise((resolve) => {
      let left = count;
      const done = () => --left === 0 && resolve();
      for (const number of numbers) this.#pending.set(number, {until, done});
    });
    await Promise.all([ended, enqueue(numbers)]);
  }

  #heard(kind, number) {
    const pending = this.#pending.get(number);
    if (pending?.until !== kind) return;
    this.#pending.delete(number);
    pending.done();
  }

  async #run(inFlight, ms, enqueue, until, count) {
    const took = [];
    const begun = performance.now();
    const lane = async () => {
      while (performance.now() < begun + ms) {
        const start = performance.now();
        await this.#operation(enqueue, until, count);
        took.push(performance.now() - start);
      }
    };
    await Promise.all(Array.from({length: inFlight}, lane));
    took.sort((a, b) => a - b);
    const at = (quantile) => Math.round(took[Math.floor((took.length - 1) * quantile)] * 1000);
    return {perSecond: (took.length * count * 1000) / (performance.now() - begun), p50: at(0.5), p99: at(0.99)};
  }

  async measure(what, inFlight, enqueue, until, count = 1) {
    await this.#run(inFlight, WARM_UP_MS, enqueue, until, count);
    const {perSecond, p50, p99} = await this.#run(inFlight, seconds * 1000, enqueue, until, count);
    console.log(`${inFlight} ${perSecond.toFixed(0)} ${p50} ${p99} ${what}`);
  }
}

// `work(redisPath, concurrency, reports)` resolves when it waits for tasks; `connect(redisPath)` gives {one(number), many(numbers)}.
// `concurrencies`: of the worker, one after the other.
export async function main({name, script, connect, work, concurrencies = [64, 256]}) {
  if (role === 'worker') {
    await work(redisPath, Number(concurrency), new Reports());
    process.send('ready');
    return;
  }
  const queue = await connect(redisPath);
  for (const size of concurrencies) {
    const caller = new Caller(script, size);
    await caller.ready;
    const one = ([number]) => queue.one(number);
    if (size === concurrencies[0]) await caller.measure(`${name}: to start, idle`, 1, one, 'started');
    for (const inFlight of [1, 64]) await caller.measure(`${name}: to end, worker of ${size}`, inFlight, one, 'ended');
    if (queue.many) await caller.measure(`${name}: 100 to end, worker of ${size}`, 4, queue.many, 'ended', 100);
    caller.stop();
  }
  process.exit(0);
}
