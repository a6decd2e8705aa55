#ifndef ACTIONCLUSTER_TESTS_CHAOS_LOAD_VALUES_H_
#define ACTIONCLUSTER_TESTS_CHAOS_LOAD_VALUES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "actioncluster/cache.h"
#include "tests/chaos/load.h"

namespace actioncluster::chaos {

// Values of the cache under keys that each client uses once: what is saved must be there until it is destroyed, and not come back after that.
class ValueLoad : public Load {
 public:
  explicit ValueLoad(LoadOptions options);

  void Start() override;
  bool Settle(absl::Duration limit) override;
  void Judge(KindResult& result) override;

 private:
  struct Client {
    std::unique_ptr<client::Client> client;
    int64_t saved = 0;                       // The number of the last key.
    std::deque<std::string> there = {};      // Acknowledged, the oldest first.
    std::deque<std::string> destroyed = {};  // The last of those.
    int64_t executed = 0;                    // Those that were found.
    int64_t lost = 0;
    std::vector<std::string> problems = {};
  };

  void Step(size_t client);
  absl::Status SaveNext(Client& client, size_t number);
  absl::Status DestroyOldest(Client& client);
  // Whether it is there, with its own content.
  static absl::StatusOr<bool> IsThere(Client& client, const std::string& key);

  std::vector<Client> clients_;
  int64_t back_ = 0;
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_LOAD_VALUES_H_
