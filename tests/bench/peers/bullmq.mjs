// BullMQ: `node bullmq.mjs REDIS_SOCKET SECONDS`.

import {Queue, Worker} from 'bullmq';
import IORedis from 'ioredis';
import {fileURLToPath} from 'node:url';

import {main} from './loop.mjs';

const OPTIONS = {removeOnComplete: true, removeOnFail: true};

function connectTo(path) {
  return new IORedis({path, maxRetriesPerRequest: null});
}

main({
  name: 'BullMQ',
  script: fileURLToPath(import.meta.url),
  async connect(path) {
    const queue = new Queue('bench', {connection: connectTo(path)});
    await queue.waitUntilReady();
    return {
      one: (number) => queue.add('bench', {number}, OPTIONS),
      many: (numbers) => queue.addBulk(numbers.map((number) => ({name: 'bench', data: {number}, opts: OPTIONS}))),
    };
  },
  async work(path, concurrency, reports) {
    const worker = new Worker('bench', async (job) => reports.add('started', job.data.number), {connection: connectTo(path), concurrency});
    worker.on('completed', (job) => reports.add('ended', job.data.number));
    await worker.waitUntilReady();
  },
});
