// node-resque, which ActionHero's tasks are made of: `node resque.mjs REDIS_SOCKET SECONDS`. A worker takes one task at a time, so there are as many workers as tasks may
// run; idle ones look again after a while.

import IORedis from 'ioredis';
import {Queue, Worker} from 'node-resque';
import {fileURLToPath} from 'node:url';

import {main} from './loop.mjs';

const LOOK_MS = 50;  // ActionHero's own is 5,000: its idle workers start a task after seconds.

function connectTo(path) {
  const redis = new IORedis({path, maxRetriesPerRequest: null});
  redis.setMaxListeners(1000);
  return redis;
}

main({
  name: 'node-resque',
  concurrencies: [64],
  script: fileURLToPath(import.meta.url),
  async connect(path) {
    const queue = new Queue({connection: {redis: connectTo(path)}}, {});
    queue.on('error', console.error);
    await queue.connect();
    return {one: (number) => queue.enqueue('bench', 'bench', [number])};
  },
  async work(path, concurrency, reports) {
    const jobs = {bench: {perform: async (number) => reports.add('started', number)}};
    const redis = connectTo(path);
    for (let i = 0; i < concurrency; ++i) {
      const worker = new Worker({connection: {redis}, queues: ['bench'], timeout: LOOK_MS, name: `${process.pid}-${i}`}, jobs);
      worker.on('success', (_queue, job) => reports.add('ended', job.args[0]));
      worker.on('error', console.error);
      await worker.connect();
      await worker.start();
    }
  },
});
