#ifndef ACTIONCLUSTER_TESTS_CHAOS_LOAD_LISTS_H_
#define ACTIONCLUSTER_TESTS_CHAOS_LOAD_LISTS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "actioncluster/cache.h"
#include "tests/chaos/load.h"

namespace actioncluster::chaos {

// Lists of the cache, each with one client that pushes numbers and one that pops them. Both name their calls and repeat them until they are answered: each number must come once, and in order.
class ListLoad : public Load {
 public:
  explicit ListLoad(LoadOptions options);

  void Start() override;
  bool Settle(absl::Duration limit) override;
  void Judge(KindResult& result) override;

 private:
  struct List {
    std::string key;
    std::unique_ptr<client::Client> pusher;
    std::unique_ptr<client::Client> popper;
    // The pusher's.
    int64_t pushing = 1;
    absl::Time since = absl::InfiniteFuture();  // When it was tried first.
    std::vector<int64_t> pushed = {};           // Acknowledged.
    // The popper's.
    int64_t popping = 1;
    std::vector<int64_t> popped = {};
  };

  void Push(size_t client, List& list);
  void Pop(size_t client, List& list);
  absl::Status PopOnce(List& list, bool* empty);

  std::vector<List> lists_;
};

}  // namespace actioncluster::chaos

#endif  // ACTIONCLUSTER_TESTS_CHAOS_LOAD_LISTS_H_
