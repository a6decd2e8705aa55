#ifndef ACTIONCLUSTER_CLIENT_CALLBACK_SCOPE_H_
#define ACTIONCLUSTER_CLIENT_CALLBACK_SCOPE_H_

namespace actioncluster::client {

// While it lives, code of the library's user runs on this thread, which may be one of gRPC's callback threads. There are only a few: whoever waits on them for what another callback
// has to bring may wait for ever. What blocks takes another way there.
class CallbackScope {
 public:
  CallbackScope() : outer_(inside_) { inside_ = true; }
  ~CallbackScope() { inside_ = outer_; }
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

  // Of the calling thread.
  static bool inside() { return inside_; }

 private:
  inline static thread_local bool inside_ = false;
  const bool outer_;
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_CALLBACK_SCOPE_H_
