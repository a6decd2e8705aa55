#ifndef ACTIONCLUSTER_TESTS_CLUSTER_PORTS_H_
#define ACTIONCLUSTER_TESTS_CLUSTER_PORTS_H_

#include <vector>

namespace actioncluster::cluster {

// Consecutive free ports of 127.0.0.1, kept from other test processes until it is destroyed. They are below the range
// that the system hands out by itself, so that nobody else takes them by chance. Fails the program if there are none.
class Ports {
 public:
  explicit Ports(int count);
  ~Ports();
  Ports(Ports&& other) noexcept;
  Ports(const Ports&) = delete;

  int first() const { return first_; }

 private:
  int first_ = 0;
  std::vector<int> names_;  // One socket for each port, bound to a name that only one process can have.
};

}  // namespace actioncluster::cluster

#endif  // ACTIONCLUSTER_TESTS_CLUSTER_PORTS_H_
