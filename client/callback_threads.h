#ifndef ACTIONCLUSTER_CLIENT_CALLBACK_THREADS_H_
#define ACTIONCLUSTER_CLIENT_CALLBACK_THREADS_H_

namespace actioncluster::client {

// Keeps the threads on which gRPC 1.51 runs callbacks until the process ends. By itself it ends them with the last channel that has used them; if that is
// let go on one of them, in a callback, the thread goes on with a queue that it has just deleted, and the process aborts. Any thread; again: nothing happens.
void KeepCallbackThreads();

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_CALLBACK_THREADS_H_
