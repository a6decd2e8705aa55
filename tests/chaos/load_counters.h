#ifndef ACTIONCLUSTER_TESTS_CHAOS_LOAD_COUNTERS_H_
#define ACTIONCLUSTER_TESTS_CHAOS_LOAD_COUNTERS_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "actioncluster/cache.h"
#include "tests/chaos/load.h"

namespace actioncluster::chaos {

// Values of the cache that several clients change by rounds of lock, load, save (with the lock's token) and unlock. A value has the number of each client's last round in it, so each sees at its next
// round, and at the end, whether its own was kept: one that was acknowledged must be there, whoever has written since.
class CounterLoad : public Load {
 public:
  explicit CounterLoad(LoadOptions options);

  void Start() override;
  bool Settle(absl::Duration limit) override;
  void Judge(KindResult& result) override;

 private:
  // What a client knows of its rounds at one key.
  struct Rounds {
    std::set<int64_t> acknowledged = {};  // But those that a later one was found after.
    std::set<int64_t> maybe = {};         // Nobody knows whether these were done.
    int64_t executed = 0;
    int64_t lost = 0;
    std::vector<std::string> problems = {};
  };

  void Step(size_t client);
  absl::Status Round(size_t client, const std::string& key);
  // The client's last round that the value has.
  static void Compare(size_t client, int64_t last, Rounds& rounds);
  Rounds& rounds(size_t client, const std::string& key) { return rounds_[client][key]; }

  std::vector<std::unique_ptr<client::Client>> clients_;
  std::vector<int64_t> numbers_;                       // Of each client's last round.
  std::vector<std::map<std::string, Rounds>> rounds_;  // Of each client, touched by it alone.
  std::map<std::string, std::string> final_;
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_LOAD_COUNTERS_H_
