#ifndef ACTIONCLUSTER_TESTS_CHAOS_LOAD_RPC_H_
#define ACTIONCLUSTER_TESTS_CHAOS_LOAD_RPC_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/method_host.h"
#include "tests/chaos/load.h"

namespace actioncluster::chaos {

// Calls to a method that a host on each node offers: of any that has it, by some clients, and of each node's own, by another. Each must end by its deadline, with the handler's own answer or an
// error, and none may run twice.
class RpcLoad : public Load {
 public:
  explicit RpcLoad(LoadOptions options);

  void Start() override;
  bool Stop(absl::Duration limit) override;
  bool Settle(absl::Duration) override { return true; }  // A call leaves nothing behind.
  void Judge(KindResult& result) override;

 private:
  void CallAny(size_t client);
  void CallNode(size_t client);
  absl::StatusOr<v1::CallResponse> Call(size_t client, const v1::CallRequest& request);
  absl::StatusOr<google::protobuf::Value> Answer(const v1::ServeResponse::Call& call);

  std::vector<std::unique_ptr<client::Client>> clients_;
  std::vector<int64_t> numbers_;  // Of each client's last call.
  std::vector<std::unique_ptr<client::Client>> serving_;
  std::vector<std::unique_ptr<client::MethodHost>> hosts_;
  absl::Mutex mutex_;
  std::map<std::string, int> executed_ ABSL_GUARDED_BY(mutex_);  // How often each call has run.
  int64_t unexecuted_ ABSL_GUARDED_BY(mutex_) = 0;               // Answered, and never run.
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_LOAD_RPC_H_
