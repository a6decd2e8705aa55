#ifndef ACTIONCLUSTER_TESTS_CHAOS_LOAD_ROOMS_H_
#define ACTIONCLUSTER_TESTS_CHAOS_LOAD_ROOMS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "actioncluster/connection.h"
#include "tests/chaos/load.h"

namespace actioncluster::chaos {

// Rooms with a history, whose members are connections that come back by themselves; all say numbers. What is acknowledged each member must hear, once, and in order.
class RoomLoad : public Load {
 public:
  explicit RoomLoad(LoadOptions options);

  void Start() override;
  bool Settle(absl::Duration limit) override;
  void Judge(KindResult& result) override;

 private:
  // What a member has heard of one of those in its room, itself included.
  struct Heard {
    std::set<int64_t> numbers = {};
    int64_t last = 0;
  };
  // Touched by its own thread alone, while that runs.
  struct Member {
    std::string room;
    std::unique_ptr<client::Client> client;
    std::unique_ptr<client::Connection> connection;
    int64_t said = 0;
  };
  // What is known of a member.
  struct State {
    bool outside = false;  // It was put out of its room, and has to join again.
    bool ended = false;    // For good.
    uint64_t offset = 0;   // Of the last message.
    std::vector<int64_t> acknowledged = {};
    std::map<std::string, Heard> heard = {};  // By the sender.
    int64_t duplicated = 0;
    int64_t disordered = 0;
    std::vector<std::string> problems = {};
  };

  void Enter(size_t number);
  void Say(size_t number);
  void Hear(size_t number, const v1::OpenResponse::Message& message);
  void Report(size_t number, const std::string& problem);
  // Deliveries of what was acknowledged that have not come yet.
  int64_t Missing() const;

  std::vector<Member> members_;
  mutable absl::Mutex mutex_;
  std::vector<State> states_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_LOAD_ROOMS_H_
